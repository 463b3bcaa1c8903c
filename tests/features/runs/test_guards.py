"""Guards over real runs: what the ledger says of each, and what rollouts do by themselves because of it."""

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from backend.actors import actor_of_key
from features.actions.pins import pin, unpin
from features.actions.rollouts import advance, pause, resume, start_rollout
from features.actions.versions import publish
from features.find import current_number
from features.models import GuardPoint, Rollout
from features.resolve import clock
from features.rollouts import events_of, guards_json, rollout_json
from features.runs.accept import accept
from features.runs.dispatch import claim
from features.runs.finish import Ending, finish
from features.runs.guards import watch_rollouts
from features.runs.models import Ledger, Run, State
from features.runs.tasks import watch
from tenants.actor import Actor
from tenants.ids import floor_of, uuid7
from tenants.isolation import OPERATOR, operator_tx
from tests.cast import GREET, Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.features.test_rollouts import withdraw
from tests.working import look


@pytest.fixture
def two(cast: Cast) -> int:
    """A second version, that nobody is on yet."""
    changed = {**GREET, "instructions": {**GREET["instructions"], "role": "You greet people politely."}}
    return publish(cast.greet, behavior=changed, make_current=False, by=cast.operator).number


def start(cast: Cast, *steps: Any, guards: Any = None, **options: Any) -> Rollout:
    steps = steps or ({"tenants": ["acme"]},)
    return start_rollout(cast.greet, to=2, steps=list(steps), guards=guards, by=cast.operator, **options)


def entry(cast: Cast, who: Actor, **facts: Any) -> None:
    """A finished run in the ledger, of the new version unless something else is said."""
    told = {"version": 2, "state": "succeeded", "run": uuid7(), "subject": who.acting_for().id, **facts}
    with who.present():
        Ledger.objects.create(tenant_id=who.tenant_id, feature=cast.greet.id, **told)


def entries(cast: Cast, times: int, who: Actor | None = None, **facts: Any) -> None:
    for _ in range(times):
        entry(cast, who or cast.alice, **facts)


def now(rollout: Rollout) -> Rollout:
    with operator_tx():
        return Rollout.objects.using(OPERATOR).select_related("feature").get(pk=rollout.pk)


def begun(rollout: Rollout, *, ago: timedelta) -> None:
    """As if the step had begun so long ago."""
    with operator_tx():
        Rollout.objects.using(OPERATOR).filter(pk=rollout.pk).update(began_at=clock(OPERATOR) - ago)


def last_event(rollout: Rollout) -> Any:
    with operator_tx():
        return events_of(rollout).order_by("-id").first()


def points(rollout: Rollout, guard: str) -> list[tuple[Any, int]]:
    with operator_tx():
        rows = GuardPoint.objects.using(OPERATOR).filter(rollout=rollout, guard=guard).order_by("at")
        return [(row.value, row.sample) for row in rows]


def ledger(cast: Cast, run_id: Any) -> Ledger:
    with cast.alice.present():
        return Ledger.objects.get(run=run_id)


LONG = greeting("word " * 40)
ENDINGS = {
    "at once": ([greeting()], ("", 0, False)),
    "its form repaired": ([Answer('{"greting": 1}'), greeting()], ("", 1, True)),
    "its checks repaired": ([LONG, greeting()], ("", 1, False)),
    "its checks failed": ([LONG, LONG], ("checks", 1, False)),
    "its form broken at first and its checks at last": ([Answer("{}"), LONG], ("checks", 1, True)),
    "its form broken": ([Answer("{}"), Answer("{}")], ("invalid", 1, True)),
    "cut off": ([Answer('{"gree', finish="length")], ("truncated", 0, True)),
    "refused": ([Answer(None, refusal="No")], ("refused", 0, False)),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_ledger_says_how_a_run_ended(how: str, cast: Cast, model: FakeModel, two: int) -> None:
    answers, told = ENDINGS[how]
    start(cast)
    model.script(*answers)
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    look()
    row = ledger(cast, run_id)
    assert ((row.error, row.repairs, row.malformed), row.version, row.preview) == (told, 2, False)


def test_the_ledger_says_what_was_only_a_preview(cast: Cast) -> None:
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    with cast.alice.present():
        Run.objects.filter(pk=run_id).update(preview=uuid4())
    claimed = claim()
    assert claimed is not None
    finish(claimed.tenant_id, run_id, Ending(State.CANCELLED), token=claimed.token)
    assert (ledger(cast, run_id).preview, ledger(cast, run_id).version) == (True, 1)


def test_broken_output_forms_pause_a_rollout_and_it_says_why(cast: Cast, model: FakeModel, two: int) -> None:
    rollout = start(cast, guards={"schema_failures": {"max": 0.3, "min_runs": 2}})
    model.script(Answer("{}"), greeting(), greeting())
    for _ in range(2):
        accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    watch()
    paused, event = now(rollout), last_event(rollout)
    why = "50% of 2 runs had a broken output form; the limit is 30%."
    assert (paused.state, paused.why) == ("paused", why)
    assert (event.kind, event.actor, event.detail) == (
        "paused", "system:guards", {"why": why, "guard": "schema_failures", "value": 0.5, "limit": 0.3, "sample": 2},
    )  # fmt: skip
    with cast.alice.present():
        assert Run.objects.filter(receipt__base=2).count() == 2  # and nobody was moved back


def test_failed_checks_roll_back_where_the_vendor_said_so(cast: Cast, two: int) -> None:
    rollout = start(cast, guards={"failed_checks": {"max": 0.1, "min_runs": 10, "do": "roll_back"}})
    entries(cast, 8)
    entries(cast, 2, state="failed", error="checks")
    [decision] = watch_rollouts()
    ended = now(rollout)
    assert (decision.do, ended.state) == ("roll_back", "rolled_back")
    assert ended.why == "20% of 10 runs failed their checks; the limit is 10%." and ended.ended_at is not None
    assert accept(cast.greet, {"name": "Ann"}, by=cast.alice) and current_number(cast.greet, OPERATOR) == 1
    assert watch_rollouts() == []


def test_dear_runs_breach_by_their_mean(cast: Cast, two: int) -> None:
    rollout = start(cast, guards={"cost_per_run": {"max": 150, "min_runs": 4}})
    entries(cast, 3, cost=100)
    entries(cast, 1, cost=302)
    watch_rollouts()
    assert now(rollout).why == "A run cost 150.5 micro-units on average over 4 runs; the limit is 150."


def test_under_the_minimum_sample_nothing_is_said_or_done(cast: Cast, two: int) -> None:
    rollout = start(cast, guards={"failed_checks": {"max": 0, "min_runs": 10}})
    entries(cast, 9, state="failed", error="checks")
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert (now(rollout).state, points(rollout, "failed_checks")) == ("running", [(None, 9)])
    with operator_tx():
        assert rollout_json(now(rollout))["guards"][0]["state"] == "waiting"
    entries(cast, 1)
    assert [decision.do for decision in watch_rollouts()] == ["pause"]


def test_only_runs_of_the_new_version_in_this_step_count(cast: Cast, two: int) -> None:
    rollout = start(cast, guards={"failed_checks": {"max": 0, "min_runs": 1}})
    failed = {"state": "failed", "error": "checks"}
    entry(cast, cast.alice, **failed, version=1)
    entry(cast, cast.alice, **failed, preview=True)
    entry(cast, cast.alice, **failed, cached=True)
    entry(cast, cast.alice, **{**failed, "state": "cancelled"})
    entry(cast, cast.alice, **failed, run=floor_of(rollout.began_at - timedelta(seconds=1)))
    entry(cast, cast.alice)
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert points(rollout, "failed_checks") == [(0.0, 1)]


def test_people_who_turn_from_the_new_version_are_counted_by_heads(cast: Cast, two: int) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.ada)  # before it began
    rollout = start(cast, guards={"pins_away": {"max": 0.25, "min_runs": 4}})
    for who in (cast.alice, cast.alice, cast.bob, cast.vera, actor_of_key(cast.key(cast.acme_service), "u1")):
        entry(cast, who)
    pin(cast.greet, "user", kind="base", version=2, by=cast.bob)  # stays with it
    pin(cast.greet, "user", kind="base", version=1, by=cast.mallory)  # is not in it
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    hesitant = actor_of_key(cast.key(cast.acme_service), "u3")
    pin(cast.greet, "user", kind="base", version=1, by=hesitant)
    unpin(cast.greet, "user", by=hesitant)
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert points(rollout, "pins_away") == [(0.25, 4)]
    pin(cast.greet, "user", kind="base", version=1, by=actor_of_key(cast.key(cast.acme_service), "u2"))
    assert [decision.do for decision in watch_rollouts()] == ["pause"]
    assert now(rollout).why == "40% of the 5 served version 2 pinned another; the limit is 25%."


def test_a_step_goes_on_by_itself_after_its_hold(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["acme"], "hold": "1h"}, {"percent": 50, "hold": "1h"})
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    begun(rollout, ago=timedelta(minutes=61))
    watch_rollouts()
    assert (now(rollout).step, last_event(rollout).kind) == (1, "advanced")
    assert now(rollout).why == "The step held 1 hour over 0 runs, and nothing watched it."
    assert [decision.do for decision in watch_rollouts()] == ["wait"]  # each step holds anew
    begun(rollout, ago=timedelta(minutes=61))
    watch_rollouts()
    assert (now(rollout).state, current_number(cast.greet, OPERATOR)) == ("done", 2)
    assert last_event(rollout).actor == "system:guards"


def test_a_step_waits_for_its_sample_after_its_hold(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["acme"], "hold": 60, "min_runs": 3})
    begun(rollout, ago=timedelta(seconds=90))
    entries(cast, 2)
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    entries(cast, 1)
    assert [decision.do for decision in watch_rollouts()] == ["advance"]


def test_a_step_without_a_hold_waits_for_a_person(cast: Cast, two: int) -> None:
    rollout = start(cast)
    begun(rollout, ago=timedelta(days=80))
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert now(rollout).step == 0


def test_what_is_paused_is_left_alone_and_measured_afresh_when_resumed(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["acme"], "hold": 0}, guards={"failed_checks": {"max": 0, "min_runs": 1}})
    entries(cast, 1, state="failed", error="checks", run=floor_of(rollout.began_at + timedelta(milliseconds=1)))
    watch_rollouts()
    assert now(rollout).state == "paused"
    assert watch_rollouts() == []
    resume(now(rollout), by=cast.operator)
    with operator_tx():
        assert rollout_json(now(rollout))["guards"][0]["state"] == "waiting"
    assert [decision.do for decision in watch_rollouts()] == ["advance"]


def test_a_withdrawn_version_is_not_rolled_out_any_further(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["acme"], "hold": 0})
    withdraw(cast, 2, 1)
    watch_rollouts()
    assert (now(rollout).state, now(rollout).why[:24]) == ("paused", "Version 2 was withdrawn.")


def test_watchers_at_once_take_one_step(cast: Cast, two: int) -> None:
    steps = [{"percent": percent, "hold": "1h"} for percent in (10, 20, 30, 40)]
    rollout = start(cast, *steps, guards={"failed_checks": {"max": 1}})
    begun(rollout, ago=timedelta(hours=2))
    barrier = threading.Barrier(4)

    def go() -> None:
        barrier.wait()
        watch_rollouts()
        connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert now(rollout).step == 1
    with operator_tx():
        assert events_of(rollout).filter(kind="advanced").count() == 1


def test_one_that_moved_on_since_it_was_measured_is_left_alone(
    cast: Cast, two: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.runs import guards

    rollout = start(cast, guards={"failed_checks": {"max": 0, "min_runs": 1, "do": "roll_back"}})
    entries(cast, 1, state="failed", error="checks")
    keep = guards._keep

    def kept(row: Rollout, measured: Any) -> None:
        keep(row, measured)
        resume(pause(row, by=cast.operator), by=cast.operator)

    monkeypatch.setattr(guards, "_keep", kept)
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert now(rollout).state == "running"


def test_what_was_measured_of_a_step_that_is_over_is_not_kept(
    cast: Cast, two: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.runs import guards

    rollout = start(cast, {"tenants": ["acme"]}, {"percent": 50}, guards={"failed_checks": {"max": 1}})
    measure = guards.measure

    def meanwhile(row: Rollout) -> Any:
        found = measure(row)
        advanced.start()
        advanced.join()
        return found

    advanced = threading.Thread(target=lambda: (advance(rollout, by=cast.operator), connections.close_all()))
    monkeypatch.setattr(guards, "measure", meanwhile)
    assert [decision.do for decision in watch_rollouts()] == ["wait"]
    assert (now(rollout).step, points(rollout, "failed_checks")) == (1, [])


def test_points_lie_further_apart_the_longer_a_step_lasts(cast: Cast, two: int) -> None:
    rollout = start(cast, guards={"failed_checks": {"max": 1, "min_runs": 1}})
    for number in range(1, 6):  # seconds apart: the newest moves along
        entry(cast, cast.alice)
        watch_rollouts()
        assert points(rollout, "failed_checks")[-1] == (0.0, number)
    assert len(points(rollout, "failed_checks")) == 2
    with operator_tx():  # as if the points were of a step that is 50 minutes old: 30 seconds apart at the closest
        Rollout.objects.using(OPERATOR).update(began_at=rollout.began_at - timedelta(minutes=50))
        first, last = GuardPoint.objects.using(OPERATOR).order_by("at")
        GuardPoint.objects.using(OPERATOR).filter(pk=first.pk).update(at=last.at - timedelta(seconds=29))
    watch_rollouts()
    assert len(points(rollout, "failed_checks")) == 2
    with operator_tx():
        GuardPoint.objects.using(OPERATOR).filter(pk=first.pk).update(at=last.at - timedelta(seconds=40))
    watch_rollouts()
    assert len(points(rollout, "failed_checks")) == 3
    with operator_tx():
        [told] = guards_json(now(rollout))
    assert [point["sample"] for point in told["points"]] == [1, 5, 5]
    assert (told["state"], told["value"], told["sample"]) == ("within", 0.0, 5)
