"""Admins and their people: who has changed what, inheriting again, and what a departing colleague leaves to another."""

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from features.actions.availability import set_available
from features.actions.overrides import ANY, rollback_override, save_override
from features.actions.people import inherit_for, leave_to, overrides_of
from features.actions.pins import pin, pin_now
from features.actions.versions import create_feature, publish
from features.models import Feature, Override
from features.people import people_of
from features.resolve import serve_warm
from tenants.actions import find_member, remove_member
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.models import AuditEvent
from tenants.subjects import external_subject
from tests.cast import GREET, Cast

TONE, MINE = "vars.tone", "instructions.mine"


def served(cast: Cast, who: Actor, feature: Feature | None = None) -> Any:
    with who.present():
        return serve_warm(feature or cast.greet, who.tenant_id, who.acting_for())


def mine(cast: Cast, who: Actor, feature: Feature | None = None, **document: Any) -> Any:
    return save_override(feature or cast.greet, "user", document, expected=ANY, by=who)


def another(cast: Cast) -> Feature:
    return create_feature(key="other", title="Other", behavior=GREET, by=cast.operator)[0]


def leave(cast: Cast, **options: Any) -> Any:
    """Alice's, to Bob."""
    return leave_to(cast.alice.acting_for(), cast.bob.acting_for(), by=cast.ada, **options)


def remove_alice(cast: Cast) -> None:
    remove_member(find_member(cast.alice.acting_for().id, cast.ada), by=cast.ada)


def test_admins_see_who_has_changed_what_and_nobody_elses(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    mine(cast, cast.mallory, set={TONE: "formal"})
    mine(cast, cast.bob, set={TONE: "warm"})
    mine(cast, cast.bob)  # took it out again
    save_override(cast.greet, "tenant", {"set": {TONE: "plain"}}, expected=ANY, by=cast.ada)
    with cast.ada.present():
        assert [row.subject.key for row in overrides_of(cast.greet)] == [cast.alice.acting_for().key]


def test_somebody_inherits_again_sees_who_did_it_and_can_take_it_back(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    before, inherited = served(cast, cast.alice).digest, served(cast, cast.bob).digest
    inherit_for(cast.greet, cast.alice.acting_for(), by=cast.ada)
    assert served(cast, cast.alice).digest == inherited
    with cast.alice.present():
        row = Override.objects.get(subject_id=cast.alice.acting_for().id, valid_to=None)
        event = AuditEvent.objects.filter(verb="override.others").get()
    assert (row.number, row.author, event.actor) == (2, cast.ada.label, cast.ada.label)
    assert event.detail["subject"] == str(cast.alice.acting_for().id)
    rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    assert served(cast, cast.alice).digest == before


def test_only_admins_do_and_only_where_there_is_something(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    for act in (
        lambda: inherit_for(cast.greet, cast.alice.acting_for(), by=cast.bob),
        lambda: leave_to(cast.alice.acting_for(), cast.bob.acting_for(), by=cast.bob),
        lambda: leave_to(cast.alice.acting_for(), cast.bob.acting_for(), by=cast.acme_service),
    ):
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(NotFound):
        inherit_for(cast.greet, cast.bob.acting_for(), by=cast.ada)
    with pytest.raises(NotFound):
        leave_to(cast.bob.acting_for(), cast.alice.acting_for(), by=cast.ada)


def test_a_colleague_who_has_left_leaves_what_was_theirs(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm", MINE: "As Alice likes it."})
    pin(cast.greet, "user", kind="base", version=1, reason="It works", by=cast.alice)
    behavior = {**GREET, "instructions": {"role": "Anew.", "safety": "Be safe."}}
    publish(cast.greet, behavior=behavior, make_current=True, by=cast.operator)
    hers = served(cast, cast.alice)
    vera = served(cast, cast.vera).digest
    remove_alice(cast)
    [left] = leave(cast)
    his = served(cast, cast.bob)
    assert his.digest == hers.digest
    assert (his.receipt.base, left.pin.reason, left.pin.author) == (1, "It works", cast.ada.label)
    assert left.saved.row.author == cast.ada.label
    assert left.saved.row.operations[0]["based_on"]["base"] == 1  # what she saw, not what he would
    assert (served(cast, cast.alice).digest, served(cast, cast.vera).digest) == (hers.digest, vera)


def test_a_snapshot_is_left_with_the_revision_that_it_stays_on(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    mine(cast, cast.alice, set={TONE: "formal"})
    hers = served(cast, cast.alice).digest
    with cast.alice.present():
        row = pin_now(cast.greet, cast.alice.acting_for())
    assert row is not None and row.user_revision == 2
    [left] = leave(cast)
    assert served(cast, cast.bob).digest == hers
    assert (left.pin.kind, left.pin.user_revision) == ("snapshot", left.saved.row.number)


def test_what_the_other_has_is_not_replaced_unasked_and_then_all_of_it_is(cast: Cast) -> None:
    other = another(cast)
    for feature in (cast.greet, other):
        mine(cast, cast.alice, feature, set={TONE: "warm"})
    mine(cast, cast.bob, set={TONE: "formal"})
    pin(cast.greet, "user", kind="snapshot", by=cast.bob)
    with pytest.raises(Conflict, match="greet") as refused:
        leave(cast)
    assert refused.value.extra["features"] == ["greet"]
    assert served(cast, cast.bob, other).effective.fields[TONE] == "plain"  # nothing is half done
    assert [item.feature.key for item in leave(cast, features=[other])] == ["other"]
    assert served(cast, cast.bob, other).effective.fields[TONE] == "warm"
    leave(cast, replace=True)
    assert served(cast, cast.bob).effective.fields[TONE] == "warm"
    with cast.bob.present():
        assert pin_now(cast.greet, cast.bob.acting_for()) is None
    rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.bob)
    assert served(cast, cast.bob).effective.fields[TONE] == "formal"


def test_a_rehearsal_leaves_nothing_to_anybody(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    before = served(cast, cast.bob).digest
    [left] = leave(cast, dry_run=True)
    assert left.saved.row.number == 1
    assert served(cast, cast.bob).digest == before


def test_it_can_be_left_to_a_customers_user_and_to_nobody_who_has_left(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    customer = external_subject(cast.ada.tenant_id, "u1")
    assert leave_to(cast.alice.acting_for(), customer, by=cast.ada)
    mine(cast, cast.bob, set={TONE: "formal"})
    remove_alice(cast)
    with pytest.raises(Invalid) as refused:
        leave_to(cast.bob.acting_for(), cast.alice.acting_for(), replace=True, by=cast.ada)
    assert [problem.pointer for problem in refused.value.errors] == ["/to"]
    with pytest.raises(Invalid):
        leave_to(customer, customer, by=cast.ada)


def test_what_todays_rules_forbid_is_left_suspended(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    save_override(cast.greet, "tenant", {"rules": {TONE: {"edit": "tenant"}}}, expected=ANY, by=cast.ada)
    [left] = leave(cast)
    assert [(item.operation.field, item.reason) for item in left.saved.suspended] == [(TONE, "rule")]


def test_a_feature_that_the_organisation_has_no_more_is_left_out(cast: Cast) -> None:
    other = another(cast)
    for feature in (cast.greet, other):
        mine(cast, cast.alice, feature, set={TONE: "warm"})
    set_available(other, listed_only=True, by=cast.operator)
    assert [item.feature.key for item in leave(cast)] == ["greet"]


def test_a_pin_of_the_others_alone_is_not_ended_unasked(cast: Cast) -> None:
    mine(cast, cast.alice, set={TONE: "warm"})
    pin(cast.greet, "user", kind="base", version=1, by=cast.bob)
    with pytest.raises(Conflict, match="a pin of their own there: greet"):
        leave(cast)
    assert served(cast, cast.bob).receipt.pin is not None


def test_however_many_keep_something_of_however_many_features_they_are_read_at_once(cast: Cast) -> None:
    def asked() -> int:
        people_of(cast.ada, "member", most=30)  # this process has served them then
        with CaptureQueriesContext(connections["default"]) as made:
            people = people_of(cast.ada, "member", most=30).people
        kept = {person.name: len(person.own) for person in people if person.own}
        assert kept == {who.name: len(features) for who in (cast.alice, cast.bob)[:keeping]}
        return len(made)

    features, keeping = [cast.greet], 1
    mine(cast, cast.alice, set={TONE: "warm"})
    few = asked()
    features, keeping = [cast.greet, another(cast)], 2
    for who in (cast.alice, cast.bob):
        for feature in features:
            pin(feature, "user", kind="base", version=1, by=who)
    assert asked() == few
