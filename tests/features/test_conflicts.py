"""The base moves under overrides: what becomes of each operation, who stays behind, and what deciding does."""

from dataclasses import replace
from typing import Any

import pytest

from backend.api.conflicts import conflicts_json, resolved_json
from features.actions.conflicts import Conflicts, Resolved, conflicts, resolve
from features.actions.overrides import ANY, Expected, rollback_override, save_operation, save_override
from features.actions.pins import pin, restore, unpin
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.actions.withdrawals import lift, withdraw
from features.engine import dumps
from features.models import Override
from features.resolve import forget, serve, serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Forbidden, Invalid, Malformed, NotFound, Stale
from tenants.models import AuditEvent
from tests.backend.api.acts import behavior
from tests.cast import GREET_RULES, Cast

ROLE, TONE, LANGUAGE = "instructions.role", "vars.tone", "vars.language"
HIDING = {**GREET_RULES, ROLE: {"edit": "locked", "hidden": True}}


def release(cast: Cast, rules: Any = None, **changes: Any) -> int:
    """Publish a version, current at once; `instructions__role="…"` is that field, None takes one out."""
    rules = GREET_RULES if rules is None else rules
    return publish(cast.greet, behavior=behavior(**changes), rules=rules, make_current=True, by=cast.operator).number


def change(cast: Cast, who: Actor, field: str, operation: Any, layer: Any = "user") -> None:
    save_operation(cast.greet, layer, field, operation, expected=ANY, by=who)


def served(cast: Cast, who: Actor) -> Served:
    with who.present():
        now = serve(cast.greet, who.tenant_id, who.acting_for())
        assert serve_warm(cast.greet, who.tenant_id, who.acting_for()).receipt == now.receipt
        return now


def on(cast: Cast, *people: Actor) -> list[int]:
    """The versions that people are on."""
    return [served(cast, who).base.number for who in people]


def look(cast: Cast, who: Actor, layer: Any = "user") -> Conflicts:
    return conflicts(cast.greet, layer, by=who)


def decide(cast: Cast, who: Actor, layer: Any = "user", **options: Any) -> Any:
    """`decide(cast, alice)(instructions__role="keep")`"""
    options.setdefault("expected", ANY)

    def with_these(**decisions: Any) -> Resolved:
        named = {name.replace("__", "."): decision for name, decision in decisions.items()}
        return resolve(cast.greet, layer, named, **options, by=who)

    return with_these


def revisions(cast: Cast, who: Actor) -> int:
    with who.present():
        return Override.objects.filter(subject_id=who.acting_for().id).count()


OUTCOMES = {
    "what the vendor left alone is carried": (ROLE, {"set": "Mine."}, {"vars__language": "Greek"}, "carried", None, 2),
    "what the vendor has made the same is redundant": (
        LANGUAGE, {"set": "Greek"}, {"vars__language": "Greek"}, "redundant", "vendor", 2,
    ),
    "what the vendor dropped is orphaned": (
        "instructions.tone", {"set": "Mine."}, {"instructions__tone": None}, "orphaned", "vendor", 2,
    ),
    "what the vendor locked is suspended": (
        TONE, {"set": "warm"}, {"rules": {TONE: {"edit": "locked"}}}, "suspended", None, 2,
    ),
    "a value that the vendor changed is kept, in conflict": (
        LANGUAGE, {"set": "Greek"}, {"vars__language": "German"}, "conflict", "vendor", 2,
    ),
    "a text that the vendor changed is in conflict, and held": (
        ROLE, {"set": "Mine."}, {"instructions__role": "Theirs."}, "conflict", "vendor", 1,
    ),
    "a changed example is held": (
        "examples.first", {"set": {"input": {"name": "Eve"}, "output": {"greeting": "Yo"}}},
        {"examples__first": {"input": {"name": "Eva"}, "output": {"greeting": "Hi"}}}, "conflict", "vendor", 1,
    ),
    "what one appended to is carried, and listed": (
        ROLE, {"append": "Mine."}, {"instructions__role": "Theirs."}, "carried", "vendor", 2,
    ),
    "what one removed is carried, and listed": (
        ROLE, {"remove": True}, {"instructions__role": "Theirs."}, "carried", "vendor", 2,
    ),
    "a field that both have added is in conflict": (
        "instructions.new", {"set": "Mine."}, {"instructions__new": "Theirs."}, "conflict", "vendor", 1,
    ),
    "what no longer works on the new base is broken, and held": (
        "instructions.new", {"set": "In {{ vars.language }}."}, {"vars__language": None}, "broken", None, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTCOMES)
def test_each_outcome_of_a_moved_base(case: str, cast: Cast) -> None:
    field, operation, released, outcome, changed, base = OUTCOMES[case]
    change(cast, cast.alice, field, operation)
    assert look(cast, cast.alice).items[0].rebased.outcome == "carried"
    assert release(cast, **released) == 2
    [item] = look(cast, cast.alice).items
    assert (item.rebased.outcome, item.rebased.changed) == (outcome, changed)
    assert item.open == (outcome in ("conflict", "broken"))
    assert item.rebased.holds == (base == 1)
    assert on(cast, cast.alice, cast.bob, cast.ada, cast.mallory) == [base, 2, 2, 2]


def test_what_the_organisation_changed_is_listed_and_always_kept(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    [item] = look(cast, cast.alice).items
    assert (item.rebased.outcome, item.rebased.changed, item.rebased.now) == ("carried", "tenant", "Acme's.")
    assert served(cast, cast.alice).effective.fields[ROLE] == "Alice's."


def test_a_save_of_the_organisation_that_breaks_a_users_suspends_it_and_holds_nobody(cast: Cast) -> None:
    change(cast, cast.alice, "instructions.new", {"set": "In {{ vars.language }}."})
    change(cast, cast.ada, LANGUAGE, {"remove": True}, "tenant")
    [item] = look(cast, cast.alice).items
    assert (item.rebased.outcome, item.open) == ("suspended", False)
    release(cast, instructions__role="Theirs.")
    assert on(cast, cast.alice, cast.ada) == [2, 2]


def test_an_organisations_conflict_holds_all_its_people_and_nobody_else(cast: Cast) -> None:
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    release(cast, instructions__role="Theirs.")
    assert on(cast, cast.ada, cast.alice, cast.bob, cast.acme_service) == [1, 1, 1, 1]
    assert on(cast, cast.gus, cast.mallory, cast.globex_service) == [2, 2, 2]
    assert served(cast, cast.bob).receipt.held == {"by": "tenant", "fields": [ROLE], "wanted": 2}


def test_a_users_conflict_holds_only_them_until_they_decide(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.", vars__language="Greek")
    assert on(cast, cast.alice, cast.bob, cast.ada) == [1, 2, 2]
    done = decide(cast, cast.alice)(instructions__role="keep")
    assert (done.before.base, done.after.base, done.held, done.open) == (1, 2, None, ())
    assert [c.field for c in done.changes] == [LANGUAGE]
    now = served(cast, cast.alice)
    assert (now.receipt, now.effective.fields[ROLE]) == (done.after, "Alice's.")
    assert look(cast, cast.alice).items[0].rebased.outcome == "carried"


def test_taking_theirs_takes_the_own_operation_out(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    change(cast, cast.alice, TONE, {"set": "warm"})
    release(cast, instructions__role="Theirs.")
    done = decide(cast, cast.alice)(instructions__role="take")
    now = served(cast, cast.alice)
    assert (now.receipt, now.base.number) == (done.after, 2)
    assert (now.effective.fields[ROLE], now.effective.fields[TONE]) == ("Theirs.", "warm")
    assert [item.field for item in look(cast, cast.alice).items] == [TONE]


def test_an_edit_takes_the_place_of_the_operation_and_knows_the_new_base(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    done = decide(cast, cast.alice, message="Both")(instructions__role={"append": "And Alice's."})
    assert served(cast, cast.alice).effective.fields[ROLE] == "Theirs.\n\nAnd Alice's."
    assert done.row is not None
    assert (done.row.number, done.row.message) == (2, "Both")
    assert done.row.operations[0]["based_on"]["base"] == 2
    release(cast, instructions__role="Theirs.", vars__language="Greek")
    assert on(cast, cast.alice) == [3]


def test_holding_a_value_that_is_kept_by_default_goes_back_until_it_is_decided(cast: Cast) -> None:
    change(cast, cast.alice, LANGUAGE, {"set": "Greek"})
    release(cast, vars__language="German")
    assert on(cast, cast.alice) == [2]
    done = decide(cast, cast.alice)(vars__language="hold")
    assert done.held is not None
    assert (done.after.base, done.held.fields, done.open) == (1, (LANGUAGE,), (LANGUAGE,))
    change(cast, cast.alice, TONE, {"set": "warm"})
    assert on(cast, cast.alice) == [1]  # what did not change keeps its wish
    assert [item.rebased.holds for item in look(cast, cast.alice).items] == [True, False]
    decide(cast, cast.alice)(vars__language="keep")
    assert on(cast, cast.alice) == [2]
    release(cast, vars__language="French")
    assert on(cast, cast.alice) == [3]  # a wish is for the conflict that it was said of


def test_one_of_two_conflicts_decided_leaves_the_other_holding(cast: Cast) -> None:
    tone = "instructions.tone"
    save_override(cast.greet, "user", {"set": {ROLE: "A", tone: "B"}}, expected=ANY, by=cast.alice)
    release(cast, instructions__role="Theirs.", instructions__tone="Theirs too.")
    done = decide(cast, cast.alice)(instructions__role="keep")
    assert done.held is not None
    assert (done.after.base, done.held.fields, done.open) == (1, (tone,), (tone,))
    assert [(i.field, i.open) for i in look(cast, cast.alice).items] == [(ROLE, False), (tone, True)]
    decide(cast, cast.alice)(instructions__tone="take")
    assert on(cast, cast.alice) == [2]


def test_a_version_without_the_conflict_releases_whoever_was_held(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    assert on(cast, cast.alice) == [1]
    release(cast, vars__language="Greek")
    assert on(cast, cast.alice) == [3]


def test_a_hold_is_on_the_newest_version_that_fits_and_is_not_withdrawn(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, vars__language="Greek")
    release(cast, instructions__role="Theirs.")
    assert on(cast, cast.alice, cast.bob) == [2, 3]
    withdraw(cast.greet, 2, replacement=3, reason="It insults people", by=cast.operator)
    assert on(cast, cast.alice) == [1]
    withdraw(cast.greet, 1, replacement=3, reason="That one too", by=cast.operator)
    assert on(cast, cast.alice) == [3]  # the vendor's stop wins, and what is one's own is kept
    assert served(cast, cast.alice).effective.fields[ROLE] == "Alice's."
    lift(cast.greet, 2, by=cast.operator)
    assert on(cast, cast.alice) == [2]


def test_a_save_while_held_is_judged_by_what_is_served(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, rules={**GREET_RULES, TONE: {"edit": "locked"}}, instructions__role="Theirs.")
    change(cast, cast.alice, TONE, {"set": "warm"})
    assert served(cast, cast.alice).effective.fields[TONE] == "warm"
    done = decide(cast, cast.alice)(instructions__role="keep")
    assert [(item.operation.field, item.reason) for item in done.suspended] == [(TONE, "rule")]
    assert served(cast, cast.alice).effective.fields[TONE] == "plain"


def test_an_edit_is_judged_by_the_new_bases_rules_and_every_violation_is_named(cast: Cast) -> None:
    save_override(cast.greet, "user", {"set": {ROLE: "A", LANGUAGE: "Greek"}}, expected=ANY, by=cast.alice)
    rules = {**GREET_RULES, ROLE: {"max_chars": 5}, LANGUAGE: {"choices": ["English", "German", "Greek"]}}
    release(cast, rules=rules, instructions__role="Their", vars__language="German")
    before = served(cast, cast.alice).receipt
    with pytest.raises(Invalid) as refused:
        decide(cast, cast.alice)(instructions__role={"set": "Too long"}, vars__language={"set": "Latin"})
    assert {(p.pointer, p.rule) for p in refused.value.errors} == {
        (f"/fields/{ROLE}/set", "max_chars"), (f"/fields/{LANGUAGE}/set", "choices"),
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        decide(cast, cast.alice)(instructions__role={"set": "{{x}}"})
    assert [p.pointer for p in refused.value.errors] == [f"/fields/{ROLE}/set"]
    assert (served(cast, cast.alice).receipt, revisions(cast, cast.alice)) == (before, 1)
    assert decide(cast, cast.alice)(instructions__role={"set": "Short"}).after.base == 2


def test_what_is_broken_may_be_kept_inactive_or_mended(cast: Cast) -> None:
    fields = {"instructions.new": "In {{ vars.language }}.", ROLE: "Alice's."}
    save_override(cast.greet, "user", {"set": fields}, expected=ANY, by=cast.alice)
    release(cast, vars__language=None, instructions__role="Theirs.")
    new, _ = look(cast, cast.alice).items
    assert [p.pointer for p in new.problems] == ["/set/instructions.new"]
    done = decide(cast, cast.alice)(instructions__new="keep", instructions__role={"set": "Mine."})
    assert (done.after.base, [item.reason for item in done.suspended]) == (2, ["broken"])
    rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    assert on(cast, cast.alice) == [1]  # what was decided is undone with it
    done = decide(cast, cast.alice)(instructions__new={"set": "In Greek."}, instructions__role="keep")
    assert (done.after.base, done.suspended) == (2, ())


def test_what_is_not_in_conflict_is_refused_by_name(cast: Cast) -> None:
    save_override(cast.greet, "user", {"set": {ROLE: "A", TONE: "warm"}}, expected=ANY, by=cast.alice)
    release(cast, instructions__role="Theirs.")
    with pytest.raises(Invalid) as refused:
        decide(cast, cast.alice)(instructions__role="keep", vars__tone="keep", vars__nothing="take")
    assert {p.pointer for p in refused.value.errors} == {f"/fields/{TONE}", "/fields/vars.nothing"}
    for nonsense in ("theirs", 1, None, {}, {"set": "a", "append": "b"}):
        with pytest.raises(Malformed):
            decide(cast, cast.alice)(instructions__role=nonsense)
    with pytest.raises(Malformed):
        decide(cast, cast.alice)()
    assert (on(cast, cast.alice), revisions(cast, cast.alice)) == ([1], 1)


def test_a_decision_over_a_newer_revision_or_version_changes_nothing(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    seen = look(cast, cast.alice)
    assert seen.row is not None
    change(cast, cast.alice, TONE, {"set": "warm"})
    with pytest.raises(Stale):
        decide(cast, cast.alice, expected=Expected(etag=seen.row.etag))(instructions__role="keep")
    release(cast, instructions__role="Theirs, once more.")
    with pytest.raises(Stale):
        decide(cast, cast.alice, version=seen.after.base.number)(instructions__role="keep")
    assert (on(cast, cast.alice), revisions(cast, cast.alice)) == ([1], 2)
    assert decide(cast, cast.alice, version=3, expected=Expected(etag='"2"'))(instructions__role="keep").held is None


def test_a_rehearsal_answers_the_same_and_leaves_nothing(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    before = served(cast, cast.alice).receipt
    with cast.alice.present():
        events = AuditEvent.objects.count()
    told = decide(cast, cast.alice, dry_run=True)(instructions__role={"set": "Rehearsed."})
    assert (served(cast, cast.alice).receipt, revisions(cast, cast.alice)) == (before, 1)
    with cast.alice.present():
        assert AuditEvent.objects.count() == events
    real = decide(cast, cast.alice)(instructions__role={"set": "Rehearsed."})
    assert resolved_json(replace(told, row=None), False) == resolved_json(replace(real, row=None), False)


def test_no_cache_remembers_what_was_only_rehearsed(cast: Cast) -> None:
    """A rehearsal's revision number comes to mean another revision."""
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    decide(cast, cast.alice, dry_run=True)(instructions__role={"set": "Rehearsed."})
    decide(cast, cast.alice, dry_run=True)(instructions__role="hold")
    done = decide(cast, cast.alice)(instructions__role={"set": "Real."})
    kept = served(cast, cast.alice)
    forget()
    assert served(cast, cast.alice).receipt == kept.receipt == done.after
    assert kept.effective.fields[ROLE] == "Real."


def test_what_a_decision_did_stands_in_the_audit_without_values(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    decide(cast, cast.alice)(instructions__role={"set": "Edited."})
    with cast.alice.present():
        event = AuditEvent.objects.order_by("-at").first()
    assert event is not None
    assert (event.verb, event.detail["decisions"], event.detail["revision"]) == ("override.user", {ROLE: "edit"}, 2)
    assert "Edited" not in str(event.detail)


def test_both_changes_are_offered_as_one_text_where_they_do_not_touch(cast: Cast) -> None:
    release(cast, instructions__role="One.\nTwo.\nThree.")
    change(cast, cast.alice, ROLE, {"set": "One.\nTwo.\nMine."})
    change(cast, cast.bob, ROLE, {"set": "Mine.\nTwo.\nThree."})
    release(cast, instructions__role="Theirs.\nTwo.\nThree.")
    assert look(cast, cast.alice).items[0].merged == "Theirs.\nTwo.\nMine."
    assert look(cast, cast.bob).items[0].merged is None


def test_hidden_text_is_nowhere_in_what_is_told(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "You greet people.\nAlice's."})
    change(cast, cast.alice, "instructions.tone", {"set": "{{ vars.tone }}"})
    release(cast, rules=HIDING, instructions__role="SECRET", instructions__tone="Theirs.")
    told = look(cast, cast.alice)
    role, tone = told.items
    assert (role.hidden, role.merged, role.rebased.outcome) == (True, None, "suspended")
    assert tone.hidden is False
    assert "SECRET" not in dumps({**conflicts_json(told, "user")} | {"held": None})
    done = decide(cast, cast.alice)(instructions__tone="keep")
    assert done.after.base == 2
    assert "SECRET" not in dumps(resolved_json(done, False) | {"override": None, "before": None, "after": None})
    release(cast, instructions__tone="Theirs.")
    [role, _] = look(cast, cast.alice).items
    assert (role.hidden, role.rebased.now) == (False, "You greet people.")
    release(cast, rules=HIDING, instructions__tone="Theirs.")
    release(cast, instructions__role="SECRET\nYou greet people.", instructions__tone="Theirs.")
    told = look(cast, cast.alice)  # held where it is hidden, though the newest version shows it
    assert (told.before.base.number, told.items[0].open, told.items[0].merged) == (4, True, None)
    assert "SECRET" not in dumps(conflicts_json(told, "user"))


def test_what_the_organisation_hides_from_its_users_is_not_told_to_them(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    document = {"set": {ROLE: "SECRET"}, "rules": {ROLE: {"edit": "locked", "hidden": True}}}
    save_override(cast.greet, "tenant", document, expected=ANY, by=cast.ada)
    told = look(cast, cast.alice)
    assert [(item.hidden, item.rebased.outcome) for item in told.items] == [(True, "suspended")]
    assert "SECRET" not in dumps(conflicts_json(told, "user"))
    assert look(cast, cast.ada, "tenant").items[0].hidden is False


def test_whoever_stays_sees_what_following_would_be_and_deciding_ends_no_pin(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    release(cast, instructions__role="Theirs.")
    told = look(cast, cast.alice)
    assert (told.before.base.number, told.after.base.number, told.items[0].open) == (1, 2, True)
    done = decide(cast, cast.alice)(instructions__role="keep")
    assert done.after.pin is not None
    assert (done.after.base, done.held, done.open) == (1, None, ())
    assert served(cast, cast.alice).receipt == done.after
    unpin(cast.greet, "user", by=cast.alice)
    assert on(cast, cast.alice) == [2]


@pytest.mark.parametrize("layer", ["user", "tenant"])
def test_under_a_snapshot_what_is_pinned_is_decided_on_and_the_pin_moves_along(layer: Any, cast: Cast) -> None:
    who = cast.alice if layer == "user" else cast.ada
    change(cast, who, ROLE, {"set": "Pinned."}, layer)
    pin(cast.greet, layer, kind="snapshot", by=who)
    release(cast, instructions__role="Theirs.")
    decided = decide(cast, who, layer)(instructions__role={"set": "Decided."})
    now = served(cast, cast.alice)
    assert now.effective.fields[ROLE] == "Decided."
    assert (now.base.number, getattr(now.choice, layer)) == (1, 2)
    if layer == "user":
        assert now.receipt == decided.after
    unpin(cast.greet, layer, by=who)
    assert on(cast, who) == [2]


def test_under_a_snapshot_of_an_older_revision_that_one_is_decided_on(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Older."})
    then = served(cast, cast.alice).at
    change(cast, cast.alice, ROLE, {"set": "Newer."})
    restore(cast.greet, "user", at=then, by=cast.alice)
    release(cast, instructions__role="Theirs.")
    assert [item.rebased.operation.value for item in look(cast, cast.alice).items] == ["Older."]
    done = decide(cast, cast.alice)(instructions__role="hold")
    assert done.open == (ROLE,)
    assert done.row is not None
    assert (done.row.number, done.row.operations[0]["value"]) == (3, "Older.")
    decide(cast, cast.alice)(instructions__role="take")
    unpin(cast.greet, "user", by=cast.alice)
    assert served(cast, cast.alice).effective.fields[ROLE] == "Theirs."


def test_going_back_to_the_version_before_a_decision_holds_on_the_one_decided_on(cast: Cast) -> None:
    """What one has decided knowing version 2 is another matter on version 1: the same comparison, either way."""
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    decide(cast, cast.alice)(instructions__role="keep")
    set_current(cast.greet, 1, by=cast.operator)
    assert on(cast, cast.alice, cast.bob) == [2, 1]


def test_users_whose_changes_are_inactive_hold_nothing_and_may_not_edit(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    set_policy(users_may_override=False, by=cast.ada)
    assert on(cast, cast.alice) == [2]
    with pytest.raises(Invalid) as refused:
        decide(cast, cast.alice)(instructions__role={"set": "Edited."})
    assert [p.rule for p in refused.value.errors] == ["users_may_override"]
    decide(cast, cast.alice)(instructions__role="keep")
    set_policy(users_may_override=True, by=cast.ada)
    assert on(cast, cast.alice) == [2]


def test_only_admins_decide_for_the_organisation_and_nobody_without_a_layer(cast: Cast) -> None:
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    release(cast, instructions__role="Theirs.")
    with pytest.raises(Forbidden):
        decide(cast, cast.alice, "tenant")(instructions__role="take")
    with pytest.raises(Forbidden):
        decide(cast, cast.vera)(instructions__role="take")
    with pytest.raises(NotFound):
        decide(cast, cast.acme_service)(instructions__role="take")
    done = decide(cast, cast.ada, "tenant")(instructions__role="take")
    assert (done.held, on(cast, cast.ada, cast.alice, cast.gus)) == (None, [2, 2, 2])
