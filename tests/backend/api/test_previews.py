"""Previews through the door: waited for, looked at again, ended; and what each caller may try."""

from typing import Any

import pytest

from features.runs.models import Run
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import FIRST, GREETING, MINE, OURS, digest, hidden, kind, problems, publish
from .conftest import Caller
from .test_runs import ANN, ASYNC, RUNS, a_worker

PREVIEW = f"{GREETING}/preview"
WARM: dict[str, Any] = {"override": {"set": {"vars.tone": "warm"}, "message": "warmer"}, "inputs": [ANN["input"]]}


def begun(api: Caller, who: Any, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """A preview that is not waited for."""
    answer = api(who, **headers).post(PREVIEW, WARM if body is None else body, **ASYNC)
    assert answer.status_code == 202, answer.content
    assert answer.headers["Location"] == f"/api/v1/previews/{answer.json()['id']}"
    return dict(answer.json())


def worked(api: Caller, who: Any, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """A preview that is through."""
    made = begun(api, who, body, **headers)
    while look():
        pass
    return dict(api(who, **headers).get(f"/previews/{made['id']}").json())


def test_who_waits_gets_both_outputs(cast: Cast, api: Caller, model: FakeModel) -> None:
    model.script(greeting("Hello Ann"), greeting("Dear Ann"))
    with a_worker(), a_worker():
        answer = api(cast.alice).post(PREVIEW, WARM, Prefer="wait=15")
    shown = answer.json()
    assert (answer.status_code, shown["state"], shown["done"], shown["all"]) == (200, "done", 1, 1)
    [result] = shown["results"]
    assert {result["before"]["output"]["greeting"], result["after"]["output"]["greeting"]} == {"Hello Ann", "Dear Ann"}
    assert (result["same"], result["diff"][0]["pointer"]) == (False, "/greeting")
    assert shown["cost"]["micro"] == 280 <= shown["most"]["micro"]
    assert [change["field"] for change in shown["changes"]] == ["vars.tone"]


def test_progress_is_told_while_it_goes_on(cast: Cast, api: Caller, model: FakeModel) -> None:
    made = begun(api, cast.alice)
    assert (made["state"], made["done"], made["all"]) == ("running", 0, 1)
    assert {made["results"][0][side]["state"] for side in ("before", "after")} == {"queued"}
    look()
    shown = api(cast.alice).get(f"/previews/{made['id']}").json()
    assert (shown["state"], shown["results"][0]["same"]) == ("done", True)


def test_what_is_saved_afterwards_has_the_digest_that_was_tried(cast: Cast, api: Caller, model: FakeModel) -> None:
    shown = worked(api, cast.alice)
    assert shown["before"]["digest"] == digest(api, cast.alice)
    assert api(cast.alice).get(MINE).json()["revision"] == 0
    assert api(cast.alice).put(MINE, WARM["override"], **FIRST).status_code == 200
    assert shown["after"]["digest"] == digest(api, cast.alice) != shown["before"]["digest"]


def test_its_runs_are_in_no_list_and_at_no_address(cast: Cast, api: Caller, model: FakeModel) -> None:
    worked(api, cast.alice)
    with cast.alice.present():
        runs = list(Run.objects.values_list("id", flat=True))
    assert len(runs) == 2
    for who in (cast.alice, cast.ada):
        assert api(who).get("/runs").json()["items"] == []
        for path in (f"/runs/{runs[0]}", f"/runs/{runs[0]}/events"):
            assert kind(api(who).get(path)) == (404, "not-found")
        assert kind(api(who).post(f"/runs/{runs[0]}/cancel")) == (404, "not-found")
        assert kind(api(who).put(f"/runs/{runs[0]}/feedback", {"verdict": "good"})) == (404, "not-found")
    assert kind(api(cast.alice).post(f"{GREETING}/restore", {"run": str(runs[0])})) == (404, "not-found")
    [usage] = api(cast.ada).get("/usage?by=layer").json()["items"]
    assert (usage["key"], usage["runs"], usage["cost"]["micro"]) == ("preview", 2, 280)


def test_somebody_elses_preview_is_not_there(cast: Cast, api: Caller, model: FakeModel) -> None:
    made = worked(api, cast.alice)
    other = api(cast.mallory)
    for who in (cast.mallory, cast.bob, cast.ada, cast.operator, cast.acme_service):
        assert kind(api(who).get(f"/previews/{made['id']}")) == (404, "not-found")
        assert kind(api(who).delete(f"/previews/{made['id']}")) == (404, "not-found")
    here, nowhere = other.get(f"/previews/{made['id']}"), other.get("/previews/01890a5d-ac96-774b-bcce-b302099a8057")
    assert {**here.json(), "request": ""} == {**nowhere.json(), "request": ""}
    assert api(cast.alice).get(f"/previews/{made['id']}").json()["state"] == "done"


def test_an_end_users_preview_is_not_another_end_users(cast: Cast, api: Caller, model: FakeModel) -> None:
    made = worked(api, cast.acme_service, Bespoke_User="u1")
    assert api(cast.acme_service, Bespoke_User="u1").get(f"/previews/{made['id']}").status_code == 200
    assert kind(api(cast.acme_service, Bespoke_User="u2").get(f"/previews/{made['id']}")) == (404, "not-found")


def test_a_preview_that_was_ended_is_gone(cast: Cast, api: Caller, model: FakeModel) -> None:
    made = begun(api, cast.alice)
    assert api(cast.alice).delete(f"/previews/{made['id']}").status_code == 204
    assert kind(api(cast.alice).get(f"/previews/{made['id']}")) == (404, "not-found")
    assert look() == 0 and model.requests == []


def test_a_third_at_once_is_told_to_wait(cast: Cast, api: Caller, model: FakeModel) -> None:
    begun(api, cast.alice), begun(api, cast.alice)
    answer = api(cast.alice).post(PREVIEW, WARM, **ASYNC)
    assert kind(answer) == (429, "too-many") and answer.headers["Retry-After"] == "5"


def test_recent_inputs_are_ones_own(cast: Cast, api: Caller, model: FakeModel) -> None:
    for who, name in ((cast.bob, "Bob's"), (cast.alice, "Alice's")):
        api(who).post(RUNS, {"input": {"name": name}}, **ASYNC)
    while look():
        pass
    body = {"override": WARM["override"], "recent": 5}
    assert [result["input"] for result in worked(api, cast.alice, body)["results"]] == [{"name": "Alice's"}]
    ours = {**body, "layer": "tenant"}
    assert problems(api(cast.ada).post(PREVIEW, ours)) == {("/recent", "none")}
    assert kind(api(cast.alice).post(PREVIEW, ours)) == (403, "forbidden")


def test_texts_that_are_hidden_are_told_of_and_not_told(cast: Cast, api: Caller, model: FakeModel) -> None:
    publish(api, cast, rules=hidden(), instructions__safety="CANARY-VENDOR")
    for layer, who in (("user", cast.alice), ("tenant", cast.ada)):
        made = begun(api, who, {"layer": layer, "version": 1, "inputs": [ANN["input"]]})
        assert made["changes"] == [{"field": "instructions.safety", "kind": "changed", "hidden": True}]
        assert "CANARY" not in str(made)
        assert "promise" not in str(made).lower()


def test_a_users_preview_does_not_tell_what_her_organisation_hides(cast: Cast, api: Caller, model: FakeModel) -> None:
    house = {"set": {"instructions.house": "CANARY-ACME"}, "rules": {"instructions.house": {"hidden": True}}}
    assert api(cast.ada).put(OURS, house, **FIRST).status_code == 200
    assert api(cast.alice).put("/features/greet/pin/user", {"kind": "snapshot"}).status_code == 200
    assert api(cast.ada).put(OURS, {}, If_Match='"1"').status_code == 200
    made = begun(api, cast.alice, {"inputs": [ANN["input"]]})
    assert made["changes"] == [{"field": "instructions.house", "kind": "removed", "hidden": True}]
    assert "CANARY" not in str(made)


BAD: dict[str, tuple[dict[str, Any], int, set[tuple[str, str]]]] = {
    "two wishes": ({"version": 1, "pin": {"kind": "snapshot"}, "recent": 1}, 422, {("", "one_of")}),
    "no inputs": ({"version": 1}, 422, {("", "one_of")}),
    "both inputs": ({"version": 1, "recent": 1, "inputs": [{}]}, 422, {("", "one_of")}),
    "eleven": ({"version": 1, "inputs": [{"name": "A"}] * 11}, 422, {("/inputs", "max_length")}),
    "none": ({"version": 1, "inputs": []}, 422, {("/inputs", "min_length")}),
    "a pin without its version": ({"pin": {"kind": "base"}, "recent": 1}, 422, {("/pin/version", "required")}),
    "an unknown field": ({"versoin": 1, "recent": 1}, 400, {("/versoin", "unknown")}),
    "a wrong value": (
        {"override": {"set": {"vars.tone": "rude"}}, "inputs": [{"name": "A"}]}, 422,
        {("/override/set/vars.tone", "choices")},
    ),
    "nothing in conflict": ({"resolve": {"prompt": "keep"}, "recent": 1}, 422, {("/resolve/prompt", "conflict")}),
    "samples": ({"version": 1, "samples": 1}, 400, {("/samples", "unknown")}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_tried_is_refused_with_its_place(case: str, cast: Cast, api: Caller) -> None:
    body, status, wrong = BAD[case]
    answer = api(cast.alice).post(PREVIEW, body)
    assert (answer.status_code, problems(answer)) == (status, wrong)


def test_what_could_cost_too_much_is_refused(cast: Cast, api: Caller, settings: Any) -> None:
    settings.PREVIEW_COST = 10
    answer = api(cast.alice).post(PREVIEW, WARM)
    assert (answer.status_code, problems(answer)) == (422, {("/inputs", "cost")})


def test_operators_try_versions_on_samples_and_never_on_inputs(cast: Cast, api: Caller, model: FakeModel) -> None:
    publish(api, cast, move=False, vars__tone="warm")
    shown = worked(api, cast.operator, {"version": 2})
    assert (shown["layer"], shown["results"][0]["input"]) == ("vendor", {"name": "Eve"})
    assert (shown["before"]["base"], shown["after"]["base"]) == (1, 2)
    for name, value in (("inputs", [{"name": "Ann"}]), ("recent", 3)):
        answer = api(cast.operator).post(PREVIEW, {"version": 2, name: value})
        assert (answer.status_code, problems(answer)) == (422, {(f"/{name}", "samples")})
    back = worked(api, cast.operator, {"from": 2, "version": 1, "samples": 1})
    assert (back["before"]["base"], back["after"]["base"]) == (2, 1)
    tenants = api(cast.operator).get("/tenants").json()["items"]
    assert {row["slug"] for row in tenants} == {"acme", "globex"}


def test_samples_come_with_a_version_and_only_operators_see_them(cast: Cast, api: Caller) -> None:
    from .acts import behavior

    body = {"behavior": behavior(), "samples": [{"name": "Sam"}], "publish": "current"}
    assert api(cast.operator).post(f"{GREETING}/versions", body).status_code == 201
    assert api(cast.operator).get(f"{GREETING}/versions/2").json()["samples"] == [{"name": "Sam"}]
    assert "samples" not in api(cast.alice).get(f"{GREETING}/versions/2").json()
    answer = api(cast.operator).post(f"{GREETING}/versions", {**body, "samples": [{"x": 1}]})
    assert problems(answer) == {("/samples/0/x", "additionalProperties"), ("/samples/0/name", "required")}
