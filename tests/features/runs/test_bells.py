"""Bells are rung by a thread of their own: nobody waits for Valkey, and many who ask at once are one ringing."""

import threading

import pytest

from features.runs.bells import Ringer


def test_who_asks_while_it_rings_is_rung_for_next_and_all_together() -> None:
    rung: list[int] = []
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def ring(bells: int) -> None:
        rung.append(bells)
        begun.set()
        assert go_on.wait(30)
        if sum(rung) == 6:
            done.set()

    ringer = Ringer(ring)
    ringer.ask()
    assert begun.wait(30)
    for _ in range(5):
        ringer.ask()  # returns although the first ringing has not
    assert rung == [1]
    go_on.set()
    assert done.wait(30) and rung == [1, 5]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # its end is what is tried
def test_one_that_broke_rings_again() -> None:
    rung: list[int] = []
    done = threading.Event()

    def ring(bells: int) -> None:
        rung.append(bells)
        if len(rung) == 1:
            raise SystemExit  # ends the thread, and says nothing
        done.set()

    ringer = Ringer(ring)
    ringer.ask()
    thread = ringer._thread
    assert thread is not None
    thread.join(30)
    ringer.ask()
    assert done.wait(30) and rung == [1, 1]
