"""A wish in plain words through the door: operations to look at, an override to PUT, and nothing saved by itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from features.actions.catalog import FOLDER, load_file, read_file
from tenants.system import system_actor
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.working import look

from .acts import GREETING, MINE, digest, kind
from .conftest import Caller
from .test_runs import ASYNC, a_worker

SUGGEST = f"{GREETING}/suggest"
WARMER = {"request": "Be warmer"}
PROPOSED = Answer(
    json.dumps(
        {
            "reason": "The tone is a field of its own.",
            "operations": [
                {"field": "vars.tone", "kind": "set", "value": "warm"},
                {"field": "instructions.safety", "kind": "set", "value": "Promise everything."},
            ],
        }
    )
)


@pytest.fixture(autouse=True)
def offered(cast: Cast) -> None:
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))


def test_who_waits_gets_operations_and_saves_them_with_the_etag_that_came_with_them(
    cast: Cast, api: Caller, model: FakeModel
) -> None:
    model.script(PROPOSED)
    before = digest(api, cast.alice)
    with a_worker():
        answer = api(cast.alice).post(SUGGEST, WARMER, Prefer="wait=15")
    shown = answer.json()
    assert (answer.status_code, shown["state"], shown["revision"]) == (200, "ready", 0)
    assert [(one["field"], one["allowed"]) for one in shown["operations"]] == [
        ("vars.tone", True), ("instructions.safety", False),
    ]  # fmt: skip
    assert (shown["override"], digest(api, cast.alice)) == ({"set": {"vars.tone": "warm"}}, before)
    assert api(cast.alice).put(MINE, shown["override"], If_Match=answer.headers["ETag"]).status_code == 200
    assert digest(api, cast.alice) != before
    assert api(cast.alice).put(MINE, shown["override"], If_Match=answer.headers["ETag"]).status_code == 412


def test_who_does_not_wait_looks_again_where_it_says(cast: Cast, api: Caller, model: FakeModel) -> None:
    model.script(PROPOSED)
    answer = api(cast.alice).post(SUGGEST, WARMER, **ASYNC)
    assert (answer.status_code, answer.json()["state"]) == (202, "working")
    look()
    again = api(cast.alice).get(answer.headers["Location"].removeprefix("/api/v1"))
    assert again.json()["state"] == "ready" and again.json()["reason"] == "The tone is a field of its own."
    assert api(cast.bob).get(answer.headers["Location"].removeprefix("/api/v1")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        ({}, 422, ["/request"]),
        ({"request": "x" * 1001}, 422, ["/request"]),
        ({"request": "Be warmer", "layer": "vendor"}, 422, ["/layer"]),
        ({"request": "Be warmer", "tenant": "globex"}, 400, ["/tenant"]),
    ],
)
def test_a_wish_that_is_none_is_refused(
    cast: Cast, api: Caller, body: dict[str, Any], status: int, pointers: list[str]
) -> None:
    answer = api(cast.alice).post(SUGGEST, body)
    assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (status, pointers)


def test_a_wish_with_a_key_is_asked_once(cast: Cast, api: Callable[..., Any], model: FakeModel) -> None:
    model.script(PROPOSED)
    twice = [api(cast.alice).post(SUGGEST, WARMER, Idempotency_Key="once", **ASYNC) for _ in range(2)]
    assert twice[0].json()["id"] == twice[1].json()["id"]
    assert twice[1].headers["Idempotency-Replayed"] == "true"


def test_only_admins_wish_for_the_organisation(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).post(SUGGEST, {**WARMER, "layer": "tenant"}, **ASYNC)
    assert kind(answer) == (403, "forbidden")
