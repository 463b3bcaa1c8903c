"""An input asked again: on the behavior it was asked with, on today's, on another version; and nobody is moved by it."""

from typing import Any

import pytest

from features.models import Override
from features.resolve import forget
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import FIRST, GREETING, MINE, digest, everybody, kind, problems, publish
from .conftest import Caller

ASYNC = {"Prefer": "respond-async"}
ANN = {"input": {"name": "Ann"}}
TAMPERED = [{"field": "vars.tone", "kind": "set", "value": "formal", "based_on": None}]


def ended(knock: Knock) -> dict[str, Any]:
    """A run of greet that a worker has carried out."""
    run = knock.post(f"{GREETING}/runs", ANN, **ASYNC).json()
    assert look()
    return dict(knock.get(f"/runs/{run['id']}").json())


def replayed(knock: Knock, run: dict[str, Any], on: Any, **headers: str) -> dict[str, Any]:
    """The run that asks its input again, carried out."""
    answer = knock.post(f"/runs/{run['id']}/replay", {"on": on}, **{**ASYNC, **headers})
    assert answer.status_code == 202, answer.content
    assert answer.headers["Location"] == f"/api/v1/runs/{answer.json()['id']}"
    assert look()
    return dict(knock.get(f"/runs/{answer.json()['id']}").json())


@pytest.fixture
def alices(cast: Cast, api: Caller, model: FakeModel) -> dict[str, Any]:
    """A run of Alice's on version 1 with her first revision; then she, and the vendor, change what there was."""
    model.script(*[greeting("Hello") for _ in range(5)])
    assert api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST).status_code == 200
    run = ended(api(cast.alice))
    publish(api, cast, instructions__closing="Wish them well.")
    assert api(cast.alice).put(f"{MINE}/fields/vars.tone", {"set": "formal"}).status_code == 200
    assert digest(api, cast.alice) != run["receipt"]["digest"]
    return run


def test_on_the_same_behavior_it_is_asked_byte_for_byte(
    cast: Cast, api: Caller, model: FakeModel, alices: dict[str, Any]
) -> None:
    before = everybody(api, cast)
    again = replayed(api(cast.alice), alices, "same")
    assert (again["state"], again["input"], again["replay_of"]) == ("succeeded", alices["input"], alices["id"])
    assert again["receipt"] == alices["receipt"]
    assert model.requests[0]["messages"] == model.requests[-1]["messages"]
    assert everybody(api, cast) == before


def test_on_todays_behavior_it_is_what_is_served_now(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    again = replayed(api(cast.alice), alices, "current")
    assert (again["receipt"]["digest"], again["receipt"]["base"]) == (digest(api, cast.alice), 2)
    assert again["replay_of"] == alices["id"]


def test_on_a_version_it_has_todays_changes_of_ones_own(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    receipt = replayed(api(cast.alice), alices, {"version": 1})["receipt"]
    assert (receipt["base"], receipt["user"], receipt["pin"]) == (1, 2, None)
    assert receipt["digest"] not in (alices["receipt"]["digest"], digest(api, cast.alice))


def test_a_version_that_was_withdrawn_since_is_replaced(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    stop = {"replacement": 2, "reason": "It insults people."}
    assert api(cast.operator).post(f"{GREETING}/versions/1/withdraw", stop).status_code == 200
    receipt = replayed(api(cast.alice), alices, "same")["receipt"]
    assert (receipt["base"], receipt["withdrawn"]) == (2, {"version": 1, "replacement": 2})


def test_a_receipt_whose_rows_were_tampered_with_is_told_apart(
    cast: Cast, api: Caller, model: FakeModel, alices: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with cast.alice.present():
        Override.objects.filter(subject_id=cast.alice.acting_for().id, number=1).update(operations=TAMPERED)
    forget()  # as a process that has not read the revision yet
    asked = len(model.requests)
    answer = api(cast.alice).post(f"/runs/{alices['id']}/replay", {"on": "same"}, **ASYNC)
    assert kind(answer) == (409, "unreproducible") and "current" in answer.json()["detail"]
    assert api(cast.alice).client.get("/errors/unreproducible").json()["advice"]
    assert (look(), len(model.requests)) == (0, asked)
    assert "receipt.unreproducible" in caplog.text and alices["id"] in caplog.text
    assert replayed(api(cast.alice), alices, "current")["state"] == "succeeded"


def test_a_version_that_she_was_never_served_does_not_exist(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    hidden = publish(api, cast, move=False, instructions__closing="Not yet.")
    for number in (hidden, 99):
        answer = api(cast.alice).post(f"/runs/{alices['id']}/replay", {"on": {"version": number}}, **ASYNC)
        assert kind(answer) == (404, "not-found")
    assert not look()


def test_an_admin_replays_nobody_elses(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    for on in ("same", "current", {"version": 1}):
        assert kind(api(cast.ada).post(f"/runs/{alices['id']}/replay", {"on": on}, **ASYNC)) == (403, "forbidden")
    assert not look()


def test_a_key_makes_one_replay_and_is_not_good_for_another(cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    once = {**ASYNC, "Idempotency-Key": "again-1"}
    path = f"/runs/{alices['id']}/replay"
    first, second = (api(cast.alice).post(path, {"on": "same"}, **once) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert kind(api(cast.alice).post(path, {"on": "current"}, **once)) == (422, "invalid")


@pytest.mark.parametrize(
    "body",
    [{"on": "later"}, {"on": {"version": 0}}, {"on": {"version": True}}, {"on": {"version": 1, "x": 1}}, {"on": 1}],
)
def test_what_it_can_be_replayed_on_is_said(body: Any, cast: Cast, api: Caller, alices: dict[str, Any]) -> None:
    answer = api(cast.alice).post(f"/runs/{alices['id']}/replay", body, **ASYNC)
    assert (kind(answer), problems(answer)) == ((422, "invalid"), {("/on", "choice")})
