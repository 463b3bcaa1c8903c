"""Saving beside what somebody else has broken, with another editor at once, and going back to an old revision."""

import threading
from typing import Any

import pytest
from django.db import connections

from features.actions.conflicts import conflicts
from features.actions.overrides import ANY, Expected, rollback_override, save_operation, save_override
from features.actions.pins import pin
from features.actions.policy import set_policy
from features.actions.versions import publish
from features.models import Override
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.errors import Invalid, Stale
from tests.cast import GREET, GREET_RULES, Cast


def served(cast: Cast, who: Actor) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def tone_of(cast: Cast, who: Actor) -> Any:
    return served(cast, who).effective.fields["vars.tone"]


def change(cast: Cast, who: Actor, field: str, operation: Any, layer: Any = "user") -> Any:
    return save_operation(cast.greet, layer, field, operation, expected=ANY, by=who)


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


def test_of_two_editors_who_saw_the_same_revision_one_saves_and_the_other_is_told(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    barrier, came = threading.Barrier(4), []

    def go(language: str) -> None:
        document = {"set": {"vars.language": language}}
        barrier.wait()
        try:
            saved = save_override(cast.greet, "user", document, expected=Expected(etag='"1"'), by=cast.alice)
            came.append((saved.row.number, language))
        except Stale as stale:
            came.append((0, stale.extra["revision"]))
        connections.close_all()

    threads = [threading.Thread(target=go, args=(language,)) for language in ("French", "Dutch", "Greek", "Welsh")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came)[:3] == [(0, '"2"')] * 3
    assert max(came) == (2, served(cast, cast.alice).effective.fields["vars.language"])
    with cast.alice.present():
        assert Override.objects.count() == 2


def test_sending_ones_whole_override_again_decides_no_conflict(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    dry = {**GREET, "vars": {**GREET["vars"], "tone": "formal"}}
    publish(cast.greet, behavior=dry, make_current=True, by=cast.operator)
    both = {"set": {"vars.tone": "warm", "vars.language": "French"}}
    save_override(cast.greet, "user", both, expected=ANY, by=cast.alice)
    found = conflicts(cast.greet, "user", by=cast.alice)
    assert [(item.field, item.rebased.outcome) for item in found.items] == [
        ("vars.tone", "conflict"),
        ("vars.language", "carried"),
    ]


def test_who_stays_on_a_version_goes_on_with_their_newest_changes(cast: Cast) -> None:
    change(cast, cast.alice, "vars.tone", {"set": "warm"})
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    change(cast, cast.alice, "vars.language", {"set": "French"})
    after = served(cast, cast.alice)
    assert [after.effective.fields[f"vars.{name}"] for name in ("tone", "language")] == ["warm", "French"]
    assert (after.receipt.user, after.choice.pin.kind, after.choice.pin.user_revision) == (2, "base", None)


def test_under_ones_own_snapshot_one_reads_what_a_save_replaces(cast: Cast, api: Any) -> None:
    """Who reads, changes a part and writes it back keeps what was put back, and not what it was put back from."""
    for tone in ("warm", "formal"):
        change(cast, cast.alice, "vars.tone", {"set": tone})
    rollback_override(cast.greet, "user", 1, expected=ANY, by=cast.alice)
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    set_policy(users_may_pin="no", by=cast.ada)
    change(cast, cast.alice, "vars.tone", {"set": "plain"})  # the newest, while the snapshot waits for the policy
    set_policy(users_may_pin="yes", by=cast.ada)
    door, path = api(cast.alice), "/features/greet/override/user"
    read = door.get(path)
    assert (read.json()["set"], read.json()["revision"], read["ETag"]) == ({"vars.tone": "warm"}, 3, '"3"')
    whole = {"set": {**read.json()["set"], "vars.language": "French"}}
    written = door.put(path, whole, If_Match=read["ETag"])
    assert (written.status_code, written["ETag"], tone_of(cast, cast.alice)) == (200, '"5"', "warm")
    assert door.put(path, whole, If_Match=read["ETag"]).status_code == 412


def test_rules_that_were_allowed_once_keep_nobody_from_changing_something_else(cast: Cast) -> None:
    """The vendor's later lock is stricter than the organisation's rule, and wins; it need not be said again."""
    kept = {"vars.language": {"edit": "user"}}
    save_override(cast.greet, "tenant", {"rules": kept}, expected=ANY, by=cast.ada)
    rules = {**GREET_RULES, "vars.language": {"edit": "tenant"}}
    publish(cast.greet, behavior=GREET, rules=rules, make_current=True, by=cast.operator)
    change(cast, cast.ada, "vars.tone", {"set": "warm"}, "tenant")
    assert tone_of(cast, cast.alice) == "warm"
    with pytest.raises(Invalid, match="rules"):
        change(cast, cast.alice, "vars.language", {"set": "French"})
    for looser in ({"vars.language": {"edit": "user", "max_chars": 9}}, {**kept, "input": {"edit": "user"}}):
        with pytest.raises(Invalid, match="rules") as refused:
            save_override(cast.greet, "tenant", {"rules": looser}, expected=ANY, by=cast.ada)
        assert len(refused.value.errors) == 1
