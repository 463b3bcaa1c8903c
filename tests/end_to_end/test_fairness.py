"""Nobody's backlog is in anybody's way: neither another tenant's, nor one's own batch."""

import threading

from features.models import Feature
from features.runs.accept import accept
from features.runs.models import Queued
from tenants.actor import Actor
from tests.fakes.model import Answer
from tests.processes import Stack

SLOT_SECONDS = 0.3  # how long one call takes here
ONES = 20


def flood(stack: Stack, who: Actor, feature: Feature, runs: int) -> None:
    """As many items of a batch in the queue, that were there before anybody looked."""
    stack.worker.kill()
    for number in range(runs):
        accept(feature, {"name": f"Item {number}"}, by=who)
    with who.present():
        Queued.objects.filter(tenant_id=who.tenant_id).update(batch=True)


def waits(stack: Stack, who: str) -> list[float]:
    """How many seconds each of some runs, one after the other, waited for its start."""
    knock = stack.knock(who)
    ended = [knock.run(f"Ann {number}", prefer="wait=30").json() for number in range(ONES)]
    assert {run["state"] for run in ended} == {"succeeded"}
    asked = "SELECT extract(epoch FROM started_at - created_at)::float FROM runs_run WHERE id = ANY(%s)"
    return sorted(seconds for (seconds,) in stack.rows(asked, [run["id"] for run in ended]))


def test_a_flood_of_one_tenant_and_ones_own_batch_are_hardly_noticed(stack: Stack) -> None:
    stack.model.default = lambda _: Answer('{"greeting": "Hi"}', hold=threading.Event(), pause=SLOT_SECONDS / 3)
    idle = waits(stack, "mallory")
    flood(stack, stack.cast.alice, stack.cast.greet, 480)
    stack.worker.start()
    others, own = waits(stack, "mallory"), waits(stack, "bob")
    assert stack.rows("SELECT count(*) > 0 FROM runs_queued WHERE batch") == [(True,)]  # the flood was still there
    p95 = int(ONES * 0.95) - 1
    assert others[0] < SLOT_SECONDS + 2 and others[p95] <= 2 * max(idle[p95], SLOT_SECONDS)
    assert own[p95] <= SLOT_SECONDS + 2
