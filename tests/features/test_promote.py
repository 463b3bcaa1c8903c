"""From me to the organisation, and from the organisation to chosen users."""

from typing import Any

import pytest

from features.actions.overrides import ANY, content_of, newest, save_override
from features.actions.pins import pin
from features.actions.policy import set_policy
from features.actions.promote import hand_out, promote
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, NotFound
from tenants.models import AuditEvent
from tenants.subjects import Who, external_subject, tenant_itself
from tests.cast import Cast

ROLE, TONE, MINE = "instructions.role", "vars.tone", "instructions.mine"


def served(cast: Cast, who: Actor, subject: Who | None = None) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, subject or who.acting_for())


def fields(cast: Cast, who: Actor, subject: Who | None = None) -> Any:
    return served(cast, who, subject).effective.fields


def mine(cast: Cast, who: Actor, layer: Any = "user", **document: Any) -> None:
    save_override(cast.greet, layer, document, expected=ANY, by=who)


def changed(cast: Cast, who: Actor, subject: Who | None = None) -> dict[str, tuple[str, Any]]:
    """What a subject changes: kind and value, by field."""
    with who.present():
        operations = content_of(newest(cast.greet, subject or who.acting_for()))[0]
    return {operation.field: (operation.kind, operation.value) for operation in operations}


def ours(cast: Cast) -> dict[str, tuple[str, Any]]:
    return changed(cast, cast.ada, tenant_itself(cast.ada.tenant_id))


def test_my_changes_become_everybodys_and_stay_mine(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm", MINE: "Be brief."})
    before, globex = served(cast, cast.ada).digest, served(cast, cast.mallory).digest
    done = promote(cast.greet, by=cast.ada)
    assert (done.fields, done.replaced, done.mine) == ((TONE, MINE), (), None)
    assert (fields(cast, cast.bob)[TONE], fields(cast, cast.bob)[MINE]) == ("warm", "Be brief.")
    assert changed(cast, cast.ada) == {TONE: ("set", "warm"), MINE: ("set", "Be brief.")}
    assert (served(cast, cast.ada).digest, served(cast, cast.mallory).digest) == (before, globex)


def test_chosen_ones_are_taken_out_of_mine_and_note_what_was_seen_from_there(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm", MINE: "Be brief."})
    before = served(cast, cast.ada).digest
    done = promote(cast.greet, fields=[TONE], keep_mine=False, by=cast.ada)
    assert done.fields == (TONE,)
    assert (changed(cast, cast.ada), ours(cast)) == ({MINE: ("set", "Be brief.")}, {TONE: ("set", "warm")})
    assert served(cast, cast.ada).digest == before
    with cast.ada.present():
        [operation] = content_of(newest(cast.greet, tenant_itself(cast.ada.tenant_id)))[0]
        row = newest(cast.greet, tenant_itself(cast.ada.tenant_id))
    assert operation.based_on is not None
    assert (operation.based_on.base, operation.based_on.tenant, operation.based_on.in_base) == (1, None, True)
    assert row is not None and row.author == cast.ada.label


def test_mine_replaces_ours_and_my_paragraph_joins_ours(cast: Cast) -> None:
    mine(cast, cast.ada, "tenant", set={TONE: "warm", MINE: "House."}, append={ROLE: "Our paragraph."})
    mine(cast, cast.ada, set={TONE: "formal"}, append={ROLE: "My paragraph."}, remove=[MINE])
    before = served(cast, cast.ada).digest
    done = promote(cast.greet, keep_mine=False, by=cast.ada)
    assert (set(done.replaced), done.joined) == ({TONE, MINE}, (ROLE,))
    assert ours(cast) == {TONE: ("set", "formal"), ROLE: ("append", "Our paragraph.\n\nMy paragraph.")}
    assert (served(cast, cast.ada).digest, changed(cast, cast.ada)) == (before, {})


@pytest.mark.parametrize("theirs", [{"set": {ROLE: "You are Acme's."}}, {"append": {ROLE: "Our paragraph."}}, {}])
def test_a_paragraph_that_stays_mine_as_well_is_not_had_twice(cast: Cast, theirs: dict[str, Any]) -> None:
    mine(cast, cast.ada, "tenant", **theirs)
    mine(cast, cast.ada, append={ROLE: "My paragraph."})
    before = served(cast, cast.ada).digest
    done = promote(cast.greet, by=cast.ada)
    assert (served(cast, cast.ada).digest, served(cast, cast.bob).digest) == (before, before)
    assert done.mine is not None and changed(cast, cast.ada)[ROLE][0] == "set"
    mine(cast, cast.ada, "tenant", **theirs)
    assert served(cast, cast.ada).digest == before != served(cast, cast.bob).digest


def test_it_is_judged_as_the_organisations_save_and_refused_whole(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm"})
    before = served(cast, cast.bob).digest
    for wrong, told in (([TONE, "vars.nothing"], ("/fields/1", "absent")), ([], ("/fields", "required"))):
        with pytest.raises(Invalid) as refused:
            promote(cast.greet, fields=wrong, by=cast.ada)
        assert [(p.pointer, p.rule) for p in refused.value.errors] == [told]
    with pytest.raises(Forbidden):
        promote(cast.greet, by=cast.alice)
    with pytest.raises(NotFound):
        promote(cast.greet, by=cast.gus)
    assert served(cast, cast.bob).digest == before


def test_a_rehearsal_promotes_nothing(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm"})
    done = promote(cast.greet, keep_mine=False, by=cast.ada, dry_run=True)
    assert (done.ours.row.number, done.fields) == (1, (TONE,))
    assert (ours(cast), changed(cast, cast.ada)) == ({}, {TONE: ("set", "warm")})


def test_a_snapshot_of_ones_own_promotes_what_one_is_served(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm"})
    pin(cast.greet, "user", kind="snapshot", by=cast.ada)
    mine(cast, cast.ada, set={TONE: "formal"})  # and moves the pin
    promote(cast.greet, by=cast.ada)
    assert fields(cast, cast.bob)[TONE] == "formal"


def test_ours_are_handed_out_to_some_and_taken_from_the_rest(cast: Cast) -> None:
    mine(cast, cast.ada, "tenant", set={TONE: "warm"}, append={ROLE: "Our paragraph."})
    customer = external_subject(cast.ada.tenant_id, "u1")
    before = served(cast, cast.alice).digest
    bare = served(cast, cast.mallory).effective.fields
    done = hand_out(
        cast.greet, subjects=[cast.alice.acting_for(), customer], keep_ours=False, by=cast.ada
    )  # fmt: skip
    assert len(done.theirs) == 2
    assert (served(cast, cast.alice).digest, served(cast, cast.ada, customer).digest) == (before, before)
    assert (fields(cast, cast.bob), ours(cast)) == (bare, {})
    assert changed(cast, cast.alice) == {TONE: ("set", "warm"), ROLE: ("append", "Our paragraph.")}


def test_what_stays_ours_as_well_is_not_had_twice(cast: Cast) -> None:
    mine(cast, cast.ada, "tenant", append={ROLE: "Our paragraph."})
    before = served(cast, cast.alice).digest
    hand_out(cast.greet, subjects=[cast.alice.acting_for()], by=cast.ada)
    assert served(cast, cast.alice).digest == before
    assert changed(cast, cast.alice)[ROLE][0] == "set"
    mine(cast, cast.ada, "tenant")
    assert served(cast, cast.alice).digest == before
    assert served(cast, cast.bob).digest != before


def test_nobodys_own_change_is_replaced_unasked(cast: Cast) -> None:
    mine(cast, cast.ada, "tenant", set={TONE: "warm"})
    mine(cast, cast.bob, set={TONE: "formal", MINE: "Bob's."})
    people = [cast.alice.acting_for(), cast.bob.acting_for()]
    with pytest.raises(Conflict, match=r"member:.*: vars\.tone"):
        hand_out(cast.greet, subjects=people, by=cast.ada)
    assert changed(cast, cast.alice) == {}
    hand_out(cast.greet, subjects=people, replace_theirs=True, by=cast.ada)
    assert changed(cast, cast.bob) == {TONE: ("set", "warm"), MINE: ("set", "Bob's.")}


def test_what_users_may_not_change_is_not_handed_out_and_it_is_said_to_whom(cast: Cast) -> None:
    mine(cast, cast.ada, "tenant", set={TONE: "warm"}, rules={TONE: {"edit": "tenant"}})
    with pytest.raises(Invalid) as refused:
        hand_out(cast.greet, subjects=[cast.alice.acting_for()], by=cast.ada)
    assert refused.value.extra["subject"] == cast.alice.acting_for().key
    assert [problem.rule for problem in refused.value.errors] == ["edit"]
    set_policy(users_may_override=False, by=cast.ada)
    with pytest.raises(Invalid, match="does not let its users change"):
        hand_out(cast.greet, subjects=[cast.alice.acting_for()], by=cast.ada)
    with pytest.raises(Forbidden):
        hand_out(cast.greet, subjects=[cast.bob.acting_for()], by=cast.alice)


def test_everything_of_it_is_audited(cast: Cast) -> None:
    mine(cast, cast.ada, set={TONE: "warm"})
    promote(cast.greet, keep_mine=False, by=cast.ada)
    hand_out(cast.greet, subjects=[cast.alice.acting_for()], by=cast.ada)
    with cast.ada.present():
        told = [(e.verb, e.detail.get("what")) for e in AuditEvent.objects.order_by("id") if e.actor == cast.ada.label]
    assert ("override.tenant", "promote") in told and ("override.others", "hand out") in told
    assert ("override.user", None) in told
