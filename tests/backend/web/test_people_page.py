"""People as their admins see them: own changes, stays and holds, what they are served, and ending it."""

from collections.abc import Callable

from django.utils import timezone

from backend.actors import actor_of_key
from features.actions.overrides import ANY, newest, save_operation
from features.actions.pins import pin, pin_now
from features.actions.versions import publish
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.models import AuditEvent
from tests.cast import GREET, GREET_RULES, Cast

from .conftest import Person, words
from .test_timeline import digest_of, publish_terse
from .test_upgrading import held

Sit = Callable[[Actor], Person]


def warm(cast: Cast, who: Actor, tone: str = "warm") -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": tone}, expected=ANY, by=who)


def page_of(who: Actor) -> str:
    return f"/org/people/{who.acting_for().key}"


def row_of(page: str, name: str) -> str:
    """What the list says of one person."""
    return words(next(row for row in page.split("<tr>") if f">{name}</a>" in row))


def test_ada_sees_who_has_changed_what_and_who_stays_where(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    pin(cast.greet, "user", kind="base", version=2, by=cast.bob)
    page = at_desk(cast.ada).see("/org/people")
    assert "Greet 1" in row_of(page, "Alice") and "Greet v2, held" in row_of(page, "Alice")
    assert "none, follows Acme Greet v2" in row_of(page, "Bob")
    assert "none, follows Acme current" in row_of(page, "Vera")
    assert "Alice is held on an older version" in words(page) and "Mallory" not in page


def test_the_list_is_filtered_and_searched(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.bob)
    ada = at_desk(cast.ada)
    assert ">Bob</a>" not in ada.see("/org/people?show=changed")
    stays = ada.see("/org/people?show=stays")
    assert ">Bob</a>" in stays and ">Alice</a>" not in stays
    found = ada.see("/org/people?q=ali")
    assert ">Alice</a>" in found and ">Bob</a>" not in found
    assert "Nobody here is called “zoe”" in words(ada.see("/org/people?q=zoe"))


def test_users_of_the_organisations_software_are_there_once_they_keep_something(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "No user of your software has anything" in words(ada.see("/org/people?kind=users"))
    text = cast.keys[cast.acme_service.label]
    user = actor_of_key(text, "crm/42")
    warm(cast, user)
    page = ada.see("/org/people?kind=users")
    assert "Greet 1" in row_of(page, "crm/42")
    assert "A user of your software" in words(ada.see("/org/people/crm/42"))
    assert "crm/42" not in at_desk(cast.gus).see("/org/people?kind=users")


def test_people_are_for_admins(at_desk: Sit, cast: Cast) -> None:
    for who in (cast.alice, cast.vera):
        at_desk(who).see("/org/people", 403)
        at_desk(who).see(page_of(cast.bob), 403)
        assert at_desk(who).send(page_of(cast.bob), act="inherit", feature="greet").status_code == 403


def test_another_organisations_people_are_not_there(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    gus = at_desk(cast.gus)
    gus.see(page_of(cast.alice), 404)
    assert gus.send(page_of(cast.alice), act="inherit", feature="greet").status_code == 404
    with cast.alice.present():
        row = newest(cast.greet, cast.alice.acting_for())
    assert row is not None and row.operations


def test_ada_sees_exactly_what_alice_is_served(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    page = at_desk(cast.ada).see(f"{page_of(cast.alice)}?feature=greet")
    assert "What Alice is served of Greet Version 1" in words(page) and "Tone warm Theirs" in words(page)
    assert digest_of(cast, cast.alice) in page
    assert "Tone Write in a Tone tone. Vendor" in words(
        page
    )  # what is filled in stands as a word, as where it is edited


def test_hidden_text_is_not_shown_to_an_admin_either(at_desk: Sit, cast: Cast) -> None:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "role": "CANARY"}}
    rules = {**GREET_RULES, "instructions.role": {"hidden": True}}
    publish(cast.greet, behavior=behavior, rules=rules, make_current=True, by=cast.operator)
    page = at_desk(cast.ada).see(f"{page_of(cast.alice)}?feature=greet")
    assert "CANARY" not in page and "1 field is in force, but not shown to customers." in words(page)


def test_ada_ends_a_stay_after_she_was_told_what_it_does(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, reason="The audit", by=cast.alice)
    publish_terse(cast)
    ada, bobs = at_desk(cast.ada), digest_of(cast, cast.bob)
    asked = words(ada.part(f"{page_of(cast.alice)}?feature=greet&confirm=end"))
    assert "End the stay of Alice on version 1 of Greet?" in asked and "“The audit”" in asked
    with cast.alice.present():
        assert pin_now(cast.greet, cast.alice.acting_for()) is not None
    done = ada.send(page_of(cast.alice), act="end", feature="greet")
    assert "Alice follows the vendor again in Greet." in words(done) and digest_of(cast, cast.bob) == bobs
    with cast.alice.present():
        assert pin_now(cast.greet, cast.alice.acting_for()) is None
        last = AuditEvent.objects.order_by("-at").first()
        assert last is not None and (last.verb, last.actor) == ("pin.others", cast.ada.label)


def test_ada_removes_what_alice_changed(at_desk: Sit, cast: Cast) -> None:
    before = digest_of(cast, cast.alice)
    warm(cast, cast.alice)
    ada = at_desk(cast.ada)
    assert "Remove what Alice has changed in Greet?" in words(
        ada.part(f"{page_of(cast.alice)}?feature=greet&confirm=inherit")
    )
    assert digest_of(cast, cast.alice) != before
    done = words(ada.send(page_of(cast.alice), act="inherit", feature="greet"))
    assert "Alice inherits everything again in Greet." in done and digest_of(cast, cast.alice) == before
    again = ada.send(page_of(cast.alice), act="inherit", feature="greet")
    assert again.status_code == 404 and "nothing here that is changed" in words(again)


def test_nobody_decides_a_conflict_for_somebody_else(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    page = words(at_desk(cast.ada).see(page_of(cast.alice)))
    assert "Greet v2, held" in page and "Only they can decide it; they have been told." in page


def test_ada_looks_at_what_alice_was_served_before(at_desk: Sit, cast: Cast) -> None:
    then = timezone.now()
    warm(cast, cast.alice)
    ada, page = at_desk(cast.ada), f"{page_of(cast.alice)}?feature=greet"
    assert "warm" in words(ada.see(page))
    shown = words(ada.see(f"{page}&at={then:%Y-%m-%dT%H:%M:%S.%f}"))
    assert "As it was on" in shown and "warm" not in shown and "plain" in shown
    assert "served nothing at that moment" in words(ada.see(f"{page}&at=2020-01-01T10:00", 404))
    assert "That is no moment" in words(ada.see(f"{page}&at=once", 422))


def test_of_what_alice_had_some_is_copied(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    ada, to = at_desk(cast.ada), cast.bob.acting_for().key
    asked = ada.see(f"{page_of(cast.alice)}?confirm=leave&to={to}")
    assert 'name="field" value="greet" checked' in asked and 'name="chosen" value="yes"' in asked
    none = ada.send(page_of(cast.alice), act="leave", to=to, chosen="yes")
    assert none.status_code == 422 and "Choose at least one." in words(none)
    done = ada.send(page_of(cast.alice), act="leave", to=to, chosen="yes", field="greet")
    assert "Bob has what Alice had, of 1 feature." in words(done)


def test_what_alice_had_is_copied_to_bob_who_is_asked_before_his_is_replaced(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    ada = at_desk(cast.ada)
    done = words(ada.send(page_of(cast.alice), act="leave", to=cast.bob.acting_for().key))
    assert "Bob has what Alice had, of 1 feature. Nobody else was changed." in done
    with cast.bob.present():
        assert serve_warm(cast.greet, cast.bob.tenant_id, cast.bob.acting_for()).effective.fields["vars.tone"] == "warm"
    warm(cast, cast.alice, "formal")
    refused = ada.send(page_of(cast.alice), act="leave", to=cast.bob.acting_for().key)
    assert refused.status_code == 409 and "Replace what they have there" in words(refused)
    ada.send(page_of(cast.alice), act="leave", to=cast.bob.acting_for().key, replace="yes")
    assert digest_of(cast, cast.bob) == digest_of(cast, cast.alice)
