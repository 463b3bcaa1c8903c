"""Effective behavior: what it comes to, why, for whom, and as of when."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.cast import GREET_RULES, Cast

from .acts import FIRST, GREETING, MINE, OURS, behavior, digest, hidden, kind, publish, served
from .conftest import Caller


def test_explain_says_of_each_field_where_it_comes_from(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"append": {"instructions.tone": "Never use emoji."}}, **FIRST)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    why = served(api, cast.alice, "?explain=true")["explain"]
    tone, language, section = why["vars.tone"], why["vars.language"], why["instructions.tone"]
    assert (tone["layer"], tone["revision"], tone["inherited"]) == ("user", 1, "plain")
    assert (language["layer"], language["version"]) == ("base", 1)
    assert (section["layer"], section["appended"]) == ("base", ["tenant"])


def test_without_explain_only_what_it_comes_to(cast: Cast, api: Caller) -> None:
    told = served(api, cast.alice)
    assert told.keys() == {"feature", "at", "fields", "hidden", "receipt"}
    assert told["fields"]["vars.tone"] == "plain"


def test_layers_add_up_as_the_table_of_the_design_says(cast: Cast, api: Caller) -> None:
    text = "Write in a {{ vars.tone }} tone."
    api(cast.ada).put(OURS, {"append": {"instructions.tone": "B"}}, **FIRST)
    api(cast.alice).put(MINE, {"append": {"instructions.tone": "C"}}, **FIRST)
    assert served(api, cast.alice)["fields"]["instructions.tone"] == f"{text}\n\nB\n\nC"
    api(cast.ada).put(OURS, {"set": {"instructions.tone": "B"}}, If_Match='"1"')
    assert served(api, cast.alice)["fields"]["instructions.tone"] == "B\n\nC"


def test_an_example_that_the_organisation_took_out_can_be_put_in_by_a_user(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"remove": ["examples.first"]}, **FIRST)
    assert "examples.first" not in served(api, cast.bob)["fields"]
    mine = {"input": {"name": "Al"}, "output": {"greeting": "Hi Al"}}
    api(cast.alice).put(MINE, {"set": {"examples.first": mine}}, **FIRST)
    assert served(api, cast.alice)["fields"]["examples.first"] == mine


def test_taking_a_change_out_follows_the_earlier_layer_again(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.language": "Dutch"}}, **FIRST)
    api(cast.ada).put(OURS, {"set": {"vars.language": "French"}}, **FIRST)
    api(cast.alice).delete(f"{MINE}/fields/vars.language")
    assert served(api, cast.alice)["fields"]["vars.language"] == "French"


def test_admins_look_at_behavior_for_others_and_members_do_not(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert digest(api, cast.ada, f"?user={cast.alice.subject.key}") == digest(api, cast.alice)
    assert digest(api, cast.ada, "?as=tenant") == digest(api, cast.acme_service)
    for query in ("?user=u1", "?as=tenant", f"?user={cast.alice.subject.key}"):
        assert kind(api(cast.bob).get(f"{GREETING}/behavior{query}")) == (403, "forbidden")


def test_the_vendor_looks_at_its_own_version(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert served(api, cast.operator)["fields"]["vars.tone"] == "plain"


def test_behavior_as_of_then_is_what_was_served_then(cast: Cast, api: Caller) -> None:
    first = served(api, cast.alice)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    second = served(api, cast.alice)
    publish(api, cast, instructions__role="You greet people politely.")
    for then in (first, second):
        again = served(api, cast.alice, f"?at={then['at']}")
        assert (again["fields"], again["receipt"]) == (then["fields"], then["receipt"])


def test_a_moment_before_the_feature_was_served_is_404_and_one_to_come_is_409(cast: Cast, api: Caller) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    for who in (cast.alice, cast.operator):
        assert kind(api(who).get(f"{GREETING}/behavior?at=2020-01-01T00:00:00Z")) == (404, "not-found")
        assert kind(api(who).get(f"{GREETING}/behavior?at={tomorrow}")) == (409, "conflict")


@pytest.mark.parametrize("written", ["{}T{}.{}Z", "{}t{}.{}z", "{}T{}.{}+00:00", "{}T{}.{}%2B00:00", "{} {}.{}Z"])
def test_a_time_is_read_in_every_way_that_rfc_3339_has(written: str, cast: Cast, api: Caller) -> None:
    at = datetime.fromisoformat(served(api, cast.alice)["at"])
    said = written.format(f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}", f"{at:%f}")
    assert served(api, cast.alice, f"?at={said}")["at"] == at.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("said", ["2026-03-03", "2026-03-03T09:30:00", "20260303T093000Z", "2026-13-01T00:00:00Z", "0"])
def test_what_is_no_time_with_a_zone_is_400(said: str, cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).get(f"{GREETING}/behavior?at={said}")) == (400, "malformed")


SECRET = "Never promise anything."


def test_hidden_text_is_not_shown_anywhere_below_the_layer_that_hid_it(cast: Cast, api: Caller) -> None:
    publish(api, cast, rules=hidden(), vars__language="Dutch")
    publish(api, cast, rules=hidden(), instructions__safety=f"{SECRET} Not even a call.")
    alice = api(cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    shown = [
        alice.get(path).content.decode()
        for path in (
            GREETING, "/features", f"{GREETING}/behavior", f"{GREETING}/behavior?explain=true", f"{GREETING}/versions/2",
            f"{GREETING}/versions/2/diff?to=3", f"{GREETING}/versions/1/diff?to=3", MINE, f"{MINE}/revisions",
        )
    ]  # fmt: skip
    shown.append(alice.put(f"{GREETING}/pin/user?dry_run=true", {"version": 2}).content.decode())
    shown.append(alice.put(f"{MINE}/fields/instructions.safety", {"set": "x"}).content.decode())
    assert [text for text in shown if SECRET in text] == []
    assert served(api, cast.alice)["hidden"] == ["instructions.safety"]
    assert SECRET in served(api, cast.operator)["fields"]["instructions.safety"]


def test_what_is_hidden_on_either_side_of_a_comparison_is_hidden(cast: Cast, api: Caller) -> None:
    publish(api, cast, rules=hidden(), instructions__safety="Old secret.")  # 2
    publish(api, cast, instructions__safety="Open now.")  # 3
    [change] = api(cast.alice).get(f"{GREETING}/versions/2/diff?to=3").json()["changes"]
    assert change == {"field": "instructions.safety", "kind": "changed", "hidden": True}
    back = api(cast.alice).put(f"{GREETING}/pin/user", {"version": 2}).content
    forth = api(cast.alice).delete(f"{GREETING}/pin/user").content
    assert b"Old secret" not in back + forth


def test_what_is_hidden_today_is_hidden_in_the_past_and_for_whoever_stayed_there(cast: Cast, api: Caller) -> None:
    then = served(api, cast.bob)
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 1})
    assert then["fields"]["instructions.safety"] == SECRET
    publish(api, cast, rules=hidden(), instructions__safety="Another secret.")
    for who, query in ((cast.bob, f"?at={then['at']}"), (cast.alice, ""), (cast.alice, "?explain=true")):
        again = served(api, who, query)
        assert SECRET not in str(again) and again["hidden"] == ["instructions.safety"]
    assert SECRET.encode() not in api(cast.alice).get(f"{GREETING}/versions/1").content


def test_what_an_organisation_hides_from_its_users_its_admins_still_see(cast: Cast, api: Caller) -> None:
    rules = {"instructions.house": {"hidden": True}}
    api(cast.ada).put(OURS, {"set": {"instructions.house": "House secret."}, "rules": rules}, **FIRST)
    assert "House secret" not in str(served(api, cast.alice, "?explain=true"))
    assert "House secret" in str(served(api, cast.ada, "?as=tenant"))


def test_hidden_text_of_an_operation_that_is_suspended_is_hidden_too(cast: Cast, api: Caller) -> None:
    rules = {"instructions.tone": {"hidden": True}}
    api(cast.ada).put(OURS, {"append": {"instructions.tone": "House secret."}, "rules": rules}, **FIRST)
    publish(api, cast, instructions__tone=None)
    told = served(api, cast.alice, "?explain=true")
    assert [item["reason"] for item in told["suspended"]] == ["orphaned"]
    assert "House secret" not in str(told)


def test_a_lock_that_comes_later_suspends_and_goes_again(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    before = digest(api, cast.alice)
    publish(api, cast, rules={**GREET_RULES, "vars.tone": {"edit": "locked"}})
    told = served(api, cast.alice, "?explain=true")
    assert (told["fields"]["vars.tone"], told["suspended"][0]["reason"]) == ("plain", "rule")
    publish(api, cast)
    assert digest(api, cast.alice) == before


def test_the_policy_suspends_what_users_changed_and_gives_it_back(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    mine = digest(api, cast.alice)
    api(cast.ada).patch("/tenant", {"policy": {"users_may_override": False}})
    told = served(api, cast.alice, "?explain=true")
    assert (told["receipt"]["digest"], told["suspended"][0]["reason"]) == (digest(api, cast.bob), "policy")
    api(cast.ada).patch("/tenant", {"policy": {"users_may_override": True}})
    assert digest(api, cast.alice) == mine


def test_the_order_of_examples_and_of_properties_is_kept(cast: Cast, api: Caller) -> None:
    output = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "category": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["reason", "category", "answer"],
        "additionalProperties": False,
    }
    answer = {"reason": "r", "category": "c", "answer": "a"}
    examples = {f"examples__{name}": {"input": {"name": name}, "output": answer} for name in ("zebra", "ape")}
    publish(api, cast, output=output, examples__first=None, checks__short=None, **examples)
    api(cast.alice).put(MINE, {"set": {"examples.more": {"input": {"name": "x"}, "output": answer}}}, **FIRST)
    fields = served(api, cast.alice)["fields"]
    assert [name for name in fields if name.startswith("examples.")] == [
        "examples.zebra",
        "examples.ape",
        "examples.more",
    ]
    assert list(fields["output"]["properties"]) == list(fields["examples.more"]["output"]) == list(answer)


def test_a_new_schema_leaves_the_version_before_untouched(cast: Cast, api: Caller) -> None:
    before = api(cast.alice).get(f"{GREETING}/versions/1").json()["fields"]
    wider = behavior()["input"]
    wider["properties"]["place"] = {"type": "string"}
    publish(api, cast, input=wider)
    assert api(cast.alice).get(f"{GREETING}/versions/1").json()["fields"] == before
    assert "place" in api(cast.alice).get(GREETING).json()["input"]["properties"]


def _statements(ask: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connections["default"]) as asked:
        ask()
    return [
        q["sql"] for q in asked.captured_queries if not q["sql"].startswith(("BEGIN", "COMMIT", "SELECT set_config"))
    ]


def test_warm_behavior_takes_the_statement_that_authenticates_and_no_other(cast: Cast, api: Any) -> None:
    for who, headers in ((cast.alice, {}), (cast.acme_service, {"Bespoke_User": "jana"})):
        knock = api(who, **headers)
        knock.get("/features/greet/behavior")
        statements = _statements(lambda knock=knock: knock.get("/features/greet/behavior"))  # type: ignore[misc]
        assert len(statements) == 1 and "tenants_apikey" in statements[0]


def test_what_authenticating_has_read_is_never_stale(cast: Cast, api: Any) -> None:
    alice = api(cast.alice)
    first = alice.get("/features/greet/behavior").json()["receipt"]["digest"]
    alice.put("/features/greet/override/user/fields/vars.tone", {"set": "warm"}, If_None_Match="*")
    second = alice.get("/features/greet/behavior").json()
    assert second["receipt"]["digest"] != first and second["fields"]["vars.tone"] == "warm"
