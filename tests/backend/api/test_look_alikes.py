"""Nothing that only looks like what is allowed gets past a rule, nor what looks like something else than what is not."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.cast import Cast

from .acts import FIRST, MINE, OURS, digest, kind, problems, publish
from .conftest import Caller

SAFETY = "instructions.safety"  # locked by the vendor
LAW = "Never promise anything."

NAMES = {
    "capitals": "Instructions.safety",
    "capitals at its end": "instructions.SAFETY",
    "a Cyrillic letter": "instructions.s\u0430fety",
    "full width": "\uff49nstructions.safety",
    "a full stop of another script": "instructions\u3002safety",
    "a long s": "in\u017ftructions.safety",
    "an accent put on": "instructions.safe\u0301ty",
    "a space after it": "instructions.safety ",
    "a line end after it": "instructions.safety\n",
    "a soft hyphen": "instructions.sa\u00adfety",
    "nothing seen": "instructions.safety\u200b",
    "its parent": "instructions",
    "its parent, with a dot": "instructions.",
    "all of its parent": "instructions.*",
    "a part of it": "instructions.safety.x",
    "a pointer": "/instructions/safety",
    "an index": "instructions[safety]",
    "two dots": "instructions..safety",
    "inside out": "safety.instructions",
    "prototype": "__proto__",
}


def untouched(cast: Cast, api: Caller, before: str) -> bool:
    alice = api(cast.alice)
    return alice.get(MINE).json()["revision"] == 0 and digest(api, cast.alice) == before


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_look_alike_of_a_locked_field_is_saved(name: str, cast: Cast, api: Caller) -> None:
    before, alice = digest(api, cast.alice), api(cast.alice)
    for body in ({"set": {name: "Promise."}}, {"append": {name: "Or do."}}, {"remove": [name]}):
        assert kind(alice.put(MINE, body, **FIRST)) == (422, "invalid")
    for operation in ({"set": "Promise."}, {"append": "Or do."}, {"remove": True}):
        answer = alice.put(f"{MINE}/fields/{quote(name, safe='')}", operation)
        assert 400 <= answer.status_code < 500, answer.content
    assert untouched(cast, api, before)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_organisation_cannot_loosen_a_lock_by_a_look_alike(name: str, cast: Cast, api: Caller) -> None:
    rules = {name: {"edit": "user"}}
    answer = api(cast.ada).put(OURS, {"rules": rules}, **FIRST)
    if name == "instructions.*":  # a rule's proper name: it says nothing of what the vendor's own rule says
        assert answer.status_code == 200
    else:
        assert kind(answer) == (422, "invalid")
    assert problems(api(cast.alice).put(MINE, {"set": {SAFETY: "Promise."}}, **FIRST)) == {
        (f"/set/{SAFETY}", "edit"),
    }


# vars.tone may be plain, warm or formal.
VALUES: dict[str, Any] = {
    "capitals": "Warm",
    "a Cyrillic letter": "w\u0430rm",
    "full width": "\uff57\uff41\uff52\uff4d",
    "a space": "warm ",
    "nothing seen": "warm\u200b",
    "a line end": "warm\n",
    "null": None,
    "nothing": "",
    "true": True,
    "a number": 1,
    "a list of it": ["warm"],
    "an object of it": {"value": "warm"},
    "two of them": "plain, warm",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_no_look_alike_of_a_choice_is_chosen(value: Any, cast: Cast, api: Caller) -> None:
    before, alice = digest(api, cast.alice), api(cast.alice)
    assert kind(alice.put(MINE, {"set": {"vars.tone": value}}, **FIRST)) == (422, "invalid")
    assert kind(alice.put(f"{MINE}/fields/vars.tone", {"set": value})) == (422, "invalid")
    assert untouched(cast, api, before)


def test_removing_is_no_way_around_a_bound(cast: Cast, api: Caller) -> None:
    before = digest(api, cast.alice)
    assert problems(api(cast.alice).put(MINE, {"remove": ["vars.tone"]}, **FIRST)) == {("/remove", "choices")}
    assert untouched(cast, api, before)


@pytest.mark.parametrize(
    "text",
    [
        '{"set": {"vars.tone": "warm", "vars.tone": "rude"}}',
        '{"set": {"vars.tone": "rude", "vars.tone": "warm"}}',
        '{"set": {"vars.language": "fr"}, "set": {"instructions.safety": "Promise."}}',
        '{"set": {}, "rules": {}, "rules": {"instructions.safety": {"edit": "user"}}}',
        '{"set": {"vars.to\\u006ee": "warm", "vars.tone": "rude"}}',
        '{"set": {"examples.x": {"input": {"name": "A", "name": "B"}, "output": {"greeting": "Hi"}}}}',
    ],
)
def test_a_key_that_comes_twice_is_refused_whichever_of_them_would_be_allowed(
    text: str, cast: Cast, api: Caller
) -> None:
    before, alice = digest(api, cast.alice), api(cast.alice)
    sent = alice.client.put(
        f"/api/v1{MINE}", data=text, content_type="application/json", headers={**alice.headers, "If-None-Match": "*"}
    )
    assert kind(sent) == (400, "malformed")
    assert untouched(cast, api, before)


def test_a_name_written_with_escapes_is_the_name(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    escaped = '{"set": {"instructions.\\u0073afety": "Promise."}}'
    sent = alice.client.put(
        f"/api/v1{MINE}", data=escaped, content_type="application/json", headers={**alice.headers, "If-None-Match": "*"}
    )
    assert problems(sent) == {(f"/set/{SAFETY}", "edit")}


@pytest.mark.parametrize("move", ["set", "append", "remove"])
def test_hidden_is_locked_though_its_rule_says_nothing_of_it(move: str, cast: Cast, api: Caller) -> None:
    publish(api, cast, rules={"prompt": {"hidden": True, "edit": "user"}, "instructions.*": {"hidden": True}})
    before, alice = digest(api, cast.alice), api(cast.alice)
    for field in ("prompt", "instructions.role", "instructions.new"):
        body = {"remove": [field]} if move == "remove" else {move: {field: "{{ input.name }}"}}
        refused = alice.put(MINE, body, **FIRST)
        assert kind(refused) == (422, "invalid")
        assert "edit" in {rule for _, rule in problems(refused)}
    assert untouched(cast, api, before)
