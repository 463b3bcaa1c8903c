"""The vendor's emergency stop: everybody on a version is served its replacement, whatever they chose; and back again."""

from typing import Any

import pytest
from django.db import connections

from features.actions.overrides import ANY, save_operation, save_override
from features.actions.pins import marks_of, pin, pins_of, restore
from features.actions.rollouts import start_rollout
from features.actions.versions import publish, set_current
from features.actions.withdrawals import lift, withdraw
from features.models import Impact, Rollout, Withdrawal
from features.resolve import clock, serve, serve_warm
from features.runs.accept import accept, find_run
from features.runs.models import Attempt, Run
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.isolation import OPERATOR, operator_tx
from tenants.models import VendorAuditEvent
from tests.cast import GREET, Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look


def served(cast: Cast, who: Actor, at: Any = None) -> Any:
    with who.present():
        if at is not None:
            return serve(cast.greet, who.tenant_id, who.acting_for(), at)
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def version(cast: Cast, role: str = "You greet people politely.", *, current: bool = True, **changes: Any) -> int:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "role": role}, **changes}
    return publish(cast.greet, behavior=behavior, make_current=current, by=cast.operator).number


def stop(cast: Cast, number: int, replacement: int, **options: Any) -> Any:
    return withdraw(
        cast.greet, number, replacement=replacement, reason="It insults people.", by=cast.operator, **options
    )


def test_whoever_is_on_the_version_is_served_the_replacement_and_nobody_else_moves(cast: Cast) -> None:
    version(cast)
    pin(cast.greet, "user", kind="base", version=1, by=cast.bob)
    stop(cast, 2, 1)
    alice, bob = served(cast, cast.alice), served(cast, cast.bob)
    assert (alice.receipt.base, alice.receipt.withdrawn) == (1, {"version": 2, "replacement": 1})
    assert (bob.receipt.base, bob.receipt.withdrawn) == (1, None)


def test_it_overrides_a_pin_which_is_kept_and_marked_and_counts_again_when_lifted(cast: Cast) -> None:
    version(cast)
    pin(cast.greet, "user", kind="snapshot", reason="It works", by=cast.alice)
    before = served(cast, cast.alice).digest
    assert (stop(cast, 2, 1).tenants_pinned, stop_count(cast)) == (0, 1)
    with cast.ada.present():
        marks = marks_of(cast.greet)
        [kept] = pins_of(cast.greet)
    assert (kept.base, marks.stopped[kept.base].reason, marks.counts(kept)) == (2, "It insults people.", True)
    assert served(cast, cast.alice).receipt.base == 1
    lift(cast.greet, 2, by=cast.operator)
    assert served(cast, cast.alice).digest == before


def stop_count(cast: Cast) -> int:
    with operator_tx():
        return Withdrawal.objects.using(OPERATOR).filter(valid_to=None).count()


def test_as_of_before_it_the_truth_is_still_told(cast: Cast) -> None:
    version(cast)
    then, was = served(cast, cast.alice).at, served(cast, cast.alice).digest
    stop(cast, 2, 1)
    between = served(cast, cast.alice).at
    lift(cast.greet, 2, by=cast.operator)
    assert served(cast, cast.alice, then).digest == was
    assert served(cast, cast.alice, between).receipt.withdrawn == {"version": 2, "replacement": 1}
    assert served(cast, cast.alice).receipt.withdrawn is None


def test_who_was_held_off_the_withdrawn_version_is_not_moved(cast: Cast) -> None:
    save_operation(cast.greet, "user", "instructions.role", {"set": "You are Bob's."}, expected=ANY, by=cast.bob)
    version(cast)
    third = version(cast, "You greet.", current=False)
    held = served(cast, cast.bob)
    assert (held.receipt.base, held.receipt.held["by"]) == (1, "user")
    stop(cast, 2, third)
    assert served(cast, cast.bob).digest == held.digest
    assert served(cast, cast.bob).receipt.base == 1
    assert served(cast, cast.alice).receipt.base == third


def test_conflicts_are_kept_and_what_breaks_is_suspended_on_the_replacement(cast: Cast) -> None:
    version(cast, vars={"tone": "plain", "language": "English", "place": "here"})
    third = version(cast, "You are new.", vars={"tone": "warm", "language": "English"}, current=False)
    wish = {"set": {"vars.tone": "formal", "instructions.mine": "Say {{ vars.place }}."}}
    save_override(cast.greet, "user", wish, expected=ANY, by=cast.alice)
    pin(cast.greet, "user", kind="base", version=2, by=cast.alice)
    stop(cast, 2, third)
    now = served(cast, cast.alice)
    assert now.effective.fields["vars.tone"] == "formal"
    assert [(item.operation.field, item.reason) for item in now.effective.suspended] == [
        ("instructions.mine", "broken")
    ]


def test_a_chain_is_followed_and_a_circle_refused(cast: Cast) -> None:
    version(cast)
    version(cast, "Third.")
    stop(cast, 1, 2)
    assert stop(cast, 3, 1).serves == 2  # through a version that is withdrawn itself
    assert served(cast, cast.alice).receipt.base == 2
    with pytest.raises(Conflict, match="leads back to version 2"):
        stop(cast, 2, 3)
    assert served(cast, cast.alice).receipt.base == 2


@pytest.mark.parametrize(
    ("number", "replacement", "wrong", "told"),
    [(9, 1, NotFound, "no version 9"), (2, 9, NotFound, "no version 9"), (2, 2, Conflict, "stand in for itself")],
)
def test_what_makes_no_sense_is_refused(cast: Cast, number: int, replacement: int, wrong: Any, told: str) -> None:
    version(cast)
    with pytest.raises(wrong, match=told):
        stop(cast, number, replacement)


def test_twice_or_without_a_reason_or_by_a_customer_it_is_refused(cast: Cast) -> None:
    version(cast)
    stop(cast, 2, 1)
    with pytest.raises(Conflict, match="withdrawn already"):
        stop(cast, 2, 1)
    with pytest.raises(Invalid):
        withdraw(cast.greet, 1, replacement=2, reason=" ", by=cast.operator)
    with pytest.raises(Forbidden):
        withdraw(cast.greet, 1, replacement=2, reason="Because", by=cast.ada)
    with pytest.raises(NotFound, match="not withdrawn"):
        lift(cast.greet, 1, by=cast.operator)


def test_nobody_makes_a_withdrawn_version_current_until_it_is_lifted(cast: Cast) -> None:
    version(cast)
    version(cast, "You greet people very politely.")
    stop(cast, 2, 1)
    with pytest.raises(Conflict, match="version 1 stands in for it: move to another version, or lift"):
        set_current(cast.greet, 2, by=cast.operator)
    lift(cast.greet, 2, by=cast.operator)
    assert set_current(cast.greet, 2, by=cast.operator)["version"] == 2


def test_a_rehearsal_changes_nothing_and_the_real_one_leaves_its_impact_and_an_audit_row(cast: Cast) -> None:
    version(cast)
    rehearsed = stop(cast, 2, 1, dry_run=True)
    assert (rehearsed.serves, rehearsed.impact, served(cast, cast.alice).receipt.base) == (1, None, 2)
    done = stop(cast, 2, 1)
    with operator_tx():
        impact = Impact.objects.using(OPERATOR).get(pk=done.impact)
        event = VendorAuditEvent.objects.using(OPERATOR).order_by("-id").first()
    assert (impact.kind, impact.before, impact.to) == ("withdraw", 2, 1)
    assert event is not None
    assert (event.verb, event.detail["reason"]) == ("version.withdraw", "It insults people.")


def test_a_rollout_towards_the_version_is_rolled_back_with_it(cast: Cast) -> None:
    second = version(cast, current=False)
    start_rollout(cast.greet, to=second, steps=[{"tenants": ["acme"]}], by=cast.operator)
    assert served(cast, cast.alice).receipt.base == second
    done = stop(cast, second, 1)
    with operator_tx():
        rollout = Rollout.objects.using(OPERATOR).get()
    assert (str(rollout.id), rollout.state, rollout.why) == (
        done.rolled_back,
        "rolled_back",
        "Version 2 was withdrawn.",
    )
    assert (served(cast, cast.alice).receipt.base, served(cast, cast.alice).receipt.rollout) == (1, None)


def test_another_rollout_goes_on(cast: Cast) -> None:
    version(cast)
    third = version(cast, "Third.", current=False)
    start_rollout(cast.greet, to=third, steps=[{"tenants": ["acme"]}], by=cast.operator)
    assert stop(cast, 1, third).rolled_back is None
    assert served(cast, cast.alice).receipt.rollout["to"] == third


def test_going_back_to_a_withdrawn_version_is_answered_with_what_stands_in(cast: Cast) -> None:
    version(cast)
    then = served(cast, cast.alice)
    set_current(cast.greet, 1, by=cast.operator)
    stop(cast, 2, 1)
    restored = restore(cast.greet, "user", at=then.at, by=cast.alice)
    assert (restored.result, restored.wanted) == ("substituted", then.digest)
    assert "Version 2 is withdrawn, and version 1 stands in for it: It insults people." in restored.reasons
    assert served(cast, cast.alice).receipt.base == 1
    lift(cast.greet, 2, by=cast.operator)
    assert served(cast, cast.alice).digest == then.digest


def run_of(cast: Cast, who: Actor) -> Any:
    return accept(cast.greet, {"name": "Ann"}, by=who).run_id


def test_it_wins_over_a_queued_run_whose_receipt_says_from_what_to_what(cast: Cast, model: FakeModel) -> None:
    version(cast, "You shout.")
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    run_id, other = run_of(cast, cast.alice), run_of(cast, cast.bob)
    accepted = find_run(run_id, cast.alice)
    assert accepted is not None and accepted.receipt["base"] == 2
    stop(cast, 2, 1)
    now = served(cast, cast.alice)
    assert look() == 2
    run, bobs = find_run(run_id, cast.alice), find_run(other, cast.bob)
    assert run is not None and bobs is not None
    assert run.receipt["withdrawn"] == {"version": 2, "replacement": 1}
    assert (run.receipt["base"], run.receipt["user"], run.receipt["digest"]) == (1, 1, now.digest)
    assert bobs.receipt["withdrawn"] == {"version": 2, "replacement": 1}
    assert not any("You shout." in str(asked["messages"]) for asked in model.requests)


def test_a_queued_run_says_the_version_that_was_asked_for_though_its_replacement_is_withdrawn_too(
    cast: Cast, model: FakeModel
) -> None:
    version(cast, "You shout.")
    version(cast, "You mumble.", current=False)
    stop(cast, 2, 3)
    run_id = run_of(cast, cast.alice)
    stop(cast, 3, 1)
    assert look() == 1
    run = find_run(run_id, cast.alice)
    assert run is not None
    assert (run.receipt["base"], run.receipt["withdrawn"]) == (1, {"version": 2, "replacement": 1})


def test_it_wins_before_each_attempt_of_a_run_that_has_begun(cast: Cast, model: FakeModel) -> None:
    version(cast, "You shout.")
    asked_under: list[Any] = []

    def first() -> Answer:
        stop(cast, 2, 1)
        return Answer('{"greting": "Hello"}')

    def after() -> Answer:
        receipt = find_run(run_id, cast.alice)
        asked_under.append(receipt and receipt.receipt["withdrawn"])
        return greeting("Hello Ann")

    answers = iter([first, after])

    def answer(_: Any) -> Answer:
        try:
            return next(answers)()
        finally:
            connections.close_all()  # the model's own thread has its own

    model.default = answer
    run_id = run_of(cast, cast.alice)
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None
    assert (run.state, run.receipt["base"], run.attempts) == ("succeeded", 1, 2)
    assert asked_under == [{"version": 2, "replacement": 1}]  # written before the attempt
    assert "You shout." in str(model.requests[0]["messages"])
    assert "You shout." not in str(model.requests[1]["messages"])
    assert "greting" not in str(model.requests[1]["messages"])  # begun anew, not repaired
    with cast.alice.present():
        assert [row.kind for row in Attempt.objects.order_by("number")] == ["first", "first"]


def test_a_run_whose_input_the_replacement_does_not_take_fails_and_says_why(cast: Cast, model: FakeModel) -> None:
    wider = {**GREET["input"], "properties": {"name": {"type": "string", "maxLength": 900}}}
    version(cast, input=wider)
    run_id = accept(cast.greet, {"name": "A" * 800}, by=cast.alice).run_id
    stop(cast, 2, 1)
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None
    assert (run.state, run.error["type"], run.error["problems"][0]["pointer"]) == ("failed", "unrenderable", "/name")
    assert "replaces a withdrawn one" in run.error["detail"]
    assert model.requests == []


def test_an_ordinary_run_is_still_held_to_its_digest(cast: Cast, model: FakeModel) -> None:
    version(cast)
    run_id = run_of(cast, cast.alice)
    with cast.alice.present():
        run = Run.objects.get(pk=run_id)
        run.receipt["digest"] = "1:another"
        run.save(update_fields=["receipt"])
    stop(cast, 2, 1)
    look()
    ended = find_run(run_id, cast.alice)
    assert ended is not None and ended.error is not None
    assert (ended.state, ended.error["type"], model.requests) == ("failed", "unreproducible", [])


def test_the_clock_of_a_withdrawal_is_the_databases(cast: Cast) -> None:
    version(cast)
    with cast.ada.present():
        before = clock()
    row = stop(cast, 2, 1).row
    with cast.ada.present():
        assert before < row.valid_from < clock()
