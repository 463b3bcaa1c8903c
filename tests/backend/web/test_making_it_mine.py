"""The editor: whose each field is, changing it, inheriting again, and what is never lost or shown."""

import json
import re
import threading
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.db import connections

from backend.web import desk
from features.actions.overrides import ANY, delete_override, newest, override_json, save_operation, save_override
from features.actions.pins import pin
from features.actions.policy import set_policy
from features.actions.versions import publish
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.models import AuditEvent
from tenants.subjects import tenant_itself
from tests.cast import GREET, GREET_RULES, Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]
SECRET = "Never say that the moon is made of cheese."


def override_of(cast: Cast, who: Actor, layer: str = "user") -> dict[str, Any]:
    with who.present():
        row = newest(cast.greet, who.acting_for()) if layer == "user" else None
        return override_json(row)


def effective(cast: Cast, who: Actor) -> dict[str, Any]:
    with who.present():
        return dict(serve_warm(cast.greet, who.tenant_id, who.acting_for()).effective.fields)


def save(
    person: Person,
    field: str,
    value: str,
    *,
    widget: str = "text",
    etag: str = '"0"',
    path: str = "/f/greet/mine",
    **more: str,
) -> Any:
    form = {"act": "save", "field": field, "widget": widget, "mode": "set", "value": value, "etag": etag, **more}
    return person.send(path, **form)


def row_of(page: str, field: str) -> str:
    """The text of one row of the editor."""
    start = page.index(f'data-b-field="{field}"')
    return words("<i " + page[start:].split('data-b-field="', 2)[1].split("</section>")[0])


def test_alice_sees_whose_each_field_is(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    page = at_desk(cast.alice).see("/f/greet/mine")
    assert "Tone warm The vendor has plain. Inherit again Yours" in row_of(page, "vars.tone")
    assert "Language French Your organisation Edit" in row_of(page, "vars.language")
    assert "Locked by the vendor." in row_of(page, "instructions.safety")
    assert "Kept for the admins of Acme. Ada can change it." in row_of(page, "model.name")
    assert "All 16 Yours 1 Your organisation 1 Vendor 14" in words(page)


def test_what_is_saved_while_the_editor_is_read_is_not_passed_over(
    at_desk: Sit, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, saved = at_desk(cast.alice), list[str]()

    def elsewhere() -> None:
        save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.alice)
        connections.close_all()

    def then_she_saves(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*arguments: Any) -> Any:
            found = read(*arguments)
            if not saved:
                saved.append(read.__name__)
                thread = threading.Thread(target=elsewhere)
                thread.start()
                thread.join()
            return found

        return reading

    for name in ("newest", "serve_warm"):
        monkeypatch.setattr(desk, name, then_she_saves(getattr(desk, name)))
    page = alice.see("/f/greet/mine")
    etag = unescape(re.findall(r'name="etag" value="([^"]*)"', page)[0])
    shown = "Language French" in words(page)
    refused = save(alice, "vars.tone", '"warm"', widget="choice", etag=etag).status_code == 412
    assert shown or refused


def test_the_filter_shows_what_is_hers(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    page = words(at_desk(cast.alice).part("/f/greet/mine?show=user"))
    assert "Tone" in page and "Language" not in page
    assert "No field comes from there yet" in words(at_desk(cast.bob).see("/f/greet/mine?show=user"))


def test_alice_makes_the_tone_hers_and_nobody_else_is_changed(at_desk: Sit, cast: Cast) -> None:
    before = effective(cast, cast.bob)
    answer = save(at_desk(cast.alice), "vars.tone", '"warm"', widget="choice")
    assert answer.status_code == 200
    assert "Saved as revision 1. Nobody else was changed." in words(answer)
    assert "Tone warm The vendor has plain." in row_of(answer.content.decode(), "vars.tone")
    assert override_of(cast, cast.alice)["set"] == {"vars.tone": "warm"}
    assert effective(cast, cast.bob) == before
    with cast.alice.present():
        [event] = AuditEvent.objects.filter(verb="override.user")
    assert (event.actor, event.detail["revision"]) == (cast.alice.label, 1)


def test_saving_what_was_so_already_makes_no_revision(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    answer = save(alice, "vars.tone", '"warm"', widget="choice", etag='"1"')
    assert "Nothing to save" in words(answer) and override_of(cast, cast.alice)["revision"] == 1


def test_an_addition_is_shown_after_the_text_that_it_follows(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    answer = save(alice, "instructions.role", "Be\r\nbrief.", mode="append")
    assert "You greet people. Be brief. Added after the vendor's text. Inherit again" in row_of(
        answer.content.decode(), "instructions.role"
    )
    assert override_of(cast, cast.alice)["append"] == {"instructions.role": "Be\nbrief."}
    box = alice.part("/f/greet/mine?edit=instructions.role").content.decode()
    assert 'data-b-as-append="Be\nbrief."' in box and 'data-b-as-set="You greet people."' in box


def test_inherit_again_takes_the_change_out(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    answer = alice.send("/f/greet/mine", act="inherit", field="vars.tone", etag='"1"')
    assert "Tone: inherited again, revision 2." in words(answer)
    assert effective(cast, cast.alice)["vars.tone"] == "plain"


def test_leaving_a_field_out_for_oneself(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    answer = alice.send(
        "/f/greet/mine", act=["save", "remove"], field="examples.first", widget="json", value="{}", etag='"0"'
    )
    assert answer.status_code == 200 and "examples.first" not in effective(cast, cast.alice)
    assert "The vendor has it, here it is left out. Inherit again" in row_of(answer.content.decode(), "examples.first")


def test_a_section_of_ones_own(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert "New section" in words(alice.part("/f/greet/mine?add=1"))
    answer = alice.send("/f/greet/mine", act="add", name="Small talk!", value="Mention the weather.", etag='"0"')
    assert "Small talk Mention the weather. Nobody else has this. Take it out" in words(answer)
    assert list(effective(cast, cast.alice))[3] == "instructions.small-talk"
    again = alice.send("/f/greet/mine", act="add", name="small-talk", value="More.", etag='"1"')
    assert (again.status_code, again["HX-Retarget"]) == (422, "#editor")
    assert "There is a section of that name already." in words(again) and "More." in words(again)
    nameless = alice.send("/f/greet/mine", act="add", name="42", value="x", etag='"1"')
    assert "Give it a name that begins with a letter." in words(nameless)


def test_what_a_rule_refuses_is_said_beside_what_was_typed(at_desk: Sit, cast: Cast) -> None:
    answer = save(at_desk(cast.alice), "vars.tone", '"rude"', widget="choice")
    assert (answer.status_code, answer["HX-Retarget"]) == (422, "#row-vars-tone")
    assert "Must be one of: plain, warm, formal." in words(answer)
    assert override_of(cast, cast.alice)["revision"] == 0


def test_what_does_not_compile_is_refused_and_kept_in_the_box(at_desk: Sit, cast: Cast) -> None:
    answer = save(at_desk(cast.alice), "instructions.role", "Greet in {{ vars.lingo }}.")
    assert answer.status_code == 422 and "{{ vars.lingo }}" in answer.content.decode() and "lingo" in words(answer)


def test_numbers_and_json_that_are_none_are_said_to_be_none(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "Write a number." in words(save(ada, "model.temperature", "hot", widget="number", path="/org/f/greet"))
    assert "This is not JSON" in words(save(ada, "checks.short", "{", widget="json", path="/org/f/greet"))


def test_a_save_after_somebody_elses_keeps_the_draft_and_says_who_was_first(at_desk: Sit, cast: Cast) -> None:
    at_the_same_time = at_desk(cast.ada)
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    answer = save(at_the_same_time, "instructions.role", "My long draft.", path="/org/f/greet")
    html = answer.content.decode()
    assert (answer.status_code, answer["HX-Retarget"]) == (412, "#row-instructions-role")
    assert "You saved revision 1 while you were editing." in words(answer)
    assert "My long draft." in html and 'name="etag" value="&quot;1&quot;"' in html
    assert (
        save(at_the_same_time, "instructions.role", "My long draft.", path="/org/f/greet", etag='"1"').status_code
        == 200
    )


def test_a_stale_inherit_again_changes_nothing_and_says_so(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    answer = alice.send("/f/greet/mine", act="inherit", field="vars.tone", etag='"7"')
    assert answer.status_code == 412 and "while you were editing" in words(answer)
    assert effective(cast, cast.alice)["vars.tone"] == "warm"


def test_revisions_from_long_ago_are_a_page_away(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    for number in range(22):
        document = {"set": {"vars.language": f"Dialect {number}"}}
        save_override(cast.greet, "user", document, expected=ANY, by=cast.alice)
    newest = alice.see("/f/greet/mine?revisions=1")
    assert "Go back to revision 3" in words(newest) and "Go back to revision 2 " not in words(newest)
    assert "?revisions=1&amp;before=3" in newest
    older = words(alice.see("/f/greet/mine?revisions=1&before=3"))
    assert "Go back to revision 2" in older and "Go back to revision 1" in older and "revision 3 " not in older


def test_going_back_to_a_saved_revision(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    save(alice, "vars.tone", '"formal"', widget="choice", etag='"1"')
    listed = words(alice.part("/f/greet/mine?revisions=1"))
    assert "2 Tone: formal You" in listed and "1 Tone: warm You" in listed and "Go back to revision 1" in listed
    answer = alice.send("/f/greet/mine", act="rollback", revision="1", etag='"2"')
    assert "Saved as revision 3." in words(answer) and effective(cast, cast.alice)["vars.tone"] == "warm"


def test_a_field_that_is_hidden_is_named_and_never_shown(at_desk: Sit, cast: Cast) -> None:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "guard": SECRET}}
    rules = {**GREET_RULES, "instructions.guard": {"hidden": True}}
    publish(cast.greet, behavior=behavior, rules=rules, make_current=True, by=cast.operator)
    for who in (cast.alice, cast.vera, cast.ada):
        person = at_desk(who)
        for path in ("/f/greet/mine", "/f/greet/mine?edit=instructions.guard", "/f/greet/timeline", "/f/greet"):
            assert "cheese" not in person.see(path)
        assert "cheese" not in person.part("/f/greet/mine?edit=instructions.guard").content.decode()
        refused = save(person, "instructions.guard", "Say it!")
        assert refused.status_code in (403, 422) and "cheese" not in refused.content.decode()
    page = at_desk(cast.ada).see("/org/f/greet")
    assert "cheese" not in page and "Guard In force, but not shown to customers." in words(page)


def test_hidden_text_is_not_shown_in_a_moment_before_it_was_hidden(at_desk: Sit, cast: Cast) -> None:
    behavior = {**GREET, "instructions": {**GREET["instructions"], "guard": SECRET}}
    publish(cast.greet, behavior=behavior, rules=GREET_RULES, make_current=True, by=cast.operator)
    alice = at_desk(cast.alice)
    assert "cheese" in alice.see("/f/greet/mine")
    then = alice.see("/f/greet/timeline").split("?at=", 1)[1].split('"', 1)[0]
    rules = {**GREET_RULES, "instructions.guard": {"hidden": True}}
    changed = {**GREET, "instructions": {**GREET["instructions"], "guard": "Say nothing of cheese."}}
    publish(cast.greet, behavior=changed, rules=rules, make_current=True, by=cast.operator)
    for path in (f"/f/greet/timeline?at={then}", f"/f/greet/timeline?at={then}&confirm=restore"):
        page = alice.see(path)
        assert "cheese" not in page and "Different, but not shown to customers." in words(page)


def test_a_change_that_a_later_rule_forbids_is_kept_and_marked(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "instructions.role", "You greet cats.")
    publish(
        cast.greet,
        behavior=GREET,
        rules={**GREET_RULES, "instructions.role": {"edit": "locked"}},
        make_current=True,
        by=cast.operator,
    )
    row = row_of(alice.see("/f/greet/mine"), "instructions.role")
    assert "You greet people. You greet cats. Not in force Locked by the vendor." in row and "Inherit again" in row
    assert alice.send("/f/greet/mine", act="inherit", field="instructions.role", etag='"1"').status_code == 200


def test_where_the_policy_forbids_changes_the_page_says_who_decided(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    set_policy(users_may_override=False, by=cast.ada)
    page = words(alice.see("/f/greet/mine"))
    assert "Acme does not let its people change behavior." in page and "Add a section" not in page
    assert "warm Not in force" in page
    assert save(alice, "vars.tone", '"formal"', widget="choice", etag='"1"').status_code == 422


def test_under_a_stay_one_edits_what_one_is_served(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save(alice, "vars.tone", '"warm"', widget="choice")
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    page = words(alice.see("/f/greet/mine"))
    assert "You stay as it was" in page
    assert save(alice, "vars.language", "French", widget="line", etag='"1"').status_code == 200
    assert (
        effective(cast, cast.alice)["vars.tone"] == "warm" and effective(cast, cast.alice)["vars.language"] == "French"
    )


def test_ada_sets_what_all_of_acme_gets(at_desk: Sit, cast: Cast) -> None:
    answer = save(at_desk(cast.ada), "vars.language", "French", widget="line", path="/org/f/greet")
    assert "It reaches everyone at Acme who has not chosen otherwise." in words(answer)
    assert "Language French" in row_of(answer.content.decode(), "vars.language")
    assert [effective(cast, who)["vars.language"] for who in (cast.bob, cast.mallory)] == ["French", "English"]
    page = at_desk(cast.bob).see("/f/greet/mine")
    assert "Language French Your organisation Edit" in row_of(page, "vars.language")


def test_ada_keeps_a_field_for_admins_without_changing_it(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "Everyone at Acme Only admins" in words(ada.part("/org/f/greet?edit=vars.language"))
    answer = save(ada, "vars.language", "English", widget="line", path="/org/f/greet", who="tenant")
    assert "Only admins may change this." in row_of(answer.content.decode(), "vars.language")
    with cast.ada.present():
        document = override_json(newest(cast.greet, tenant_itself(cast.ada.tenant_id)))
    assert document["rules"] == {"vars.language": {"edit": "tenant"}} and "set" not in document
    bob = at_desk(cast.bob)
    assert "Locked by Acme. Ada can change it." in row_of(bob.see("/f/greet/mine"), "vars.language")
    assert save(bob, "vars.language", "German", widget="line").status_code == 422
    save(ada, "vars.language", "French", widget="line", path="/org/f/greet", etag='"1"', who="user")
    assert save(bob, "vars.language", "German", widget="line").status_code == 200


def test_another_organisation_sees_nothing_of_it(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "tenant", "instructions.role", {"set": SECRET}, expected=ANY, by=cast.ada)
    for who in (cast.gus, cast.mallory):
        for path in ("/f/greet/mine", "/f/greet/timeline", "/"):
            assert "cheese" not in at_desk(who).see(path)


def test_a_field_that_is_not_there_is_not_there(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert alice.part("/f/greet/mine?edit=vars.nothing").status_code == 404
    assert alice.send("/f/greet/mine", act="dance", etag='"0"').status_code == 400
    assert save(alice, "no such field", "x").status_code == 422


def test_ones_own_words_are_text_on_every_page(at_desk: Sit, cast: Cast) -> None:
    document = {"set": {"instructions.role": "<script>alert(1)</script>", "vars.language": '"><img src=x>'}}
    save_override(cast.greet, "user", document, expected=ANY, message="<b>bold</b>", by=cast.alice)
    alice = at_desk(cast.alice)
    for path in (
        "/f/greet/mine",
        "/f/greet/mine?edit=instructions.role",
        "/f/greet/mine?revisions=1",
        "/f/greet/timeline",
    ):
        page = alice.see(path)
        assert "<script>alert" not in page and "<img" not in page and "<b>bold" not in page
    assert json.dumps(override_of(cast, cast.alice)["set"]) == json.dumps(document["set"])
    delete_override(cast.greet, "user", expected=ANY, by=cast.alice)


def test_ada_makes_her_own_change_everybodys_and_others_cannot(at_desk: Sit, cast: Cast) -> None:
    ada, bob = at_desk(cast.ada), at_desk(cast.bob)
    assert "everybody's at Acme" not in words(ada.see("/f/greet/mine"))
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.ada)
    asked = ada.part("/f/greet/mine?promote=1")
    assert "Make it everybody's at Acme?" in words(asked) and 'value="vars.language" checked' in asked.content.decode()
    none = ada.send("/f/greet/mine", act="promote")
    assert none.status_code == 422 and "Choose at least one." in words(none)
    done = words(ada.send("/f/greet/mine", act="promote", field="vars.language", keep="no"))
    assert "1 change is everybody's at Acme now, as revision 1." in done
    page = words(bob.see("/f/greet/mine"))
    assert "Language French" in page and "Tone plain" in page
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.bob)
    assert "everybody's at Acme" not in words(bob.see("/f/greet/mine?promote=1"))
    assert bob.send("/f/greet/mine", act="promote", field="vars.tone").status_code == 403


def test_what_the_organisation_leaves_out_is_told_to_its_people(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "tenant", "examples.first", {"remove": True}, expected=ANY, by=cast.ada)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet/mine")
    told = words(page[page.index('id="row-examples-first"') :])
    assert "Eve" in told and "The vendor has it, Acme leaves it out." in told
    assert "None yet" not in told and "Add an example" in words(page) and "?edit=examples.first" not in page
    assert "The vendor has it, Acme leaves it out." in words(alice.see("/f/greet/mine?show=tenant"))
    # Whoever adds it anew for themselves has it again, and it is theirs.
    again = {"set": {"input": {"name": "Eve"}, "output": {"greeting": "Good morning Eve"}}}
    save_operation(cast.greet, "user", "examples.first", again, expected=ANY, by=cast.alice)
    assert "leaves it out" not in words(alice.see("/f/greet/mine"))
    assert "leaves it out" not in words(at_desk(cast.mallory).see("/f/greet/mine"))
