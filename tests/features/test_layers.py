"""Layers as people meet them: override, inherit again, pin, restore; and nobody else is ever moved."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from backend.actors import actor_of_key
from features.actions.overrides import (
    ANY,
    Expected,
    delete_override,
    rollback_override,
    save_operation,
    save_override,
)
from features.actions.pins import end_pin_of, pin, restore, unpin
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.explain import behavior_json
from features.models import Override
from features.resolve import clock, serve, serve_warm
from tenants.actor import Actor
from tenants.errors import Forbidden, Invalid, NotFound, Stale
from tests.cast import GREET, Cast

FIRST = Expected(nothing=True)


def served(cast: Cast, who: Actor, at: Any = None) -> Any:
    with who.present():
        if at is not None:
            return serve(cast.greet, who.tenant_id, who.acting_for(), at)
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def digests(cast: Cast) -> dict[str, str]:
    return {who.name: served(cast, who).digest for who in cast.everybody()}


def now(cast: Cast) -> Any:
    with cast.ada.present():
        return clock()


def version_two(cast: Cast, **changes: Any) -> int:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "role": "You greet people politely."}, **changes}
    return publish(cast.greet, behavior=behavior, make_current=True, by=cast.operator).number


def tone(cast: Cast, who: Actor) -> Any:
    return served(cast, who).effective.fields["vars.tone"]


def set_tone(cast: Cast, who: Actor, layer: Any, value: str) -> Any:
    return save_operation(cast.greet, layer, "vars.tone", {"set": value}, expected=ANY, by=who)


def test_alice_has_hers_bob_has_acmes_mallory_has_the_vendors(cast: Cast) -> None:
    set_tone(cast, cast.ada, "tenant", "formal")
    set_tone(cast, cast.alice, "user", "warm")
    assert [tone(cast, who) for who in (cast.alice, cast.bob, cast.mallory)] == ["warm", "formal", "plain"]
    receipt = served(cast, cast.alice).receipt
    assert (receipt.base, receipt.tenant, receipt.user) == (1, 1, 1)


def test_what_alice_leaves_alone_keeps_improving(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    version_two(cast)
    fields = served(cast, cast.alice).effective.fields
    assert fields["instructions.role"] == "You greet people politely."
    assert fields["vars.tone"] == "warm"


def test_clearing_a_value_follows_the_earlier_layer_again(cast: Cast) -> None:
    before = digests(cast)
    set_tone(cast, cast.alice, "user", "warm")
    set_tone(cast, cast.ada, "tenant", "formal")
    save_operation(cast.greet, "user", "vars.tone", None, expected=ANY, by=cast.alice)
    assert tone(cast, cast.alice) == "formal"
    delete_override(cast.greet, "tenant", expected=ANY, by=cast.ada)
    assert digests(cast) == before


def test_every_save_is_a_revision_and_rolling_back_writes_another(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    first = served(cast, cast.alice).digest
    set_tone(cast, cast.alice, "user", "formal")
    saved = rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    assert (saved.row.number, served(cast, cast.alice).digest) == (3, first)
    with cast.alice.present():
        assert Override.objects.count() == 3


def test_saving_what_is_there_already_makes_no_revision(cast: Cast) -> None:
    assert [set_tone(cast, cast.alice, "user", "warm").row.number for _ in range(2)] == [1, 1]


def test_an_override_equal_to_the_vendors_is_still_ones_own(cast: Cast) -> None:
    before = served(cast, cast.alice).digest
    set_tone(cast, cast.alice, "user", "plain")
    after = served(cast, cast.alice)
    assert (after.digest, after.effective.origins["vars.tone"].layer) == (before, "user")


def test_a_stale_save_changes_nothing(cast: Cast) -> None:
    save_override(cast.greet, "user", {"set": {"vars.tone": "warm"}}, expected=FIRST, by=cast.alice)
    for expected in (FIRST, Expected(etag='"7"')):
        with pytest.raises(Stale):
            save_override(cast.greet, "user", {"set": {"vars.tone": "formal"}}, expected=expected, by=cast.alice)
    assert tone(cast, cast.alice) == "warm"


def test_a_write_that_breaks_rules_is_refused_whole_with_each_named(cast: Cast) -> None:
    document = {"set": {"vars.tone": "rude", "vars.language": "French", "output": {"type": "object"}},
                "remove": ["instructions.safety"]}  # fmt: skip
    with pytest.raises(Invalid) as refused:
        save_override(cast.greet, "user", document, expected=FIRST, by=cast.alice)
    pointers = {problem.pointer for problem in refused.value.errors}
    assert {"/set/vars.tone", "/set/output"} < pointers and len(pointers) == 3
    assert served(cast, cast.alice).receipt.user is None


def test_what_would_not_compile_is_refused_when_it_is_saved(cast: Cast) -> None:
    with pytest.raises(Invalid, match="would not work") as refused:
        save_operation(cast.greet, "user", "instructions.role", {"set": "{{ vars.nope }}"}, expected=ANY, by=cast.alice)
    assert refused.value.errors[0].pointer.startswith("/set/instructions.role")
    with pytest.raises(Invalid, match="model"):
        save_operation(cast.greet, "tenant", "model.name", {"set": "no-such-model"}, expected=ANY, by=cast.ada)


def test_a_member_cannot_change_the_organisations_layer(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        set_tone(cast, cast.alice, "tenant", "warm")
    with pytest.raises(Forbidden):
        set_tone(cast, cast.vera, "user", "warm")


def test_a_later_lock_suspends_and_gives_back(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    locked = {"rules": {"vars.tone": {"edit": "tenant"}}}
    save_override(cast.greet, "tenant", locked, expected=FIRST, by=cast.ada)
    after = served(cast, cast.alice)
    assert tone(cast, cast.alice) == "plain"
    assert [(item.operation.field, item.reason) for item in after.effective.suspended] == [("vars.tone", "rule")]
    save_override(cast.greet, "tenant", {}, expected=ANY, by=cast.ada)
    assert tone(cast, cast.alice) == "warm"


def test_rolling_back_to_what_is_forbidden_today_comes_back_suspended(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    delete_override(cast.greet, "user", expected=ANY, by=cast.alice)
    save_override(cast.greet, "tenant", {"rules": {"vars.tone": {"edit": "tenant"}}}, expected=FIRST, by=cast.ada)
    saved = rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    assert [item.operation.field for item in saved.suspended] == ["vars.tone"]
    assert tone(cast, cast.alice) == "plain"


def test_a_tenants_save_that_breaks_a_users_change_suspends_that_change(cast: Cast) -> None:
    greeting = "{{ vars.language }} please"
    save_operation(cast.greet, "user", "instructions.mine", {"set": greeting}, expected=ANY, by=cast.alice)
    save_operation(cast.greet, "tenant", "vars.language", {"remove": True}, expected=ANY, by=cast.ada)
    after = served(cast, cast.alice)
    assert [(item.operation.field, item.reason) for item in after.effective.suspended] == [
        ("instructions.mine", "broken")
    ]


def test_the_policy_against_overrides_suspends_all_of_them_and_returns_them(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    set_policy(users_may_override=False, by=cast.ada)
    after = served(cast, cast.alice)
    assert tone(cast, cast.alice) == "plain" and after.receipt.user is None
    with pytest.raises(Invalid, match="organisation"):
        set_tone(cast, cast.alice, "user", "formal")
    set_policy(users_may_override=True, by=cast.ada)
    assert tone(cast, cast.alice) == "warm"


def test_a_pin_holds_through_publishing_and_moving_back(cast: Cast) -> None:
    before = served(cast, cast.alice).digest
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    version_two(cast)
    assert served(cast, cast.alice).digest == before != served(cast, cast.bob).digest
    set_current(cast.greet, 1, by=cast.operator)
    assert served(cast, cast.alice).receipt.pin is not None
    moved = unpin(cast.greet, "user", by=cast.alice)
    assert moved.after.digest == before


def test_a_version_that_was_never_current_cannot_be_pinned_by_a_tenant(cast: Cast) -> None:
    publish(cast.greet, behavior=GREET, make_current=False, by=cast.operator)
    for version in (2, 99):
        with pytest.raises(NotFound):
            pin(cast.greet, "tenant", kind="base", version=version, by=cast.ada)


def test_acmes_pin_holds_for_its_people_but_not_for_who_chose_for_themselves(cast: Cast) -> None:
    version_two(cast)
    pin(cast.greet, "user", kind="base", version=2, by=cast.alice)
    pin(cast.greet, "tenant", kind="base", version=1, by=cast.ada)
    bases = {who.name: served(cast, who).receipt.base for who in cast.everybody()}
    assert bases == {"Ada": 1, "Alice": 2, "Bob": 1, "Gus": 2, "Mallory": 2}


def test_restoring_by_time_brings_back_the_digest_and_moves_nobody_else(cast: Cast) -> None:
    set_tone(cast, cast.ada, "tenant", "formal")
    set_tone(cast, cast.alice, "user", "warm")
    then, before = now(cast), digests(cast)
    version_two(cast)
    set_tone(cast, cast.ada, "tenant", "plain")
    set_tone(cast, cast.alice, "user", "formal")
    others = {name: digest for name, digest in digests(cast).items() if name != "Alice"}
    restored = restore(cast.greet, "user", at=then, by=cast.alice)
    after = digests(cast)
    assert (restored.result, after.pop("Alice")) == ("exact", before["Alice"])
    assert after == others


def test_a_rehearsed_restore_says_the_same_and_changes_nothing(cast: Cast) -> None:
    then = now(cast)
    version_two(cast)
    before = digests(cast)
    rehearsed = restore(cast.greet, "user", at=then, by=cast.alice, dry_run=True)
    assert digests(cast) == before
    restore(cast.greet, "user", at=then, by=cast.alice)
    assert served(cast, cast.alice).digest == rehearsed.moved.after.digest


def test_a_snapshot_stays_though_the_organisation_moves_on(cast: Cast) -> None:
    set_tone(cast, cast.ada, "tenant", "formal")
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    before = served(cast, cast.alice).digest
    set_tone(cast, cast.ada, "tenant", "warm")
    version_two(cast)
    assert served(cast, cast.alice).digest == before
    assert tone(cast, cast.bob) == "warm"


def test_saving_under_ones_own_snapshot_moves_its_own_part_only(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    version_two(cast)
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.alice)
    after = served(cast, cast.alice)
    assert after.effective.fields["vars.language"] == "French" and tone(cast, cast.alice) == "warm"
    assert (after.receipt.base, after.receipt.user) == (1, 2)


def test_a_snapshot_that_the_policy_suspends_is_not_what_one_edits(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    set_policy(users_may_pin="no", by=cast.ada)
    delete_override(cast.greet, "user", expected=ANY, by=cast.alice)
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.alice)
    assert tone(cast, cast.alice) == "plain"
    set_policy(users_may_pin="yes", by=cast.ada)
    assert served(cast, cast.alice).receipt.user == 1


def test_where_users_may_not_pin_they_are_told_what_they_can_do(cast: Cast) -> None:
    set_tone(cast, cast.alice, "user", "warm")
    then = now(cast)
    version_two(cast)
    set_policy(users_may_pin="no", by=cast.ada)
    with pytest.raises(Invalid) as refused:
        restore(cast.greet, "user", at=then, by=cast.alice)
    assert refused.value.extra["result"] == "cannot"
    assert refused.value.extra["alternative"]["rollback_to_revision"] == 1
    assert refused.value.extra["alternative"]["would_still_differ"] == ["instructions.role"]


def test_a_policy_of_days_ends_pins_and_no_suspends_them_until_it_goes(cast: Cast) -> None:
    set_policy(users_may_pin=7, by=cast.ada)
    moved = pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    assert moved.pin is not None and moved.pin.until is not None
    assert timedelta(days=6.9) < moved.pin.until - timezone.now() <= timedelta(days=7)
    version_two(cast)
    set_policy(users_may_pin="no", by=cast.ada)
    assert served(cast, cast.alice).receipt.base == 2
    set_policy(users_may_pin="yes", by=cast.ada)
    assert served(cast, cast.alice).receipt.base == 1


def test_a_pin_ends_at_its_end_without_any_write(cast: Cast) -> None:
    version_two(cast)
    until = now(cast) + timedelta(milliseconds=400)
    pin(cast.greet, "user", kind="base", version=1, until=until, by=cast.alice)
    assert served(cast, cast.alice).receipt.base == 1
    with connections["default"].cursor() as cursor:  # the database's clock is the one that counts: wait by it
        cursor.execute("SELECT pg_sleep_until(%s)", [until])
    assert served(cast, cast.alice).receipt.base == 2


def test_an_admin_ends_a_pin_of_their_people_and_a_member_cannot(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    version_two(cast)
    with pytest.raises(Forbidden):
        end_pin_of(cast.greet, cast.alice.acting_for(), by=cast.bob)
    end_pin_of(cast.greet, cast.alice.acting_for(), by=cast.ada)
    assert served(cast, cast.alice).receipt.base == 2


def test_behavior_can_be_asked_for_as_of_any_past_moment(cast: Cast) -> None:
    moments, wanted = [], []
    for act in (lambda: set_tone(cast, cast.ada, "tenant", "formal"), lambda: set_tone(cast, cast.alice, "user", "warm"),
                lambda: version_two(cast), lambda: pin(cast.greet, "user", kind="base", version=1, by=cast.alice),
                lambda: set_policy(users_may_pin="no", by=cast.ada)):  # fmt: skip
        act()
        moments.append(now(cast))
        wanted.append(served(cast, cast.alice).digest)
    assert [served(cast, cast.alice, at).digest for at in moments] == wanted
    assert wanted[3] == wanted[1] and wanted[4] == wanted[2] and len(set(wanted)) == 3


def test_a_change_is_seen_at_the_next_request_by_who_has_it_cached(cast: Cast) -> None:
    for number in range(20):
        value = ("warm", "formal")[number % 2]
        set_tone(cast, cast.ada, "tenant", value)
        assert [tone(cast, who) for who in (cast.alice, cast.bob)] == [value, value]


def test_warm_resolving_takes_one_statement(cast: Cast, django_assert_num_queries: Any) -> None:
    served(cast, cast.alice)
    with cast.alice.present(), django_assert_num_queries(1):
        serve_warm(cast.greet, cast.alice.tenant_id, cast.alice.acting_for())


def test_an_end_user_known_only_by_a_key_has_their_own_without_having_been_announced(cast: Cast) -> None:
    key = cast.key(cast.acme_service)
    eve, dan = actor_of_key(key, "eve@shop"), actor_of_key(key, "dan@shop")
    set_tone(cast, cast.ada, "tenant", "formal")
    assert tone(cast, eve) == "formal"
    set_tone(cast, eve, "user", "warm")
    assert [tone(cast, eve), tone(cast, dan)] == ["warm", "formal"]
    same_key_elsewhere = actor_of_key(cast.key(cast.globex_service), "eve@shop")
    assert tone(cast, same_key_elsewhere) == "plain"


def test_hidden_text_never_reaches_later_layers_not_even_the_past(cast: Cast) -> None:
    secret = {**GREET, "instructions": {**GREET["instructions"], "recipe": "SECRET-RECIPE"}}
    publish(cast.greet, behavior=secret, rules={}, make_current=True, by=cast.operator)
    then = now(cast)
    publish(cast.greet, behavior=secret, rules={"instructions.recipe": {"hidden": True}}, make_current=True,
            by=cast.operator)  # fmt: skip
    today = served(cast, cast.alice)
    for shown in (today, served(cast, cast.alice, then)):
        body = behavior_json(shown, "user", today=today, explain=True)
        assert "SECRET-RECIPE" not in str(body) and body["hidden"] == ["instructions.recipe"]
    with pytest.raises(Invalid) as refused:
        save_operation(cast.greet, "user", "instructions.recipe", {"append": "x"}, expected=ANY, by=cast.alice)
    assert "SECRET" not in str(refused.value.errors)


def test_versions_are_immutable_and_a_new_schema_leaves_the_old_one_alone(cast: Cast) -> None:
    output = {**GREET["output"], "properties": {**GREET["output"]["properties"], "mood": {"type": "string"}}}
    before = served(cast, cast.alice)
    version_two(cast, output=output)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    assert served(cast, cast.alice).digest == before.digest
    assert "mood" not in served(cast, cast.alice).effective.fields["output"]["properties"]


def test_the_database_refuses_two_rows_of_one_thing_at_once(cast: Cast) -> None:
    from django.db import IntegrityError

    set_tone(cast, cast.alice, "user", "warm")
    with pytest.raises(IntegrityError, match="override_once"), cast.alice.present():
        row = Override.objects.get()
        Override.objects.create(
            tenant_id=row.tenant_id, feature_id=row.feature_id, subject_id=row.subject_id, number=2, operations=[],
            author="x", valid_from=row.valid_from + timedelta(seconds=1))  # fmt: skip
