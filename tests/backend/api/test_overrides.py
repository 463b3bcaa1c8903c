"""Overrides: saved whole or one operation at a time, refused whole, taken out, rolled back; never over somebody's head."""

from typing import Any

import pytest

from tests.cast import GREET_RULES, Cast

from .acts import (
    FIRST,
    GREETING,
    MINE,
    OURS,
    behavior,
    digest,
    everybody,
    hidden,
    kind,
    moved,
    problems,
    publish,
    served,
)
from .conftest import Caller

TONE = f"{MINE}/fields/vars.tone"


def test_the_first_save_says_that_there_is_nothing_and_the_next_what_was_seen(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    nothing = alice.get(MINE)
    assert (nothing.headers["ETag"], nothing.json()["revision"]) == ('"0"', 0)
    first = alice.put(MINE, {"set": {"vars.tone": "warm"}, "message": "Friendlier"}, **FIRST)
    assert (first.headers["ETag"], first.json()["message"]) == ('"1"', "Friendlier")
    second = alice.put(MINE, {"set": {"vars.tone": "formal"}}, If_Match=first.headers["ETag"])
    assert (second.json()["revision"], alice.get(MINE).headers["ETag"]) == (2, '"2"')
    assert alice.get(MINE).json() == {key: value for key, value in second.json().items() if key != "suspended"}


def test_a_save_that_says_nothing_of_what_was_seen_is_400(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}})) == (400, "malformed")
    assert api(cast.alice).get(MINE).json()["revision"] == 0


@pytest.mark.parametrize(
    "headers", [{"If_Match": "1"}, {"If_Match": '"1", "2"'}, {"If_None_Match": '"1"'}, {"If_Match": ""}]
)
def test_a_condition_that_says_nothing_is_400(headers: dict[str, str], cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).put(MINE, {}, **headers)) == (400, "malformed")


STALE: list[tuple[str, str, Any, dict[str, str]]] = [
    ("put", MINE, {"set": {"vars.tone": "plain"}}, {"If_Match": '"1"'}),
    ("put", MINE, {"set": {"vars.tone": "plain"}}, {"If_Match": '"9"'}),
    ("put", MINE, {"set": {"vars.tone": "plain"}}, FIRST),
    ("delete", MINE, None, {"If_Match": '"1"'}),
    ("put", TONE, {"set": "plain"}, {"If_Match": '"1"'}),
    ("delete", TONE, None, {"If_Match": '"1"'}),
    ("post", f"{MINE}/rollback", {"revision": 1}, {"If_Match": '"1"'}),
]


@pytest.mark.parametrize(("method", "path", "body", "headers"), STALE)
def test_whoever_saw_an_older_state_is_told_and_changes_nothing(
    method: str, path: str, body: Any, headers: dict[str, str], cast: Cast, api: Caller
) -> None:
    alice = api(cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    alice.put(MINE, {"set": {"vars.tone": "formal"}}, If_Match='"1"')
    before = alice.get(MINE).json()
    refused = alice.request(method, path, body, **headers)
    assert (kind(refused), refused.json()["revision"]) == ((412, "stale"), '"2"')
    assert alice.get(MINE).json() == before


def test_a_weak_etag_from_a_proxy_is_as_good(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert api(cast.alice).put(MINE, {}, If_Match='W/"1"').status_code == 200


def test_one_field_is_set_appended_to_removed_and_inherited_again(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    alice.put(TONE, {"set": "warm"})
    alice.put(f"{MINE}/fields/instructions.role", {"append": "Be brief."})
    saved = alice.put(f"{MINE}/fields/examples.first", {"remove": True}).json()
    assert (saved["set"], saved["append"]) == ({"vars.tone": "warm"}, {"instructions.role": "Be brief."})
    assert (saved["remove"], saved["revision"]) == (["examples.first"], 3)
    assert alice.delete(TONE).json().get("set") is None
    assert alice.delete(TONE).json()["revision"] == 4  # inherited already: nothing to do, and no revision of it
    assert served(api, cast.alice)["fields"]["instructions.role"] == "You greet people.\n\nBe brief."


@pytest.mark.parametrize(
    "body", [{}, {"set": "warm", "remove": True}, {"remove": False}, {"add": "warm"}, {"set": "warm", "message": "x"}]
)
def test_one_field_takes_exactly_one_operation(body: Any, cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).put(TONE, body)) == (400, "malformed")


# What breaks a rule, a shape or the behavior itself, with the place of each in what was sent.
REFUSED: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "a choice": ({"set": {"vars.tone": "rude"}}, {("/set/vars.tone", "choices")}),
    "a lock": ({"append": {"instructions.safety": "Or do."}}, {("/append/instructions.safety", "edit")}),
    "both": (
        {"set": {"vars.tone": "rude", "instructions.safety": "Do."}},
        {("/set/vars.tone", "choices"), ("/set/instructions.safety", "edit")},
    ),
    "the contract": ({"set": {"input": {"type": "object"}}}, {("/set/input", "edit")}),
    "the model, as a user": ({"set": {"model.temperature": 1}}, {("/set/model.temperature", "edit")}),
    "the limits": ({"set": {"limits.repairs": 3}}, {("/set/limits.repairs", "edit")}),
    "the prompt's end": ({"remove": ["prompt"]}, {("/remove", "required")}),
    "nothing to remove": ({"remove": ["vars.colour"]}, {("/remove", "absent")}),
    "no such field": ({"set": {"colour": "blue"}}, {("/set/colour", "name")}),
    "two on one field": (
        {"set": {"instructions.role": "A"}, "append": {"instructions.role": "B"}},
        {("/append/instructions.role", "duplicate")},
    ),
    "text that is none": ({"append": {"instructions.role": 5}}, {("/append/instructions.role", "type")}),
    "a name that nothing declares": (
        {"set": {"instructions.role": "{{ vars.colour }}"}},
        {("/set/instructions.role", "template")},
    ),
    "a template that is none": ({"set": {"prompt": "{{ input.name "}}, {("/set/prompt", "template")}),
    "an example that breaks the schema": (
        {"set": {"examples.x": {"input": {"name": "A"}, "output": {"greeting": 5}}}},
        {("/set/examples.x/output/greeting", "type")},
    ),
    "an example that fails a check": (
        {"set": {"examples.x": {"input": {"name": "A"}, "output": {"greeting": "ho " * 40}}}},
        {("/set/examples.x/output/greeting", "checks.short")},
    ),
    "rules, as a user": ({"rules": {"vars.tone": {"edit": "tenant"}}}, {("/rules", "layer")}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_a_rule_is_refused_whole_with_each_place(case: str, cast: Cast, api: Caller) -> None:
    body, expected = REFUSED[case]
    good = {"vars.language": "Dutch"}
    refused = api(cast.alice).put(MINE, {**body, "set": {**good, **body.get("set", {})}}, **FIRST)
    assert kind(refused) == (422, "invalid")
    assert problems(refused) == expected
    assert api(cast.alice).get(MINE).json()["revision"] == 0  # the good part was not saved either


def test_a_single_operation_that_breaks_a_rule_points_into_what_was_sent(cast: Cast, api: Caller) -> None:
    assert problems(api(cast.alice).put(TONE, {"set": "rude"})) == {("/set", "choices")}
    example = {"set": {"input": {"name": "A"}, "output": {}}}
    wrong = api(cast.alice).put(f"{MINE}/fields/examples.x", example)
    assert {pointer for pointer, _ in problems(wrong)} == {"/set/output/greeting"}


def test_a_check_of_ones_own_does_not_make_hidden_text_speak(cast: Cast, api: Caller) -> None:
    example = {"input": {"name": "Eve"}, "output": {"greeting": "The password is swordfish"}}
    publish(api, cast, rules=hidden("examples.first"), examples__first=example)
    quoted = {"kind": "quoted", "at": "/greeting"}
    refused = api(cast.alice).put(MINE, {"set": {"checks.mine": quoted}}, **FIRST)
    assert (kind(refused), b"swordfish" in refused.content) == ((422, "invalid"), False)


def test_a_value_may_be_null(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.language": None}}, **FIRST)
    assert served(api, cast.alice)["fields"]["vars.language"] is None


def test_only_what_is_new_is_judged(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    publish(api, cast, rules={**GREET_RULES, "vars.tone": {"edit": "locked"}})
    kept = {"set": {"vars.tone": "warm", "vars.language": "Dutch"}}
    saved = api(cast.alice).put(MINE, kept, If_Match='"1"')
    assert [item["reason"] for item in saved.json()["suspended"]] == ["rule"]
    assert problems(api(cast.alice).put(TONE, {"set": "formal"})) == {("/set", "edit")}


def test_an_override_that_equals_the_base_is_listed_all_the_same(cast: Cast, api: Caller) -> None:
    before = digest(api, cast.alice)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "plain"}}, **FIRST)
    assert (digest(api, cast.alice), api(cast.alice).get(MINE).json()["set"]) == (before, {"vars.tone": "plain"})
    assert served(api, cast.alice, "?explain=true")["explain"]["vars.tone"]["layer"] == "user"


def test_two_removals_and_an_addition_in_one_revision(cast: Cast, api: Caller) -> None:
    body = {
        "remove": ["examples.first", "checks.short"],
        "set": {"checks.long": {"kind": "min_words", "at": "/greeting", "min": 1}},
    }
    api(cast.alice).put(MINE, body, **FIRST)
    fields = served(api, cast.alice)["fields"]
    assert {name for name in fields if name.startswith(("examples.", "checks."))} == {"checks.long"}


def test_saving_what_is_there_makes_no_revision(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    again = api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, If_Match='"1"')
    assert (again.json()["revision"], again.headers["ETag"]) == (1, '"1"')


def test_a_removed_override_stops_at_once(cast: Cast, api: Caller) -> None:
    before = digest(api, cast.alice)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert digest(api, cast.alice) != before
    assert api(cast.alice).delete(MINE, If_Match='"1"').json()["revision"] == 2
    assert digest(api, cast.alice) == before
    assert kind(api(cast.alice).delete(MINE)) == (404, "not-found")


def test_after_inheriting_everything_the_first_save_says_again_that_there_is_nothing(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    api(cast.alice).delete(MINE)
    assert api(cast.alice).put(MINE, {"set": {"vars.tone": "formal"}}, **FIRST).json()["revision"] == 3


def test_going_back_writes_a_new_revision_equal_to_the_old_one(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    then = digest(api, cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "formal"}}, If_Match='"1"')
    back = alice.post(f"{MINE}/rollback", {"revision": 1})
    assert (back.json()["revision"], back.json()["set"], digest(api, cast.alice)) == (3, {"vars.tone": "warm"}, then)
    history = alice.get(f"{MINE}/revisions").json()["items"]
    assert [(row["revision"], row["set"]["vars.tone"]) for row in history] == [(3, "warm"), (2, "formal"), (1, "warm")]


def test_going_back_is_never_refused_what_is_forbidden_today_comes_back_suspended(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    alice.delete(MINE)
    publish(api, cast, rules={**GREET_RULES, "vars.tone": {"edit": "locked"}})
    back = alice.post(f"{MINE}/rollback", {"revision": 1})
    assert (back.status_code, back.json()["suspended"][0]["reason"]) == (200, "rule")
    assert digest(api, cast.alice) == digest(api, cast.bob)
    assert kind(alice.post(f"{MINE}/rollback", {"revision": 9})) == (404, "not-found")


def test_an_admin_changes_the_organisation_and_its_users_follow(cast: Cast, api: Caller) -> None:
    before = everybody(api, cast)
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm", "model.temperature": 0.5}}, **FIRST)
    changed = moved(before, everybody(api, cast))
    assert changed == {"ada", "alice", "bob", "vera", "acme", "acme's u1", "acme's u2"}


def test_members_neither_see_nor_change_the_organisations_override(cast: Cast, api: Caller) -> None:
    for method, path in (("get", OURS), ("put", OURS), ("delete", OURS), ("get", f"{OURS}/revisions")):
        answer = api(cast.alice).request(method, path, {} if method == "put" else None, **FIRST)
        assert kind(answer) == (403, "forbidden")


def test_a_viewer_looks_and_changes_nothing(cast: Cast, api: Caller) -> None:
    assert api(cast.vera).get(MINE).status_code == 200
    assert kind(api(cast.vera).put(MINE, {"set": {}}, **FIRST)) == (403, "forbidden")


def test_an_organisations_rules_bind_its_users(cast: Cast, api: Caller) -> None:
    rules = {"vars.tone": {"choices": ["plain", "warm"]}, "vars.language": {"edit": "tenant"}}
    assert api(cast.ada).put(OURS, {"rules": rules}, **FIRST).json()["rules"] == rules
    refused = api(cast.alice).put(MINE, {"set": {"vars.tone": "formal", "vars.language": "Dutch"}}, **FIRST)
    assert problems(refused) == {("/set/vars.tone", "choices"), ("/set/vars.language", "edit")}
    assert api(cast.mallory).put(MINE, {"set": {"vars.tone": "formal"}}, **FIRST).status_code == 200


def test_an_organisations_rules_may_only_be_stricter_than_the_vendors(cast: Cast, api: Caller) -> None:
    looser = {"instructions.safety": {"edit": "user"}, "vars.tone": {"choices": ["plain", "rude"]}}
    refused = api(cast.ada).put(OURS, {"rules": looser}, **FIRST)
    assert problems(refused) == {
        ("/rules/instructions.safety/edit", "looser"), ("/rules/vars.tone/choices", "looser"),
    }  # fmt: skip
    wrong = api(cast.ada).put(OURS, {"rules": {"vars.tone": {"edits": "user"}}}, **FIRST)
    assert [pointer for pointer, _ in problems(wrong)] == ["/rules/vars.tone/edits"]


def test_where_users_may_not_override_a_save_is_refused_by_the_policys_name(cast: Cast, api: Caller) -> None:
    api(cast.ada).patch("/tenant", {"policy": {"users_may_override": False}})
    refused = api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert problems(refused) == {("", "users_may_override")}


def test_a_later_save_keeps_its_place_in_rendering_order(cast: Cast, api: Caller) -> None:
    sections = {"instructions.mine": "Mine.", "instructions.role": "You wave."}
    api(cast.alice).put(MINE, {"set": sections}, **FIRST)
    fields = [name for name in served(api, cast.alice)["fields"] if name.startswith("instructions.")]
    assert fields == ["instructions.role", "instructions.tone", "instructions.safety", "instructions.mine"]
    assert set(behavior()) < set(served(api, cast.alice)["fields"])


def test_what_alice_saved_is_in_the_audit_list_without_its_text(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"instructions.role": "You wave."}}, **FIRST)
    [event] = [e for e in api(cast.ada).get("/audit").json()["items"] if e["verb"] == "override.user"]
    assert (event["actor"], event["detail"]["revision"]) == (cast.alice.label, 1)
    assert "wave" not in str(event)


def test_an_override_of_another_feature_is_another(cast: Cast, api: Caller) -> None:
    api(cast.operator).post("/features", {"feature": "shout", "title": "Shout", "behavior": behavior()})
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert api(cast.alice).get("/features/shout/override/user").json()["revision"] == 0
    assert api(cast.alice).get(f"{GREETING}/override/user").json()["revision"] == 1


def test_a_field_that_there_is_not_is_not_inherited_again_either(cast: Cast, api: Caller) -> None:
    """A misspelt name gets the names that there are, and nothing is written."""
    alice = api(cast.alice)
    refused = alice.delete(f"{MINE}/fields/vars.ton")
    assert kind(refused) == (404, "not-found")
    assert "no field vars.ton" in refused.json()["detail"] and "vars.tone" in refused.json()["fields"]
    assert alice.get(f"{MINE}/revisions").json()["items"] == []
    assert alice.delete(TONE).status_code == 200


def test_what_the_vendor_has_taken_away_since_can_still_be_inherited_again(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    assert alice.put(f"{MINE}/fields/vars.language", {"set": "Greek"}).status_code == 200
    publish(api, cast, vars__language=None)
    assert alice.delete(f"{MINE}/fields/vars.language").status_code == 200
    assert "set" not in alice.get(MINE).json()
