"""Going back under a policy that has changed since, and saving beside changes that somebody else has broken."""

from typing import Any

import pytest

from features.actions.overrides import ANY, rollback_override, save_operation
from features.actions.pins import restore
from features.actions.policy import set_policy
from features.actions.versions import publish
from features.resolve import clock, serve_warm
from tenants.actor import Actor
from tenants.errors import Invalid
from tests.cast import GREET, Cast


def served(cast: Cast, who: Actor) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def now(cast: Cast) -> Any:
    with cast.ada.present():
        return clock()


def change(cast: Cast, who: Actor, field: str, operation: Any, layer: Any = "user") -> Any:
    return save_operation(cast.greet, layer, field, operation, expected=ANY, by=who)


def test_what_the_policy_kept_inactive_then_is_left_out_of_what_is_put_back(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    set_policy(users_may_override=False, by=cast.ada)
    then, before = now(cast), served(cast, cast.alice).digest
    set_policy(users_may_override=True, by=cast.ada)
    assert served(cast, cast.alice).digest != before
    restored = restore(cast.greet, "user", at=then, by=cast.alice)
    assert (restored.result, served(cast, cast.alice).digest) == ("exact", before)


def test_where_the_policy_keeps_own_changes_inactive_today_the_answer_says_so(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    then, before = now(cast), served(cast, cast.alice).digest
    set_policy(users_may_override=False, by=cast.ada)
    restored = restore(cast.greet, "user", at=then, by=cast.alice)
    assert (restored.result, restored.wanted) == ("substituted", before)
    assert ["policy" in reason for reason in restored.reasons] == [True]


def test_a_run_puts_own_changes_back_though_they_wait_for_the_policy(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    receipt, before = served(cast, cast.alice).receipt.as_json(), served(cast, cast.alice).digest
    set_policy(users_may_override=False, by=cast.ada)
    restored = restore(cast.greet, "user", receipt=receipt, by=cast.alice)
    assert (restored.result, restored.wanted) == ("substituted", before)
    change(cast, cast.ada, "vars.tone", {"set": "formal"}, "tenant")
    set_policy(users_may_override=True, by=cast.ada)
    assert served(cast, cast.alice).digest == before


def test_what_the_organisation_has_broken_does_not_keep_alice_from_changing_something_else(cast: Cast) -> None:
    change(cast, cast.alice, "instructions.mine", {"set": "{{ vars.language }} please"})
    change(cast, cast.ada, "vars.language", {"remove": True}, "tenant")
    saved = change(cast, cast.alice, "vars.tone", {"set": "warm"})
    assert [(item.operation.field, item.reason) for item in saved.suspended] == [("instructions.mine", "broken")]
    assert served(cast, cast.alice).effective.fields["vars.tone"] == "warm"
    with pytest.raises(Invalid, match="would not work"):
        change(cast, cast.alice, "instructions.mine", {"set": "{{ vars.language }} thanks"})


def test_what_would_break_ones_own_working_change_is_refused(cast: Cast) -> None:
    change(cast, cast.alice, "vars.label", {"set": "x"})
    change(cast, cast.alice, "instructions.mine", {"set": "{{ vars.label }} please"})
    with pytest.raises(Invalid, match="would not work"):
        change(cast, cast.alice, "vars.label", None)


def test_going_back_to_a_revision_brings_its_conflicts_back(cast: Cast) -> None:
    role = "instructions.role"
    change(cast, cast.alice, role, {"set": "You wave."})
    change(cast, cast.alice, role, None)
    changed = {**GREET, "instructions": {**GREET["instructions"], "role": "You bow."}}
    publish(cast.greet, behavior=changed, make_current=True, by=cast.operator)
    change(cast, cast.alice, role, {"set": "You wave."})
    assert served(cast, cast.alice).receipt.base == 2
    rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    assert served(cast, cast.alice).receipt.base == 1
