"""Say what you want changed: proposed operations to tick, tried on one's own inputs, accepted, undone, never lost."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from features.actions.catalog import FOLDER, load_file, read_file
from features.actions.overrides import ANY, newest, override_json, save_operation
from features.actions.pins import restore
from features.runs.models import Preview
from tenants.actor import Actor
from tenants.subjects import tenant_itself
from tenants.system import system_actor
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

from .conftest import Person, words
from .test_using import ran, runs_of

Sit = Callable[[Actor], Person]
MINE, OURS = "/f/greet/mine", "/org/f/greet"


def proposing(*operations: dict[str, str], reason: str = "The tone is a field of its own.") -> Answer:
    return Answer(json.dumps({"reason": reason, "operations": list(operations)}))


WARM = {"field": "vars.tone", "kind": "set", "value": "warm"}
BRIEF = {"field": "instructions.role", "kind": "append", "value": "Be brief."}
UNSAFE = {"field": "instructions.safety", "kind": "set", "value": "Promise everything."}


@pytest.fixture(autouse=True)
def offered(cast: Cast) -> None:
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))


def asked(person: Person, who: Actor, request: str = "Be warmer", path: str = MINE) -> str:
    """Ask, let a worker answer, and return the address of what came of it."""
    working = person.send(path, act="suggest", request=request)
    assert working.status_code == 200 and "Waiting for a worker" in words(working), words(working)
    look()
    here = f"{path}?suggest={runs_of(who)[0].id}"
    assert working["HX-Push-Url"] == here
    return here


def saved(cast: Cast, who: Actor, layer: str = "user") -> dict[str, Any]:
    with who.present():
        return override_json(newest(cast.greet, who.acting_for() if layer == "user" else tenant_itself(who.tenant_id)))


def box(answer: Any) -> str:
    """What the box says."""
    html = answer if isinstance(answer, str) else answer.content.decode()
    return words(re.search(r"<aside.*?</aside>", html, re.DOTALL)[0])


def form_of(where: str, *ticked: str, etag: str = '"0"') -> dict[str, Any]:
    return {"suggestion": where.rpartition("=")[2], "op": list(ticked), "etag": etag}


def test_alice_sees_what_would_change_and_what_is_forbidden(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM, BRIEF, UNSAFE))
    alice = at_desk(cast.alice)
    shown = box(alice.see(asked(alice, cast.alice)))
    assert "Proposed: 2 changes Allowed “The tone is a field of its own.”" in shown
    assert "Tone replaced removed plain added warm" in shown
    assert "Role added to You greet people. added Be brief." in shown
    assert "Safety Not allowed" in shown and "Is not a field that can be changed here." in shown
    assert "Accept 2 changes" in shown and "Answered by 135M demo model" in shown
    assert saved(cast, cast.alice)["revision"] == 0


def test_only_what_is_ticked_is_saved_and_one_click_undoes_it(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.alice)
    model.script(proposing(WARM, BRIEF))
    alice = at_desk(cast.alice)
    where = asked(alice, cast.alice)
    answer = alice.send(MINE, act="accept", **form_of(where, "1", etag='"1"'))
    html = answer.content.decode()
    assert answer.status_code == 200 and answer["HX-Push-Url"] == MINE
    assert "Saved as revision 2. Nobody else was changed. Undo" in box(answer)
    assert 'id="editor" hx-swap-oob="true"' in html and "Revision 2, saved" in words(answer)
    now = saved(cast, cast.alice)
    assert (now["set"], now["message"]) == ({"vars.language": "French", "vars.tone": "warm"}, "Be warmer")
    undone = alice.send(MINE, act="undo-suggestion", revision="1", etag='"2"')
    assert "It is as it was before." in box(undone)
    assert saved(cast, cast.alice)["set"] == {"vars.language": "French"}


def test_undoing_the_very_first_change_leaves_nothing_changed(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM))
    alice = at_desk(cast.alice)
    answer = alice.send(MINE, act="accept", **form_of(asked(alice, cast.alice), "1"))
    assert '<input type="hidden" name="revision" value="0">' in answer.content.decode()
    alice.send(MINE, act="undo-suggestion", revision="0", etag='"1"')
    assert saved(cast, cast.alice).get("set", {}) == {}


def test_undo_under_a_stay_goes_back_to_what_was_served_there(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    then = save_operation(cast.greet, "user", "vars.language", {"set": "French"}, expected=ANY, by=cast.alice).row
    save_operation(cast.greet, "user", "vars.language", {"set": "Dutch"}, expected=ANY, by=cast.alice)
    restore(cast.greet, "user", at=then.valid_from, by=cast.alice)
    model.script(proposing(WARM))
    alice = at_desk(cast.alice)
    answer = alice.send(MINE, act="accept", **form_of(asked(alice, cast.alice), "1", etag='"2"'))
    assert '<input type="hidden" name="revision" value="1">' in answer.content.decode()
    alice.send(MINE, act="undo-suggestion", revision="1", etag='"3"')
    assert saved(cast, cast.alice)["set"] == {"vars.language": "French"}


def test_somebody_who_saved_first_is_named_and_nothing_is_lost(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM, BRIEF))
    ada = at_desk(cast.ada)
    where = asked(ada, cast.ada, path=OURS)
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    answer = ada.send(OURS, act="accept", **form_of(where, "2"))
    shown = box(answer)
    assert answer.status_code == 412 and "You saved revision 1 while you were editing." in shown
    assert "Be brief." in shown and "Accept 1 change" in shown and "Be warmer" in answer.content.decode()
    assert 'name="etag" value="&quot;1&quot;"' in answer.content.decode()
    ada.send(OURS, act="accept", **form_of(where, "2", etag='"1"'))
    now = saved(cast, cast.ada, "tenant")
    assert (now["set"], now["append"]) == ({"vars.language": "French"}, {"instructions.role": "Be brief."})


def test_both_outputs_of_her_last_inputs_are_shown_before_she_accepts(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    alice = at_desk(cast.alice)
    for name in ("Ann", "Ben", "Cy", "Dee"):
        ran(alice, cast.alice, name)
    model.script(proposing(WARM, BRIEF))
    where = asked(alice, cast.alice)
    going = alice.send(MINE, act="try-suggestion", **form_of(where, "1"))
    with cast.alice.present():
        [preview] = Preview.objects.all()
    assert 'aria-busy="true"' in going.content.decode() and "0 of 3 done" in box(going)
    model.script(*[greeting("Hello"), greeting("Dearest")] * 3)
    look()
    again = f"{where}&op=1&preview={preview.id}"
    assert f'hx-get="{again.replace("&", "&amp;")}" hx-trigger="load delay:1s"' in going.content.decode()
    shown = box(alice.part(again))
    assert "3 would read differently" in shown and "Now removed Hello With the changes added Dearest" in shown
    assert "Accept 1 change" in shown
    assert [pair["input"]["name"] for pair in preview.sides["pairs"]] == ["Dee", "Cy", "Ben"]


def test_without_an_input_to_try_it_on_she_is_told_so_and_keeps_the_proposal(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.script(proposing(WARM))
    alice = at_desk(cast.alice)
    answer = alice.send(MINE, act="try-suggestion", **form_of(asked(alice, cast.alice), "1"))
    assert answer.status_code == 422 and "You have no runs of greet yet" in box(answer)
    assert "Accept 1 change" in box(answer)


def test_nothing_ticked_saves_nothing(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM))
    alice = at_desk(cast.alice)
    answer = alice.send(MINE, act="accept", **form_of(asked(alice, cast.alice)))
    assert answer.status_code == 422 and "Tick at least one." in box(answer)
    assert saved(cast, cast.alice)["revision"] == 0


def test_what_is_not_allowed_cannot_be_ticked_from_outside(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM, UNSAFE))
    alice = at_desk(cast.alice)
    alice.send(MINE, act="accept", **form_of(asked(alice, cast.alice), "1", "2"))
    assert saved(cast, cast.alice)["set"] == {"vars.tone": "warm"}


def test_no_change_and_no_answer_are_said_as_what_they_are(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(reason="None of these fields can do that."))
    alice = at_desk(cast.alice)
    shown = box(alice.part(asked(alice, cast.alice, "Make me a coffee")))
    assert "No change is proposed. “None of these fields can do that.”" in shown and "Accept" not in shown
    model.script(Answer("Sure!"), Answer("Sure!"))
    where = asked(alice, cast.alice, "Make me tea")
    failed = alice.part(where)
    assert "Try again" in box(failed) and "Make me tea" in failed.content.decode()
    assert "Accept" not in box(failed)


def test_a_wish_without_words_is_refused_beside_the_box(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.alice).send(MINE, act="suggest", request="  ")
    assert answer.status_code == 422 and "Say in a few words what you want changed." in box(answer)


def test_a_proposal_is_seen_by_who_asked_for_it_alone(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(proposing(WARM))
    where = asked(at_desk(cast.alice), cast.alice)
    at_desk(cast.bob).see(where, 404)
    at_desk(cast.mallory).see(where, 404)
    assert at_desk(cast.bob).send(MINE, act="accept", **form_of(where, "1")).status_code == 404
    at_desk(cast.alice).see(f"{MINE}?suggest=7", 404)
    at_desk(cast.ada).see(where.replace(MINE, OURS), 404)


def test_a_viewer_has_no_box_to_ask_in(at_desk: Sit, cast: Cast) -> None:
    vera = at_desk(cast.vera)
    assert 'id="wish"' not in vera.see(MINE) and "A viewer can look but not change." in box(vera.see(MINE))
    assert vera.send(MINE, act="suggest", request="Be warmer").status_code == 403
