"""What people are told of their behavior, to whom, when it goes away again, and by which mail."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.urls import resolve as page_at
from django.utils import timezone

from backend.actors import actor_of_key
from features.actions.availability import retire, set_available
from features.actions.conflicts import resolve
from features.actions.overrides import ANY, save_operation, save_override
from features.actions.pins import pin, unpin
from features.actions.policy import set_policy
from features.actions.targets import add_target, end_target
from features.actions.withdrawals import lift, withdraw
from features.mailing import send_notices
from features.models import NoticeMark
from features.notices import Notice, inbox, mark_read
from tenants.actor import Actor
from tenants.errors import Forbidden, NotFound
from tests.cast import GREET_RULES, Cast

from .test_conflicts import HIDING, LANGUAGE, ROLE, TONE, change, release


def told(who: Actor) -> list[tuple[str, str]]:
    """(kind, layer) of everything in somebody's inbox."""
    return sorted((notice.kind, notice.layer) for notice in inbox(who))


def one(who: Actor) -> Notice:
    [notice] = inbox(who)
    return notice


def user(cast: Cast, key: str = "u1") -> Actor:
    return actor_of_key(cast.key(cast.acme_service), key)


def keep(cast: Cast, who: Actor, field: str, layer: Any = "user") -> None:
    resolve(cast.greet, layer, {field: "keep"}, expected=ANY, by=who)


def test_nobody_is_told_anything_while_there_is_nothing(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"append": "Mine."})
    change(cast, cast.ada, LANGUAGE, {"set": "Greek"}, "tenant")
    release(cast, instructions__role="Theirs.")
    assert [inbox(who) for who in (cast.alice, cast.ada, cast.bob, cast.gus, cast.acme_service)] == [[]] * 5


def test_who_is_held_by_their_own_change_is_told_until_they_decide(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    notice = one(cast.alice)
    assert (notice.kind, notice.layer, notice.feature.key) == ("held", "user", "greet")
    assert "version 1" in notice.title and ROLE in notice.text and "version 2" in notice.text
    assert [inbox(who) for who in (cast.ada, cast.bob, cast.mallory)] == [[]] * 3
    keep(cast, cast.alice, ROLE)
    assert inbox(cast.alice) == []


def test_who_is_held_by_their_organisation_is_told_who_decides(cast: Cast) -> None:
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    release(cast, instructions__role="Theirs.")
    assert [told(who) for who in (cast.ada, cast.alice, cast.vera)] == [
        [("held", "tenant")], [("held", "user")], [("held", "user")],
    ]  # fmt: skip
    assert "Ada" in one(cast.alice).text
    assert one(cast.ada).action.api == "/api/v1/features/greet/override/tenant/conflicts"
    assert (told(cast.gus), told(cast.acme_service), told(user(cast))) == ([], [("held", "tenant")], [("held", "user")])
    keep(cast, cast.ada, ROLE, "tenant")
    assert [inbox(who) for who in (cast.ada, cast.alice)] == [[], []]


def test_what_was_kept_although_the_vendor_changed_it_is_told(cast: Cast) -> None:
    change(cast, cast.alice, LANGUAGE, {"set": "Greek"})
    change(cast, cast.ada, TONE, {"set": "warm"}, "tenant")
    release(cast, vars__language="German")
    assert (told(cast.alice), told(cast.ada)) == ([("conflict", "user")], [])
    assert LANGUAGE in one(cast.alice).text
    release(cast, vars__language="German", vars__tone="formal")
    assert told(cast.ada) == [("conflict", "tenant")]
    keep(cast, cast.alice, LANGUAGE)
    keep(cast, cast.ada, TONE, "tenant")
    assert (inbox(cast.alice), inbox(cast.ada)) == ([], [])


def test_who_stays_by_a_pin_hears_of_no_conflict(cast: Cast) -> None:
    change(cast, cast.alice, LANGUAGE, {"set": "Greek"})
    release(cast, vars__language="German")
    assert told(cast.alice) == [("conflict", "user")]
    pin(cast.greet, "user", kind="base", version=2, by=cast.alice)
    assert inbox(cast.alice) == []


def test_a_rule_that_came_later_is_told_and_its_end_takes_that_back(cast: Cast) -> None:
    change(cast, cast.alice, TONE, {"set": "warm"})
    save_override(cast.greet, "tenant", {"rules": {TONE: {"edit": "locked"}}}, expected=ANY, by=cast.ada)
    assert (told(cast.alice), told(cast.ada)) == ([("suspended", "user")], [])
    save_override(cast.greet, "tenant", {}, expected=ANY, by=cast.ada)
    assert inbox(cast.alice) == []
    set_policy(users_may_override=False, by=cast.ada)
    notice = one(cast.alice)
    assert (notice.kind, "organisation keeps" in notice.text) == ("suspended", True)
    release(cast, rules={**GREET_RULES, LANGUAGE: {"edit": "locked"}})
    assert one(cast.alice) == notice


def test_a_withdrawn_version_is_told_to_those_who_were_on_it(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    release(cast, vars__language="Greek")
    withdraw(cast.greet, 1, replacement=2, reason="It insults people", by=cast.operator)
    assert (told(cast.alice), told(cast.bob), told(cast.ada)) == ([("withdrawn", "user")], [], [])
    assert "It insults people. The pin is kept" in one(cast.alice).text
    release(cast, vars__language="German")
    withdraw(cast.greet, 3, replacement=2, reason="So does that", by=cast.operator)
    assert (told(cast.bob), told(cast.ada), told(cast.gus)) == (
        [("withdrawn", "user")], [("withdrawn", "tenant")], [("withdrawn", "tenant")],
    )  # fmt: skip
    lift(cast.greet, 3, by=cast.operator)
    assert inbox(cast.bob) == []


def test_the_end_of_a_pin_is_told_a_week_ahead(cast: Cast) -> None:
    now = timezone.now()
    pin(cast.greet, "user", kind="base", version=1, until=now + timedelta(days=6), by=cast.alice)
    pin(cast.greet, "user", kind="base", version=1, until=now + timedelta(days=8), by=cast.bob)
    pin(cast.greet, "tenant", kind="base", version=1, until=now + timedelta(days=1), by=cast.ada)
    assert (told(cast.alice), told(cast.bob), told(cast.ada)) == (
        [("pin_ending", "user")], [], [("pin_ending", "tenant")],
    )  # fmt: skip
    assert one(cast.alice).at == now + timedelta(days=6)
    set_policy(users_may_pin=7, by=cast.ada)
    assert told(cast.bob) == [("pin_ending", "user")]
    set_policy(users_may_pin="no", by=cast.ada)
    assert (inbox(cast.alice), inbox(cast.bob)) == ([], [])
    unpin(cast.greet, "tenant", by=cast.ada)
    assert inbox(cast.ada) == []


def test_the_end_of_a_model_is_told_to_those_whose_pin_names_it(cast: Cast) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    add_target(alias="standard", provider="demo", model="new", input_price=1, output_price=1, by=cast.operator)
    assert inbox(cast.alice) == []
    end = timezone.now() + timedelta(days=90)
    end_target("standard", 1, at=end, by=cast.operator)
    notice = one(cast.alice)
    assert (notice.kind, notice.at, "scripted" in notice.title) == ("model_ending", end, True)
    assert (inbox(cast.bob), inbox(cast.ada)) == ([], [])


def test_a_feature_that_ends_is_told_to_everybody_who_has_it_and_to_admins_once(cast: Cast) -> None:
    end = timezone.now() + timedelta(days=30)
    retire(cast.greet, at=end, message="Use *welcome* instead", by=cast.operator)
    assert (told(cast.alice), told(cast.ada), told(user(cast))) == (
        [("retiring", "user")], [("retiring", "tenant")], [("retiring", "user")],
    )  # fmt: skip
    assert one(cast.bob).text == "Use *welcome* instead."
    set_available(cast.greet, listed_only=True, tenants=["globex"], by=cast.operator)
    assert (inbox(cast.alice), told(cast.mallory)) == ([], [("retiring", "user")])


def test_every_notice_leads_to_a_page_and_a_door_that_exist(cast: Cast) -> None:
    retire(cast.greet, at=timezone.now() + timedelta(days=30), by=cast.operator)
    for who, layer in ((cast.alice, "user"), (cast.ada, "tenant")):
        change(cast, who, ROLE, {"set": "Own."}, layer)
        change(cast, who, TONE, {"set": "warm"}, layer)
    release(cast, instructions__role="Theirs.", rules={**GREET_RULES, TONE: {"edit": "locked"}})
    found = [notice for who in (cast.alice, cast.ada) for notice in inbox(who)]
    assert {notice.kind for notice in found} == {"held", "retiring"}
    for notice in found:
        for address in (notice.action.href, notice.action.api):
            page_at(address)
            assert page_at(address).url_name != "nothing" and "rest" not in page_at(address).kwargs


def test_no_notice_quotes_a_text_hidden_or_not(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "CANARY"})
    change(cast, cast.alice, "instructions.tone", {"set": "CANARY"})
    release(cast, rules=HIDING, instructions__role="SECRET", instructions__tone="SECRET")
    assert told(cast.alice) == [("held", "user")]
    keep(cast, cast.alice, "instructions.tone")
    assert told(cast.alice) == [("suspended", "user")]
    texts = " ".join(notice.title + notice.text for notice in inbox(cast.alice))
    assert "SECRET" not in texts and "CANARY" not in texts


def test_a_notice_stays_the_same_while_its_cause_does_and_is_read_by_one_person(cast: Cast) -> None:
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    release(cast, instructions__role="Theirs.")
    notice = one(cast.ada)
    assert one(cast.ada).id == notice.id
    mark_read(notice.id, by=cast.ada)
    mark_read(notice.id, by=cast.ada)
    assert one(cast.ada).read and not one(cast.alice).read
    assert one(cast.acme_service).id == notice.id
    assert not one(cast.acme_service).read
    release(cast, instructions__role="Theirs again.")
    assert (one(cast.ada).id != notice.id, one(cast.ada).read) == (True, False)


def test_what_is_not_in_ones_inbox_cannot_be_read(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    release(cast, instructions__role="Theirs.")
    for who in (cast.bob, cast.ada, cast.mallory, cast.acme_service):
        with pytest.raises(NotFound):
            mark_read(one(cast.alice).id, by=who)
    with pytest.raises(NotFound):
        mark_read(uuid4(), by=cast.alice)
    with pytest.raises(Forbidden):
        inbox(cast.operator)
    with cast.alice.present():
        assert NoticeMark.objects.count() == 0


def test_a_warm_inbox_asks_no_more_for_more_features(cast: Cast) -> None:
    from features.actions.versions import create_feature
    from tests.cast import GREET

    def statements() -> int:
        inbox(cast.ada)
        with CaptureQueriesContext(connections["default"]) as asked:
            inbox(cast.ada)
        return len(asked)

    before = statements()
    for n in range(5):
        create_feature(key=f"more{n}", title="More", behavior=GREET, by=cast.operator)
    assert statements() == before


def settle(cast: Cast) -> None:
    """As if what the vendor did last was ten minutes ago."""
    with connections["owner"].cursor() as cursor:
        for table in ("features_currentversion", "features_override"):
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            cursor.execute(
                f"UPDATE {table} SET valid_from = valid_from - interval '10 min',"
                " valid_to = valid_to - interval '10 min'"
            )
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def mails() -> dict[str, Any]:
    """The mails sent since it was last asked, by address."""
    sent = {message.to[0].split("@")[0]: message for message in mail.outbox}
    assert len(sent) == len(mail.outbox)
    mail.outbox.clear()
    return sent


def test_each_member_gets_one_mail_of_what_is_new_to_them_and_never_again(cast: Cast) -> None:
    change(cast, cast.ada, ROLE, {"set": "Acme's."}, "tenant")
    change(cast, cast.alice, LANGUAGE, {"set": "Greek"})
    release(cast, instructions__role="Theirs.")
    settle(cast)
    call_command("send_notices")
    sent = mails()
    assert sorted(sent) == ["ada", "alice", "bob", "vera"]
    assert "stays on version 1" in sent["ada"].subject
    assert "Ada can decide it" in sent["alice"].body and "/f/greet/" in sent["alice"].body
    assert (send_notices(), mails()) == (0, {})
    pin(cast.greet, "user", kind="base", version=1, until=timezone.now() + timedelta(days=1), by=cast.bob)
    assert (send_notices(), list(mails())) == (1, ["bob"])


def test_what_has_just_come_about_or_was_read_is_not_mailed(cast: Cast) -> None:
    change(cast, cast.alice, ROLE, {"set": "Alice's."})
    change(cast, cast.bob, ROLE, {"set": "Bob's."})
    release(cast, instructions__role="Theirs.")
    assert send_notices() == 0
    settle(cast)
    mark_read(one(cast.bob).id, by=cast.bob)
    assert (send_notices(), list(mails())) == (1, ["alice"])


def test_a_mail_that_cannot_be_sent_is_tried_again(cast: Cast, settings: Any) -> None:
    pin(cast.greet, "user", kind="base", version=1, until=timezone.now() + timedelta(days=1), by=cast.alice)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # where nobody listens
    with pytest.raises(OSError):
        send_notices()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert (send_notices(), list(mails())) == (1, ["alice"])


def test_people_who_have_left_and_end_users_get_no_mail(cast: Cast) -> None:
    from tenants.actions import find_member, remove_member

    retire(cast.greet, at=timezone.now() + timedelta(days=30), by=cast.operator)
    with cast.alice.present():
        member = find_member(cast.alice.acting_for().id, cast.ada)
    remove_member(member, by=cast.ada)
    save_operation(cast.greet, "user", TONE, {"set": "warm"}, expected=ANY, by=user(cast))
    assert (send_notices(), sorted(mails())) == (5, ["ada", "bob", "gus", "mallory", "vera"])


def test_a_tenant_that_has_nothing_of_its_own_is_passed_over(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, until=timezone.now() + timedelta(days=1), by=cast.alice)
    with CaptureQueriesContext(connections["default"]) as asked:
        assert send_notices() == 1
    assert not any(str(cast.gus.tenant_id) in query["sql"] for query in asked)
    assert any(str(cast.ada.tenant_id) in query["sql"] for query in asked)
