"""An upgrade that waits: why, what it would do, deciding per field, taking it, going back; for people and for all."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backend.web.upgrading import Upgrading
from features.actions.overrides import ANY, save_operation, save_override
from features.actions.pins import pin
from features.actions.versions import publish, set_current
from features.resolve import serve_warm
from features.runs.models import Preview
from tenants.actor import Actor
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
ROLE = "instructions.role"
LONGER = "You greet people.\nSay their name."
NEW: dict[str, Any] = {
    **GREET,
    "instructions": {**GREET["instructions"], "role": f"{LONGER}\nSay the time of day.", "closing": "Wish them well."},
    "vars": {**GREET["vars"], "language": "French"},
}


def version_of(cast: Cast, who: Actor) -> int:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for()).choice.base


def text_of(cast: Cast, who: Actor, field: str = ROLE) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for()).effective.fields.get(field)


def first(cast: Cast) -> None:
    """Version 2, with a text of two lines, so that two people can change different ones."""
    before = {**GREET, "instructions": {**GREET["instructions"], "role": LONGER}}
    publish(cast.greet, behavior=before, rules=GREET_RULES, message="Two lines", make_current=True, by=cast.operator)


def change(
    cast: Cast, who: Actor, layer: Any = "user", text: str = "You greet people warmly.\nSay their name."
) -> None:
    save_operation(cast.greet, layer, ROLE, {"set": text}, expected=ANY, by=who)


def vendor_moves(cast: Cast, **fields: Any) -> None:
    publish(cast.greet, behavior={**NEW, **fields}, rules=GREET_RULES, message="Tells the time", make_current=True,
            by=cast.operator)  # fmt: skip


def held(cast: Cast) -> None:
    """Alice has changed the role on version 2, and the vendor changes it as well: she stays."""
    first(cast)
    change(cast, cast.alice)
    vendor_moves(cast)


def form_of(page: str) -> dict[str, str]:
    """What the page's own form would send: its hidden fields, the choices that are checked, the texts."""
    inside = page.split('id="decide"', 1)[1]
    sent = dict(re.findall(r'<input type="hidden" name="((?:etag|version|after|w:)[^"]*)" value="([^"]*)"', inside))
    sent |= dict(re.findall(r'<input[^>]*type="radio" name="([^"]+)" value="([^"]+)" checked', inside))
    return {name: value.replace("&quot;", '"') for name, value in sent.items()}


def decide(person: Person, path: str = "/f/greet/upgrade", act: str = "look", **choices: str) -> Any:
    """Choose on the page, and press its button."""
    sent = form_of(person.see(path)) | {name.replace("__", ":", 1): value for name, value in choices.items()}
    return person.client.post(path, {**sent, "act": act}, headers={"HX-Request": "true"})


def take(person: Person, path: str = "/f/greet/upgrade", **choices: str) -> Any:
    """Choose, look at what it comes to, and say yes."""
    asked = decide(person, path, **choices).content.decode()
    digest = re.search(r'name="after" value="([^"]+)"', asked)
    assert digest is not None, words(asked)
    return decide(person, path, "take", **choices, after=digest[1])


def test_alice_is_told_why_she_is_still_on_the_old_version(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    page = words(at_desk(cast.alice).see("/f/greet/upgrade"))
    assert "You are still on version 2 Version 3 changes Role, which you changed as well." in page
    assert "It waits for as long as you like." in page and "The vendor on version 3: “Tells the time”" in page
    assert "2 come by themselves" in page and "Closing added Wish them well." in page
    assert "Language removed English added French" in page
    assert "1 needs a decision" in page and "Take version 3" in page


def test_a_hold_is_told_on_the_pages_where_she_works_and_in_the_menu(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    for path in ("/f/greet", "/f/greet/mine"):
        assert "An upgrade is waiting; you are still on version 2." in words(alice.see(path))
    assert "A version waits for a decision here" in alice.see("/")
    bob = at_desk(cast.bob)
    assert "upgrade is waiting" not in words(bob.see("/f/greet")) and "waits for a decision" not in bob.see("/")


def test_a_stay_that_one_chose_is_quiet(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    first(cast)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet")
    assert "upgrade is waiting" not in words(page) and "a newer version is there" in page
    assert "You stay on version 1 You chose this. Version 2 is what the vendor has now." in words(
        alice.see("/f/greet/upgrade")
    )


def test_where_nothing_waits_the_page_says_so(at_desk: Sit, cast: Cast) -> None:
    page = words(at_desk(cast.alice).see("/f/greet/upgrade"))
    assert "Nothing is waiting You follow the vendor, at version 1." in page and "Take version" not in page


def test_each_decision_shows_what_it_was_what_it_is_and_hers(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    page = words(at_desk(cast.alice).see("/f/greet/upgrade"))
    assert "Vendor, when you changed it You greet people. Say their name. Vendor now" in page
    assert "Say the time of day." in page and "Take the vendor's Yours" in page and "Keep mine" in page
    assert "Use both The two changes do not touch the same lines. You greet people warmly. Say their name. Say" in page
    assert "Edit the text" in page and "Decide later, and stay on version 2" in page


def test_alice_looks_before_she_takes_it(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    asked = decide(at_desk(cast.alice), **{"d__" + ROLE: "keep"})
    told = words(asked)
    assert asked.status_code == 200 and "You move to version 3." in told and "Nobody else is affected." in told
    assert "The behavior becomes" in told and version_of(cast, cast.alice) == 2


def test_alice_takes_both_texts_and_nobody_else_is_changed(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    before = text_of(cast, cast.bob)
    done = take(at_desk(cast.alice), **{"d__" + ROLE: "both"})
    assert "You are on version 3 of Greet. Nobody else was changed." in words(done)
    assert text_of(cast, cast.alice) == "You greet people warmly.\nSay their name.\nSay the time of day."
    assert version_of(cast, cast.alice) == 3 and text_of(cast, cast.bob) == before
    assert "Nothing is waiting" in words(done)


def test_alice_takes_the_vendors_text(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    take(at_desk(cast.alice), **{"d__" + ROLE: "take"})
    assert text_of(cast, cast.alice) == NEW["instructions"]["role"]


def test_alice_writes_a_third_text(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    choices = {"d__" + ROLE: "edit", "v__" + ROLE: "Greet like an old friend.", "w__" + ROLE: "text"}
    take(at_desk(cast.alice), **choices)
    assert text_of(cast, cast.alice) == "Greet like an old friend." and version_of(cast, cast.alice) == 3


def test_undo_brings_the_old_version_back(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    done = take(alice, **{"d__" + ROLE: "take"}).content.decode()
    undo = dict(re.findall(r'name="(act|revision|etag)" value="([^"]*)"', done.split('id="toasts"', 1)[1]))
    undo = {name: value.replace("&quot;", '"') for name, value in undo.items()}
    back = alice.client.post("/f/greet/upgrade", undo, headers={"HX-Request": "true"})
    assert "It is as it was before, on version 2." in words(back)
    assert (version_of(cast, cast.alice), text_of(cast, cast.alice)) == (2, "You greet people warmly.\nSay their name.")


def test_deciding_later_keeps_her_where_she_is(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    asked = words(decide(alice, **{"d__" + ROLE: "hold"}))
    assert (
        "It stays version 2 for now." in asked and "Still to decide: Role." in asked and "Save the decisions" in asked
    )
    take(alice, **{"d__" + ROLE: "hold"})
    assert version_of(cast, cast.alice) == 2
    assert 'value="hold" checked' in alice.see("/f/greet/upgrade")


def test_what_was_looked_at_is_what_is_taken(at_desk: Sit, cast: Cast) -> None:
    """Changing a choice after looking shows the new outcome first, and saves nothing."""
    held(cast)
    alice = at_desk(cast.alice)
    asked = decide(alice, **{"d__" + ROLE: "keep"}).content.decode()
    digest = re.search(r'name="after" value="([^"]+)"', asked)
    assert digest is not None
    again = decide(alice, act="take", **{"d__" + ROLE: "take"}, after=digest[1])
    assert "What you chose has changed since you looked." in words(again) and version_of(cast, cast.alice) == 2


def test_a_text_that_breaks_a_rule_is_refused_beside_its_field_and_kept(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    choices = {"d__" + ROLE: "edit", "v__" + ROLE: "Greet {{ vars.nobody }} kindly.", "w__" + ROLE: "text"}
    refused = decide(at_desk(cast.alice), **choices)
    page = refused.content.decode()
    assert refused.status_code == 422 and refused["HX-Retarget"] == "#upgrade"
    field = page.split('id="decide-instructions-role"', 1)[1].split("</fieldset>", 1)[0]
    assert "nobody" in words(field.split('role="alert"', 1)[1].split("</div>", 1)[0])
    assert "Greet {{ vars.nobody }} kindly." in field and 'value="edit" checked' in field
    assert version_of(cast, cast.alice) == 2


def test_somebody_saved_first_both_sides_are_shown_and_nothing_typed_is_lost(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    sent = form_of(alice.see("/f/greet/upgrade"))
    change(cast, cast.alice, text="You greet people from another window.\nSay their name.")
    typed = {f"d:{ROLE}": "edit", f"v:{ROLE}": "My long thought.", f"w:{ROLE}": "text", "act": "look"}
    stale = alice.client.post("/f/greet/upgrade", {**sent, **typed}, headers={"HX-Request": "true"})
    page = stale.content.decode()
    assert stale.status_code == 412 and "You saved revision 2 while you were deciding." in words(page)
    assert "My long thought." in page and "from another window." in words(page)
    assert text_of(cast, cast.alice) == "You greet people from another window.\nSay their name."


def test_the_vendor_moved_on_meanwhile(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    sent = form_of(alice.see("/f/greet/upgrade"))
    vendor_moves(cast, vars={"tone": "plain", "language": "German"})
    stale = alice.client.post(
        "/f/greet/upgrade", {**sent, f"d:{ROLE}": "keep", "act": "take", "after": "x"}, headers={"HX-Request": "true"}
    )
    assert stale.status_code == 412 and "The vendor has moved on to version 4" in words(stale)
    assert 'value="keep" checked' in stale.content.decode() and version_of(cast, cast.alice) == 2


def test_nothing_decided_is_said_and_not_saved(at_desk: Sit, cast: Cast) -> None:
    first(cast)
    change(cast, cast.alice, text="All mine.")
    vendor_moves(cast)
    refused = decide(at_desk(cast.alice))
    assert refused.status_code == 422 and "Choose one of these." in words(refused)


def test_who_is_held_by_the_organisation_sees_who_decides_and_no_verbs(at_desk: Sit, cast: Cast) -> None:
    first(cast)
    change(cast, cast.ada, "tenant")
    vendor_moves(cast)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet/upgrade")
    assert "Acme is still on version 2, and you with it" in words(page) and "Ada can do that." in words(page)
    assert "Take version" not in page and "<form" not in page.split('id="upgrade"', 1)[1].split("</main>")[0]
    assert alice.send("/f/greet/upgrade", act="look", etag='"0"', version="3").status_code == 403
    assert "the organisation decides" in words(alice.see("/f/greet"))


def test_ada_decides_for_everybody(at_desk: Sit, cast: Cast) -> None:
    first(cast)
    change(cast, cast.ada, "tenant")
    vendor_moves(cast)
    ada = at_desk(cast.ada)
    assert "Greet stays on version 2 until it is decided" in words(ada.see("/org/conflicts"))
    page = words(ada.see("/org/f/greet/upgrade"))
    assert "Acme is still on version 2" in page and "Keep ours" in page
    done = take(ada, "/org/f/greet/upgrade", **{"d__" + ROLE: "both"})
    assert "Acme is on version 3 of Greet. It reaches everyone at Acme" in words(done)
    assert (version_of(cast, cast.alice), version_of(cast, cast.mallory)) == (3, 3)
    assert "Nothing to decide" in words(ada.see("/org/conflicts"))


def test_members_do_not_decide_for_everybody(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    for path in ("/org/f/greet/upgrade", "/org/conflicts"):
        alice.see(path, 403)
    assert alice.send("/org/f/greet/upgrade", act="take").status_code == 403


def test_a_viewer_looks_and_cannot_decide(at_desk: Sit, cast: Cast) -> None:
    pin_free = at_desk(cast.vera)
    first(cast)
    page = words(pin_free.see("/f/greet/upgrade"))
    assert "Nothing is waiting" in page
    assert pin_free.send("/f/greet/upgrade", act="look").status_code == 403


def test_alice_ends_her_stay_here_and_takes_what_is_new(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    first(cast)
    alice = at_desk(cast.alice)
    asked = words(decide(alice))
    assert "You move to version 2." in asked and "Your stay on version 1 ends." in asked
    done = take(alice)
    assert version_of(cast, cast.alice) == 2 and "Undo" in words(done)


def test_deciding_and_ending_a_stay_are_told_together_as_they_are_done(at_desk: Sit, cast: Cast) -> None:
    change(cast, cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    first(cast)
    alice = at_desk(cast.alice)
    asked = words(decide(alice, **{f"d__{ROLE}": "keep"}))
    assert "You move to version 2." in asked and "Your stay on version 1 ends." in asked
    assert version_of(cast, cast.alice) == 1
    done = words(take(alice, **{f"d__{ROLE}": "keep"}))
    assert "You are on version 2 of Greet." in done and version_of(cast, cast.alice) == 2


def test_what_was_kept_by_default_is_shown_and_can_be_changed(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    publish(cast.greet, behavior={**GREET, "vars": {**GREET["vars"], "tone": "formal"}}, rules=GREET_RULES,
            make_current=True, by=cast.operator)  # fmt: skip
    alice = at_desk(cast.alice)
    assert version_of(cast, cast.alice) == 2 and text_of(cast, cast.alice, "vars.tone") == "warm"
    page = words(alice.see("/f/greet/upgrade"))
    assert "Version 2 changed 1 thing that you changed as well What you have was kept." in page
    take(alice, **{"d__vars.tone": "take"})
    assert text_of(cast, cast.alice, "vars.tone") == "formal"


def test_the_rest_of_her_changes_is_told(at_desk: Sit, cast: Cast) -> None:
    document = {
        "set": {ROLE: "Mine.", "vars.tone": "warm", "vars.language": "French"},
        "append": {"instructions.tone": "Short."},
        "remove": ["examples.first"],
    }
    save_override(cast.greet, "user", document, expected=ANY, by=cast.alice)
    rules = {**GREET_RULES, "vars.tone": {"edit": "locked"}}
    behavior = {**NEW, "examples": {}}
    publish(cast.greet, behavior=behavior, rules=rules, make_current=True, by=cast.operator)
    page = words(at_desk(cast.alice).see("/f/greet/upgrade"))
    assert "French The vendor has come to the same." in page and "Now the same" in page
    assert "Short. Carries over" in page and "No longer there" in page
    assert "warm" in page and "Not in force" in page


def test_hidden_text_is_never_on_the_page(at_desk: Sit, cast: Cast) -> None:
    """The vendor hides what comes by itself, while Alice is held by something else."""
    first(cast)
    change(cast, cast.alice)
    secret = {**NEW, "instructions": {**NEW["instructions"], "tone": "CANARY tone", "closing": "CANARY closing"}}
    rules = {**GREET_RULES, "instructions.tone": {"hidden": True}, "instructions.closing": {"hidden": True}}
    publish(cast.greet, behavior=secret, rules=rules, make_current=True, by=cast.operator)
    alice = at_desk(cast.alice)
    page = words(alice.see("/f/greet/upgrade"))
    assert "Tone Different, but not shown to customers." in page and "You are still on version 2" in page
    for path in ("/f/greet/upgrade", "/f/greet/timeline", "/f/greet/mine", "/notices"):
        assert "CANARY" not in alice.see(path), path
    assert "CANARY" not in decide(alice, **{"d__" + ROLE: "take"}).content.decode()
    assert "CANARY" not in take(alice, **{"d__" + ROLE: "take"}).content.decode()


def test_a_hidden_decision_has_no_texts(cast: Cast) -> None:
    held(cast)
    page = Upgrading.of(cast.greet, "user", cast.alice)
    items = tuple(replace(item, hidden=True, merged=None) for item in page.found.items)
    decision = replace(page, found=replace(page.found, items=items)).page().decisions[0]
    assert (decision.hidden, decision.then, decision.now, decision.mine, decision.box) == (True, (), (), (), None)


def test_outputs_are_compared_on_her_own_inputs_when_she_asks(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    alice.send("/f/greet", in__name="Ann")
    look()
    held(cast)
    assert "Compare on my last 5 inputs" in words(alice.see("/f/greet/upgrade")) and not _previews(cast)
    model.script(greeting("Hello Ann"), greeting("Good morning Ann"))
    sent = form_of(alice.see("/f/greet/upgrade"))
    going = alice.client.post("/f/greet/upgrade", {**sent, "act": "try"}, headers={"HX-Request": "true"})
    assert "0 of 1 done" in words(going) and 'hx-trigger="load delay:1s"' in going.content.decode()
    look()
    done = words(alice.part(f"/f/greet/upgrade?preview={_previews(cast)[0]}"))
    assert "1 would read differently" in done and "Version 2, as it is now" in done and "Version 3, with your" in done
    assert "removed Hello" in done and "added Good morning" in done and version_of(cast, cast.alice) == 2


def test_somebody_elses_comparison_is_not_there(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    test_outputs_are_compared_on_her_own_inputs_when_she_asks(at_desk, cast, model)
    for who in (cast.bob, cast.mallory):
        assert at_desk(who).part(f"/f/greet/upgrade?preview={_previews(cast)[0]}").status_code == 404


def test_without_a_run_of_hers_there_is_nothing_to_compare_on(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    refused = alice.client.post(
        "/f/greet/upgrade", {**form_of(alice.see("/f/greet/upgrade")), "act": "try"}, headers={"HX-Request": "true"}
    )
    assert refused.status_code == 422 and "You have no runs of greet yet" in words(refused)


def test_a_vendor_who_goes_back_takes_the_upgrade_away(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    set_current(cast.greet, 2, by=cast.operator)
    assert "Nothing is waiting" in words(at_desk(cast.alice).see("/f/greet/upgrade"))


def _previews(cast: Cast) -> list[Any]:
    with cast.alice.present():
        return list(Preview.objects.values_list("id", flat=True))
