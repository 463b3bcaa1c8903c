"""Bells are rung by a thread of their own: nobody waits for Valkey, and many who ask at once are one ringing."""

import threading

from features.runs.bells import Ringer


def test_who_asks_while_it_rings_is_rung_for_next_and_all_together() -> None:
    rung: list[int] = []
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def ring(bells: int) -> None:
        rung.append(bells)
        begun.set()
        assert go_on.wait(10)
        if sum(rung) == 6:
            done.set()

    ringer = Ringer(ring)
    ringer.ask()
    assert begun.wait(10)
    for _ in range(5):
        ringer.ask()  # returns although the first ringing has not
    assert rung == [1]
    go_on.set()
    assert done.wait(10) and rung == [1, 5]


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
    thread.join(10)
    ringer.ask()
    assert done.wait(10) and rung == [1, 1]
