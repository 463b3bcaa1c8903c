"""An organisation that the vendor suspends or closes: nothing runs or changes in it, nothing is lost, others go on."""

from typing import Any

import pytest

from features.runs.batch_ends import end_batches
from features.runs.closing import cancel_closed
from features.runs.dispatch import claim, quarantine_waits, waiting
from features.runs.models import Queued, Run
from tenants.errors import Suspended
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .acts import FIRST, MINE, OURS, kind, problems
from .conftest import Caller

ASYNC = {"Prefer": "respond-async"}
RUN = "/features/greet/runs"
ANN = {"input": {"name": "Ann"}}


def put(cast: Cast, api: Caller, state: str, reason: str = "Unpaid since May.") -> Any:
    return api(cast.operator).patch("/tenants/acme", {"state": state, "reason": reason})


WRITES: list[tuple[str, str, Any]] = [
    ("post", RUN, ANN), ("post", "/features/greet/batches", [ANN]), ("put", MINE, {"set": {"vars.tone": "warm"}}),
    ("put", OURS, {"set": {"vars.tone": "warm"}}), ("put", "/features/greet/pin/user", {"version": 1}),
    ("post", "/features/greet/preview", {"version": 1, "inputs": [{"name": "Ann"}]}),
    ("post", "/features/greet/suggest", {"request": "warmer"}), ("patch", "/tenant", {"policy": {}}),
    ("post", "/keys", {"kind": "member", "name": "more"}), ("post", "/members", {"email": "x@y.example", "role": "member"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("state", ["suspended", "closed"])
def test_nothing_runs_and_nothing_changes(
    state: str, method: str, path: str, body: Any, cast: Cast, api: Caller
) -> None:
    api(cast.ada)
    assert put(cast, api, state).status_code == 200
    refused = api(cast.ada).request(method, path, body, **(FIRST if method == "put" else {}))
    assert kind(refused) == (403, "suspended")
    assert refused.json()["detail"] == f"Acme is {state}: Unpaid since May. Nothing was deleted. Ask Ada or the vendor."


@pytest.mark.parametrize("path", ["/me", "/tenant", "/members", "/audit", "/runs", "/features", OURS, "/usage"])
def test_owners_and_admins_go_on_reading(path: str, cast: Cast, api: Caller) -> None:
    before = {name: api(getattr(cast, name)).get("/me").status_code for name in ("ada", "alice", "acme_service")}
    assert set(before.values()) == {200}
    put(cast, api, "suspended")
    assert api(cast.ada).get(path).status_code == 200
    for other in (cast.alice, cast.vera, cast.acme_service):
        text = cast.keys.get(other.label)
        if text:
            assert kind(Knock(text, {}).get(path)) == (403, "suspended")


def test_the_next_request_is_refused_and_after_opening_the_next_is_not(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    assert alice.post(RUN, ANN, **ASYNC).status_code == 202
    put(cast, api, "suspended")
    assert kind(alice.post(RUN, ANN, **ASYNC)) == (403, "suspended")
    assert put(cast, api, "active", "").json()["state"] == "active"
    assert alice.post(RUN, ANN, **ASYNC).status_code == 202


def test_other_organisations_notice_nothing(cast: Cast, api: Caller) -> None:
    put(cast, api, "suspended")
    assert api(cast.mallory).post(RUN, ANN, **ASYNC).status_code == 202
    assert waiting(5) == 1


def test_what_waits_waits_while_suspended_and_goes_on_afterwards(cast: Cast, api: Caller, model: FakeModel) -> None:
    model.script(greeting("Hello Ann"))
    run = api(cast.alice).post(RUN, ANN, **ASYNC).json()
    put(cast, api, "suspended")
    assert (waiting(5), claim(), look()) == (0, None, 0)
    cancel_closed()
    put(cast, api, "active", "")
    assert waiting(5) == 1 and look() == 1
    assert api(cast.alice).get(f"/runs/{run['id']}").json()["state"] == "succeeded"


def test_a_quarantined_run_waits_too(cast: Cast, api: Caller) -> None:
    api(cast.alice).post(RUN, ANN, **ASYNC)
    with cast.alice.present():
        Queued.objects.update(quarantined=True)
    assert quarantine_waits()
    put(cast, api, "suspended")
    assert not quarantine_waits() and claim(quarantined=True) is None


def test_closing_cancels_what_waits_and_asks_what_runs_to_stop(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    runs = [alice.post(RUN, {"input": {"name": name}}, **ASYNC).json()["id"] for name in ("Ann", "Ben", "Cy")]
    batch = alice.post("/features/greet/batches", [ANN, ANN]).json()["id"]
    running = claim()
    theirs = api(cast.mallory).post(RUN, ANN, **ASYNC).json()["id"]
    put(cast, api, "closed")
    cancel_closed()
    end_batches()
    with cast.alice.present():
        states = dict(Run.objects.filter(pk__in=runs).values_list("id", "state"))
        left = list(Queued.objects.values_list("id", "cancel_requested_at"))
    assert running is not None and [row[0] for row in left] == [running.run_id] and left[0][1] is not None
    assert sorted(states.values()) == ["cancelled", "cancelled", "queued"]
    assert api(cast.ada).get(f"/batches/{batch}").json()["counts"]["cancelled"] == 2
    assert api(cast.mallory).get(f"/runs/{theirs}").json()["state"] == "queued"


def test_both_audits_say_who_and_why(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    put(cast, api, "suspended")
    theirs = ada.get("/audit").json()["items"][0]
    ours = api(cast.operator).get("/operator/audit").json()["items"][0]
    told = {"from": "active", "to": "suspended", "reason": "Unpaid since May."}
    for row in (theirs, ours):
        assert (row["verb"], row["actor"], row["detail"]) == ("tenant.state", cast.operator.label, told)


def test_a_reason_is_given_and_a_state_is_one_that_there_is(cast: Cast, api: Caller) -> None:
    operator = api(cast.operator)
    assert problems(put(cast, api, "suspended", " ")) == {("/reason", "required")}
    assert problems(put(cast, api, "gone")) == {("/state", "invalid_choice")}
    assert problems(operator.patch("/tenants/acme", {"reason": "So."})) == {("/reason", "together")}
    assert kind(put(cast, api, "active", "")) == (409, "conflict")
    assert kind(operator.patch("/tenants/nobody", {"state": "closed", "reason": "x"})) == (404, "not-found")
    assert [row["state"] for row in operator.get("/tenants").json()["items"]] == ["active", "active"]


def test_half_of_a_change_is_none(cast: Cast, api: Caller) -> None:
    both = {"requests_per_minute": 7, "state": "active"}
    assert kind(api(cast.operator).patch("/tenants/acme", both)) == (409, "conflict")
    assert api(cast.operator).get("/tenants").json()["items"][1]["requests_per_minute"] is None


def test_an_action_refuses_by_itself(cast: Cast, api: Caller) -> None:
    """Behind the doors, for whatever other door there may be."""
    put(cast, api, "suspended")
    cast.ada.in_tenant().refresh_from_db(using="operator")
    with pytest.raises(Suspended), cast.ada.doing("policy.manage", cast.ada.in_tenant()):
        raise AssertionError("it began")
    with pytest.raises(Suspended):
        cast.ada.need("run.create")
