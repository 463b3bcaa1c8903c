"""Nobody's backlog is in anybody's way: neither another tenant's, nor one's own batch."""

import threading

import pytest

from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import Stack

SLOT_SECONDS = 0.3  # how long one call takes here
ONES, ITEMS = 20, 10_000


def flood(stack: Stack, who: str, items: int) -> None:
    """A batch of so many items in the queue, that was there before anybody looked."""
    stack.worker.kill()
    lines = "".join(f'{{"input": {{"name": "Item {number}"}}}}\n' for number in range(items)).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    taken_in = stack.knock(who).client.post("/features/greet/batches", content=lines, headers=headers)
    assert (taken_in.status_code, taken_in.json()["counts"]["queued"]) == (202, items)


def taken(stack: Stack, who: str) -> tuple[float, float]:
    """Of some runs, one after the other: how long the first waited for its start, and their p95 from door to end."""
    knock = stack.knock(who)
    ended = [knock.run(f"Ann {number}", prefer="wait=30").json() for number in range(ONES)]
    assert {run["state"] for run in ended} == {"succeeded"}
    asked = """SELECT extract(epoch FROM started_at - created_at)::float,
                      extract(epoch FROM finished_at - created_at)::float FROM runs_run WHERE id = ANY(%s) ORDER BY id"""
    found = stack.rows(asked, [run["id"] for run in ended])
    return found[0][0], sorted(whole for _, whole in found)[int(ONES * 0.95) - 1]


@pytest.mark.slow  # its figures need a machine with nothing else to do
def test_a_flood_of_one_tenant_and_ones_own_batch_are_hardly_noticed(stack: Stack) -> None:
    stack.model.default = lambda _: Answer('{"greeting": "Hi"}', hold=threading.Event(), pause=SLOT_SECONDS / 3)
    stack.worker.kill()
    stack.worker.start(BESPOKE_TENANT_SLOTS="0")  # as in production: half of the slots that there are
    until(stack.ready, "the worker is there")
    _, idle = taken(stack, "mallory")
    flood(stack, "alice", ITEMS)
    stack.worker.start(BESPOKE_TENANT_SLOTS="0")
    begun = "SELECT count(*) > 0 FROM runs_queued WHERE batch AND token IS NOT NULL"
    until(lambda: stack.rows(begun) == [(True,)], "the batch is being carried out", 60)
    first, others = taken(stack, "mallory")
    assert first < SLOT_SECONDS + 2 and others <= 2 * idle
    taken(stack, "bob")
    assert stack.rows("SELECT count(*) > 0 FROM runs_queued WHERE batch") == [(True,)]  # all that passed the flood by
    stack.worker.kill()  # which the next test starts as it should be
