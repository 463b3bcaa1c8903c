"""Pins and their ends, and going back under a policy or to a model that is not what it was."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin, pin_now, restore, unpin
from features.actions.policy import set_policy
from features.actions.targets import add_target, end_target, keep_target
from features.actions.versions import publish
from features.actions.withdrawals import withdraw
from features.models import Pin
from features.resolve import clock, serve_warm
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound
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


def test_a_run_whose_receipt_names_another_digest_is_not_said_to_be_exact(cast: Cast) -> None:
    """Somebody has changed rows in the database itself: what is put back is not what the run was served."""
    receipt = {**served(cast, cast.alice).receipt.as_json(), "digest": "1:another"}
    restored = restore(cast.greet, "user", receipt=receipt, by=cast.alice)
    assert (restored.result, restored.wanted) == ("substituted", "1:another")


def test_a_pin_ends_when_its_maker_says_or_the_policy_whichever_is_sooner(cast: Cast) -> None:
    set_policy(users_may_pin=7, by=cast.ada)
    tomorrow, far = now(cast) + timedelta(days=1), now(cast) + timedelta(days=30)
    made = pin(cast.greet, "user", kind="base", version=1, until=tomorrow, by=cast.alice).pin
    assert made is not None and made.until == tomorrow
    made = pin(cast.greet, "user", kind="base", version=1, until=far, by=cast.alice).pin
    assert made is not None and made.until is not None and made.until < far - timedelta(days=22)
    made = pin(cast.greet, "tenant", kind="base", version=1, until=far, by=cast.ada).pin
    assert made is not None and made.until == far  # the policy is about users


def test_a_pin_cannot_end_at_or_before_the_moment_that_it_is_made(cast: Cast) -> None:
    for until in (now(cast), now(cast) - timedelta(minutes=1)):
        with pytest.raises(Invalid, match="past"):
            pin(cast.greet, "user", kind="base", version=1, until=until, by=cast.alice)


def test_a_pin_that_has_ended_is_there_no_more(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, until=now(cast) + timedelta(hours=1), by=cast.alice)
    with cast.alice.present():
        assert pin_now(cast.greet, cast.alice.acting_for()) is not None
        earlier = {name: F(name) - timedelta(hours=2) for name in ("valid_from", "valid_to", "until", "created_at")}
        Pin.objects.update(**earlier)  # as if it had been made two hours ago
        assert pin_now(cast.greet, cast.alice.acting_for()) is None
    with pytest.raises(NotFound):
        unpin(cast.greet, "user", by=cast.alice)


def test_staying_once_more_keeps_the_model_of_then_though_another_stands_in_for_it(cast: Cast) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    add_target(alias="standard", provider="demo", model="newer", input_price=1, output_price=2, by=cast.operator)
    end_target("standard", 1, at=None, by=cast.operator)
    again = pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    assert again.after.substituted
    keep_target("standard", 1, by=cast.operator)
    receipt = served(cast, cast.alice).receipt
    assert (receipt.model_target["revision"], receipt.substituted) == (1, False)


def test_what_stands_in_for_ones_version_can_be_pinned_however_long_the_chain(cast: Cast) -> None:
    for _ in range(3):
        publish(cast.greet, behavior=GREET, make_current=False, by=cast.operator)
    for number in (1, 2):
        withdraw(cast.greet, number, replacement=number + 1, reason="broken", by=cast.operator)
    assert pin(cast.greet, "user", kind="base", version=3, by=cast.alice).after.base == 3
    with pytest.raises(NotFound):
        pin(cast.greet, "user", kind="base", version=4, by=cast.alice)
