"""Try it first: a version, a moment or a whole document on chosen inputs; saved whole, and everything taken out."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from features.actions.overrides import ANY, save_operation
from features.models import Override
from tenants.actor import Actor
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]
MINE, OURS = "/f/greet/try", "/org/f/greet/try"
WARM = {"set": "warm"}
WARMLY = "set:\n  vars.tone: warm\n"
ANN = '{"name": "Ann"}\n\n{"name": "Eve"}'


def answering(request: dict[str, Any]) -> Answer:
    """A model that greets warmly when it is told to."""
    return Answer(json.dumps({"greeting": "Dear friend" if "warm" in json.dumps(request["messages"]) else "Hello"}))


def saved(who: Actor, layer_id: Any = None) -> list[Override]:
    """All revisions of somebody, the newest first."""
    with who.present():
        return list(Override.objects.filter(subject_id=layer_id or who.acting_for().id).order_by("-number"))


def etag_in(page: Any) -> str:
    found = re.search(r'name="etag" value="([^"]+)"', page if isinstance(page, str) else page.content.decode())
    assert found
    return found[1].replace("&quot;", '"')


def test_alice_tries_a_whole_document_on_inputs_that_she_types(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice, model.default = at_desk(cast.alice), answering
    began = alice.send(MINE, act="try", what="document", text=WARMLY, inputs=ANN)
    assert began.status_code == 200 and "0 of 2 done" in words(began) and "vars.tone: warm" in began.content.decode()
    while look():
        pass
    address = re.search(r"preview=([0-9a-f-]{36})", began.content.decode())
    assert address
    shown = words(alice.see(f"{MINE}?preview={address[1]}"))
    assert "2 would read differently" in shown and "Hello" in shown and "Dear friend" in shown
    assert saved(cast.alice) == []
    assert "It is stopped" in words(alice.send(MINE, act="stop", preview=address[1]))
    alice.see(f"{MINE}?preview={address[1]}", 404)


@pytest.mark.parametrize("asked", [{"what": "version", "version": "1"}, {"what": "follow"}])
def test_versions_and_following_again_are_tried_too(at_desk: Sit, cast: Cast, asked: dict[str, str]) -> None:
    began = at_desk(cast.alice).send(MINE, act="try", inputs=ANN, **asked)
    assert began.status_code == 200 and "of 2 done" in words(began)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"inputs": "{}\nAnn"}, "Line 2 is no JSON."),
        ({"inputs": "{}\n" * 11}, "Give at most 10."),
        ({"inputs": '{"name": 4}'}, "1: "),
        ({"text": "Be warm!"}, "Write it as parts of their own"),
        ({"text": "sit:\n  vars.tone: warm\n", "inputs": ANN}, "Not known in an override: sit."),
        ({"text": "set:\n  vars.tone: 4\n", "inputs": ANN}, "Tone"),
        ({"what": "version"}, "Choose one."),
        ({"what": "at", "at": "2020-01-01T10:00", "inputs": ANN}, "served nothing at that moment"),
        ({"recent": "11"}, "less than or equal to 10"),
        ({"recent": "3"}, "no run"),
    ],
)
def test_what_cannot_be_tried_is_said_beside_it_and_what_was_typed_stays(
    at_desk: Sit, cast: Cast, asked: dict[str, str], told: str
) -> None:
    typed = {"what": "document", "text": WARMLY, **asked}
    refused = at_desk(cast.alice).send(MINE, act="try", **typed)
    assert refused.status_code in (400, 404, 422) and told in words(refused), words(refused)
    assert typed["text"].splitlines()[0] in refused.content.decode()


def test_ada_saves_changes_and_rules_at_once_and_says_why(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    text = "set:\n  vars.tone: warm\nrules:\n  vars.tone:\n    choices: [warm, formal]\n"
    done = ada.send(OURS, act="save", what="document", text=text, message="As agreed", etag=etag_in(ada.see(OURS)))
    assert done.status_code == 200 and "Saved as revision 1." in words(done)
    row = saved(cast.ada, cast.ada.tenant_id)[0]
    assert (row.message, row.rules) == ("As agreed", {"vars.tone": {"choices": ["warm", "formal"]}})
    other = ada.send(OURS, act="save", what="version", version="1", text="set: {}", etag=etag_in(done))
    assert other.status_code == 422 and "Choose the changes written below" in words(other)
    assert "choices:" in ada.see(OURS) and at_desk(cast.alice).send(OURS, act="save", text="").status_code == 403


def test_who_was_quicker_is_named_and_both_sides_are_shown(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    seen = etag_in(alice.see(MINE))
    save_operation(cast.greet, "user", "vars.tone", WARM, expected=ANY, by=cast.alice)
    late = alice.send(MINE, act="save", what="document", text="set:\n  vars.tone: formal\n", etag=seen)
    page = late.content.decode()
    assert late.status_code == 412 and "vars.tone: formal" in page and "vars.tone: warm" in page
    again = alice.send(MINE, act="save", what="document", text="set:\n  vars.tone: formal\n", etag=etag_in(late))
    assert "Saved as revision 2." in words(again)


def test_everything_is_inherited_again_after_a_question(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    save_operation(cast.greet, "user", "vars.tone", WARM, expected=ANY, by=cast.alice)
    asked = alice.part(f"{MINE}?confirm=clear")
    assert "Every change of yours is taken out." in words(asked) and len(saved(cast.alice)) == 1
    done = alice.send(MINE, act="clear", etag=etag_in(asked))
    assert "Everything is inherited again." in words(done) and saved(cast.alice)[0].operations == []


def test_a_viewer_looks_and_can_neither_try_nor_save(at_desk: Sit, cast: Cast) -> None:
    vera = at_desk(cast.vera)
    assert "A viewer can look but not run." in words(vera.see(MINE))
    for act in ("try", "save"):
        assert vera.send(MINE, act=act, what="document", text=WARMLY, inputs=ANN, etag='"0"').status_code == 403
