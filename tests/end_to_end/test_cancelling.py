"""Runs cancelled at whatever moment: they end soon, cancelled if they were told so, and are settled."""

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.model import Answer
from tests.processes import Stack

POINTS, PATIENCE = 20, 5.0
TEXT = '{"greeting": "Hello there, and there, and over there, whoever you may be, wherever you are going to be today"}'


def dripping(_: object) -> Answer:
    return Answer(TEXT, hold=threading.Event(), pause=0.03)


def cancelled_after(stack: Stack, number: int, point: int) -> tuple[str, int, str, float]:
    """Cancel a run once so many of its events were heard. Returns its id, the answer, its end, and how soon that was."""
    alice = stack.knock("alice" if number % 2 else "mallory")
    with alice.events("/features/greet/runs", {"input": {"name": f"Ann {number}"}}) as events:
        heard = iter(events)
        run_id = next(heard).data["id"]
        with contextlib.suppress(StopIteration):
            for _ in range(point):
                next(heard)
        asked = time.monotonic()
        answer = alice.post(f"/runs/{run_id}/cancel").status_code
        for _ in heard:
            pass
    took = time.monotonic() - asked
    return run_id, answer, str(alice.get(f"/runs/{run_id}").json()["state"]), took


@pytest.mark.parametrize("times", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_cancelled_at_any_point_a_run_ends_soon_and_never_as_if_it_had_not_been(stack: Stack, times: int) -> None:
    stack.model.default = dripping
    draw = random.Random(times)
    points = [draw.randrange(POINTS) for _ in range(POINTS * times)]
    with ThreadPoolExecutor(4) as callers:
        ended = list(callers.map(lambda given: cancelled_after(stack, *given), enumerate(points)))
    for _, answer, state, _ in ended:
        assert (answer, state) in {(200, "cancelled"), (202, "cancelled"), (409, "succeeded")}
    assert {answer for _, answer, _, _ in ended} >= {202}
    took = sorted(seconds for _, _, _, seconds in ended)
    assert took[int(len(took) * 0.99) - 1] <= PATIENCE
    runs: list[Any] = [run_id for run_id, *_ in ended]
    assert sum(count for _, count in stack.ledger(*runs)) == len(runs)
    unsettled = "SELECT count(*) FROM runs_attempt WHERE finished_at IS NULL OR outcome = '' OR outcome = 'lost'"
    assert stack.rows(unsettled) == [(0,)]
    billed = """SELECT count(*) FROM runs_attempt WHERE outcome IN ('stopped', 'answered') AND NOT output_tokens > 0
                AND finished_at - started_at > interval '1 second'"""
    assert stack.rows(billed) == [(0,)]  # what was said until then was used
    assert stack.waiting() == 0
