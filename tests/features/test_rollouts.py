"""Rollouts as people live through them: a step only ever adds, pins stay, and rolling back leaves nothing behind."""

import threading
from typing import Any

import pytest
from django.db import connections

from backend.actors import actor_of_key
from features.actions.catalog import load_file
from features.actions.pins import pin
from features.actions.rollouts import advance, pause, resume, roll_back, start_rollout
from features.actions.versions import publish, set_current
from features.engine import bucket
from features.find import current_number
from features.models import CurrentVersion, Impact, Rollout, Stage, Withdrawal
from features.resolve import serve_warm
from features.rollouts import events_of, place_counts, places_of, rollout_json, tenants_of
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, Malformed
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import VendorAuditEvent
from tests.cast import GREET, GREET_RULES, Cast

POLITE = {**GREET, "instructions": {**GREET["instructions"], "role": "You greet people politely."}}


@pytest.fixture
def two(cast: Cast) -> int:
    """A second version, that nobody is on yet."""
    return publish(cast.greet, behavior=POLITE, make_current=False, by=cast.operator).number


def start(cast: Cast, *steps: Any, **options: Any) -> Rollout:
    return start_rollout(cast.greet, **{"to": 2, "steps": list(steps), "by": cast.operator, **options})


def served(cast: Cast, who: Actor) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def versions(cast: Cast) -> dict[str, int]:
    return {who.name: served(cast, who).choice.base for who in cast.everybody()}


def digests(cast: Cast) -> dict[str, str]:
    everybody = [*cast.everybody(), cast.acme_service, cast.globex_service]
    return {who.label: served(cast, who).digest for who in everybody}


def end_user(cast: Cast, key: str) -> Actor:
    """Somebody whom Acme's own software serves."""
    return actor_of_key(cast.key(cast.acme_service), key)


def on_the_new(cast: Cast, users: list[Actor]) -> set[str]:
    return {who.acting_for().key for who in users if served(cast, who).choice.base == 2}


def stages() -> list[Stage]:
    with operator_tx():
        return list(Stage.objects.using(OPERATOR).order_by("valid_from"))


def kinds(rollout: Rollout) -> list[str]:
    with operator_tx():
        return [event.kind for event in events_of(rollout).order_by("id")]


def test_a_named_tenant_goes_first_and_stays_in_while_the_others_follow(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["globex"]}, {"percent": 1})
    assert versions(cast) == {"Ada": 1, "Alice": 1, "Bob": 1, "Gus": 2, "Mallory": 2}
    assert served(cast, cast.gus).receipt.as_json()["rollout"] == {"id": str(rollout.id), "to": 2}
    assert served(cast, cast.ada).receipt.as_json()["rollout"] is None
    rollout = advance(rollout, by=cast.operator)
    globex = str(cast.gus.tenant_id)
    assert (rollout.step, stages()[-1].share, stages()[-1].tenants) == (1, 100, [globex])
    assert versions(cast)["Gus"] == 2
    rollout = advance(rollout, by=cast.operator)  # the step of 100 % that nobody wrote
    assert (rollout.state, rollout.step, current_number(cast.greet, OPERATOR)) == ("done", 2, 2)
    assert set(versions(cast).values()) == {2}
    assert served(cast, cast.ada).receipt.as_json()["rollout"] is None
    assert [stage.valid_to is None for stage in stages()] == [False, False]
    assert kinds(rollout) == ["started", "advanced", "done"]


def test_a_larger_share_only_adds_and_pausing_moves_nobody(cast: Cast, two: int) -> None:
    users = [end_user(cast, f"user {n}") for n in range(60)]
    rollout = start(cast, {"percent": 20}, {"percent": 55.5}, unit="user")
    first = on_the_new(cast, users)
    assert first == {f"user {n}" for n in range(60) if bucket("greet", 2, f"user {n}") < 2000} != set()
    rollout = resume(pause(rollout, by=cast.operator), by=cast.operator)
    assert on_the_new(cast, users) == first
    rollout = advance(rollout, by=cast.operator)
    second = on_the_new(cast, users)
    assert first < second == {f"user {n}" for n in range(60) if bucket("greet", 2, f"user {n}") < 5550}
    roll_back(rollout, by=cast.operator)
    assert on_the_new(cast, users) == set()
    start(cast, {"percent": 20}, unit="user")
    assert on_the_new(cast, users) == first


def test_with_unit_user_the_tenant_itself_stays_until_everybody_is_in(cast: Cast, two: int) -> None:
    rollout = start(cast, {"percent": 99.99}, unit="user")
    assert served(cast, cast.alice).choice.base == 2
    assert served(cast, cast.acme_service).choice.base == 1
    advance(rollout, by=cast.operator)
    assert served(cast, cast.acme_service).choice.base == 2


def test_the_pinned_are_moved_neither_by_a_rollout_nor_by_rolling_it_back(cast: Cast, two: int) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    rollout = start(cast, {"tenants": ["acme", "globex"]})
    assert versions(cast) == {"Ada": 2, "Alice": 1, "Bob": 2, "Gus": 2, "Mallory": 2}
    pin(cast.greet, "user", kind="base", version=2, by=cast.mallory)  # released to her by the rollout
    roll_back(rollout, by=cast.operator)
    assert versions(cast) == {"Ada": 1, "Alice": 1, "Bob": 1, "Gus": 1, "Mallory": 2}


def test_alices_pin_survives_a_rollout_to_everybody(cast: Cast, two: int) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    before = served(cast, cast.alice).digest
    assert start(cast, {"percent": 100}).state == "done"
    assert versions(cast) == {"Ada": 2, "Alice": 1, "Bob": 2, "Gus": 2, "Mallory": 2}
    assert served(cast, cast.alice).digest == before


def test_rolled_back_everybody_is_served_what_they_were(cast: Cast, two: int) -> None:
    before = digests(cast)
    rollout = start(cast, {"tenants": ["globex"]}, {"tenants": ["acme"]})
    advance(rollout, by=cast.operator)
    assert not set(before.values()) & set(digests(cast).values())
    ended = roll_back(rollout, why="People complain.", by=cast.operator)
    assert digests(cast) == before
    assert (ended.state, ended.why, stages()[-1].valid_to) == ("rolled_back", "People complain.", ended.ended_at)
    with operator_tx():
        assert CurrentVersion.objects.using(OPERATOR).filter(feature=cast.greet).count() == 1


def test_meanwhile_the_pointer_stays_and_publishing_without_moving_goes_on(cast: Cast, two: int) -> None:
    rollout = pause(start(cast, {"percent": 10}), by=cast.operator)
    with pytest.raises(Conflict, match=r"rolled out to version 2 \(paused, step 1 of 2\)"):
        set_current(cast.greet, 2, by=cast.operator)
    with pytest.raises(Conflict, match="without making it current"):
        publish(cast.greet, behavior=GREET, make_current=True, by=cast.operator)
    assert publish(cast.greet, behavior=GREET, make_current=False, by=cast.operator).number == 3
    roll_back(rollout, by=cast.operator)
    assert set_current(cast.greet, 3, by=cast.operator)["version"] == 3


def test_the_catalog_publishes_meanwhile_and_says_that_it_moved_nobody(cast: Cast, two: int) -> None:
    document = {"feature": "greet", "title": "Greet", "behavior": GREET, "rules": GREET_RULES}
    rollout = start(cast, {"percent": 10})
    loaded = load_file(document, force=True, by=cast.operator)
    assert (loaded.what, loaded.version, current_number(cast.greet, OPERATOR)) == ("added", 3, 1)
    roll_back(rollout, by=cast.operator)
    loaded = load_file({**document, "summary": "Other."}, force=True, by=cast.operator)
    assert (loaded.what, current_number(cast.greet, OPERATOR)) == ("published", 4)


def test_of_two_who_start_at_once_one_is_refused(cast: Cast, two: int) -> None:
    barrier, came = threading.Barrier(6), []

    def go() -> None:
        barrier.wait()
        try:
            came.append(start(cast, {"percent": 10}).state)
        except Conflict:
            came.append("refused")
        connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["refused"] * 5 + ["running"]
    assert len(stages()) == 1


def test_of_two_who_advance_at_once_both_steps_are_taken_once(cast: Cast, two: int) -> None:
    rollout = start(cast, *({"percent": percent} for percent in (10, 20, 30, 40, 50)))
    barrier = threading.Barrier(3)

    def go() -> None:
        barrier.wait()
        advance(rollout, by=cast.operator)
        connections.close_all()

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stage.share for stage in stages()] == [1000, 2000, 3000, 4000]


WRONG = {
    "a version that there is not": ({"to": 9}, {("/to", "version")}),
    "the current one": ({"to": 1}, {("/to", "current")}),
    "no steps": ({"steps": []}, {("/steps", "type")}),
    "neither share nor names": ({"steps": [{"hold": 5}]}, {("/steps/0", "one_of")}),
    "both": ({"steps": [{"percent": 5, "tenants": ["acme"]}]}, {("/steps/0", "one_of")}),
    "tenants that there are not": (
        {"steps": [{"tenants": ["acme", "nobody", 7]}]},
        {("/steps/0/tenants/1", "tenant"), ("/steps/0/tenants/2", "tenant")},
    ),
    "a step that shrinks": ({"steps": [{"percent": 20}, {"percent": 10}]}, {("/steps/1/percent", "grows")}),
    "a step that adds nobody": (
        {"steps": [{"tenants": ["acme"]}, {"percent": 5}, {"tenants": ["acme"]}]},
        {("/steps/2/tenants", "grows")},
    ),
    "one after the last": ({"steps": [{"percent": 100}, {"tenants": ["acme"]}]}, {("/steps/1", "grows")}),
    "shares beyond": (
        {"steps": [{"percent": 0}, {"percent": 101}, {"percent": True}, {"percent": 0.001}]},
        {(f"/steps/{n}/percent", "range") for n in range(4)},
    ),
    "words for a time": (
        {"steps": [{"percent": 5, "hold": "soon"}, {"percent": 6, "hold": -1}, {"percent": 7, "hold": "91d"}]},
        {(f"/steps/{n}/hold", "hold") for n in range(3)},
    ),
    "what steps do not know": ({"steps": [{"percent": 5, "holds": 5}]}, {("/steps/0/holds", "unknown")}),
    "samples that are no numbers": ({"steps": [{"percent": 5, "min_runs": -1}]}, {("/steps/0/min_runs", "range")}),
    "guards that there are not": ({"guards": {"luck": {"max": 1}}}, {("/guards/luck", "unknown")}),
    "guards without sense": (
        {"guards": {"pins_away": {"max": 2, "do": "cry"}, "failed_checks": {}, "cost_per_run": 5}},
        {("/guards/pins_away/max", "range"), ("/guards/pins_away/do", "enum"),
         ("/guards/failed_checks/max", "required"), ("/guards/cost_per_run", "type")},
    ),
    "too much said": ({"message": "x" * 501}, {("/message", "max_length")}),
    "another unit": ({"unit": "planet"}, {("/unit", "enum")}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_rollout_that_cannot_be_is_refused_with_everything_named(case: str, cast: Cast, two: int) -> None:
    changes, told = WRONG[case]
    kind = Malformed if {rule for _, rule in told} == {"unknown"} else Invalid
    with pytest.raises(kind) as refused:
        start(cast, **{"steps": [{"percent": 5}], **changes})
    assert {(problem.pointer, problem.rule) for problem in refused.value.errors} == told
    assert stages() == []


def withdraw(cast: Cast, version: int, replacement: int) -> None:
    with operator_tx():
        bump_vendor(cast.greet.id)
        rows = Withdrawal.objects.using(OPERATOR).filter(feature=cast.greet, version=version)
        row = Withdrawal(feature=cast.greet, version=version, replacement=replacement, reason="Bad.", author="x")
        supersede(rows, row)


def test_a_withdrawn_version_is_rolled_out_to_nobody(cast: Cast, two: int) -> None:
    rollout = start(cast, {"percent": 10})
    withdraw(cast, 2, 1)
    with pytest.raises(Conflict, match="withdrawn"):
        advance(rollout, by=cast.operator)
    roll_back(rollout, by=cast.operator)
    with pytest.raises(Invalid) as refused:
        start(cast, {"percent": 10})
    assert [problem.rule for problem in refused.value.errors] == ["withdrawn"]


def test_a_rehearsal_answers_what_would_be_and_leaves_nothing(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": [str(cast.gus.tenant_id)], "hold": "2d"}, dry_run=True)
    assert (rollout.before, rollout.to, [step["hold"] for step in rollout.steps]) == (1, 2, [172_800, None])
    with operator_tx():
        assert not Rollout.objects.using(OPERATOR).exists() and not Impact.objects.using(OPERATOR).exists()
    assert set(versions(cast).values()) == {1}
    start(cast, {"percent": 10})


ENDED = {"advance": advance, "pause": pause, "resume": resume, "roll_back": roll_back}


@pytest.mark.parametrize("act", ENDED)
def test_what_has_ended_is_not_moved_again(act: str, cast: Cast, two: int) -> None:
    done = start(cast, {"percent": 100})
    with pytest.raises(Conflict, match="is done"):
        ENDED[act](done, by=cast.operator)
    assert current_number(cast.greet, OPERATOR) == 2


def test_a_paused_rollout_is_resumed_before_it_goes_on(cast: Cast, two: int) -> None:
    rollout = start(cast, {"percent": 10})
    with pytest.raises(Conflict, match="nothing to resume"):
        resume(rollout, by=cast.operator)
    paused = pause(rollout, why="Lunch.", by=cast.operator)
    with pytest.raises(Conflict, match="resume it"):
        advance(rollout, by=cast.operator)
    with pytest.raises(Conflict, match="paused already"):
        pause(rollout, by=cast.operator)
    resumed = resume(rollout, by=cast.operator)
    assert (paused.why, resumed.state, resumed.why) == ("Lunch.", "running", "")
    assert resumed.began_at > paused.began_at  # the step begins anew


def test_only_operators_move_features(cast: Cast, two: int) -> None:
    with pytest.raises(Forbidden):
        start(cast, {"percent": 10}, by=cast.ada)
    rollout = start(cast, {"percent": 10})
    with pytest.raises(Forbidden):
        roll_back(rollout, by=cast.ada)
    assert len(stages()) == 1 and stages()[0].valid_to is None


def test_everything_that_is_done_is_in_the_log_and_the_audit(cast: Cast, two: int) -> None:
    rollout = start(cast, {"percent": 10}, message="Politer.")
    roll_back(pause(rollout, why="Lunch.", by=cast.operator), why="No.", by=cast.operator)
    with operator_tx():
        events = list(events_of(rollout).order_by("id"))
        audited = VendorAuditEvent.objects.using(OPERATOR).filter(verb="rollout.manage").order_by("id")
        assert [event.detail["what"] for event in audited] == ["start", "pause", "roll_back"]
        assert [impact.kind for impact in Impact.objects.using(OPERATOR).filter(rollout=rollout)] == ["rollout"]
    assert [(event.kind, event.detail.get("why")) for event in events] == [
        ("started", "Politer."), ("paused", "Lunch."), ("rolled_back", "No."),
    ]  # fmt: skip
    assert {event.actor for event in events} == {cast.operator.label}


def test_operators_see_who_is_where(cast: Cast, two: int) -> None:
    pin(cast.greet, "tenant", kind="base", version=1, by=cast.ada)
    pin(cast.greet, "user", kind="base", version=1, by=cast.mallory)
    rollout = start(cast, {"tenants": ["acme", "globex"]})
    with operator_tx():
        places = {place.slug: place for place in places_of(rollout, list(tenants_of(rollout)))}
        assert place_counts(rollout) == {"to": 1, "partly": 0, "before": 0, "pinned": 1}
    assert (places["acme"].where, places["acme"].version, places["acme"].pins) == ("pinned", 1, 0)
    assert (places["globex"].where, places["globex"].version, places["globex"].pins) == ("to", 2, 1)
    ended = roll_back(rollout, by=cast.operator)
    with operator_tx():
        assert place_counts(ended) == {"to": 0, "partly": 0, "before": 1, "pinned": 1}


def test_operators_see_how_far_it_is(cast: Cast, two: int) -> None:
    rollout = start(cast, {"tenants": ["globex"]}, {"percent": 12.5, "hold": "1h", "min_runs": 5}, {"percent": 50})
    rollout = advance(rollout, by=cast.operator)
    with operator_tx():
        told = rollout_json(rollout)
    globex = str(cast.gus.tenant_id)
    assert [step["when"] for step in told["steps"]] == ["past", "now", "next", "next"]
    assert told["steps"][1]["included"] == {"percent": 12.5, "tenants": [globex]}
    assert (told["named"], told["share"], told["state"]) == ({globex: "globex"}, 12.5, "running")
    assert (told["next_at"] - told["began"]).total_seconds() == 3600
    with operator_tx():
        assert rollout_json(pause(rollout, by=cast.operator))["next_at"] is None
