"""The impact's doors: asked before a move, read while it is worked out and afterwards, by operators."""

from uuid import uuid4

from features.impact.work import work_through
from tests.cast import Cast

from .acts import FIRST, MINE, OURS, kind, problems, publish
from .conftest import Caller

ASYNC = {"Prefer": "respond-async"}
ASK = "/features/greet/impact"


def test_an_impact_is_asked_for_and_read_when_a_worker_has_worked_it_out(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"instructions.role": "CANARY"}}, **FIRST)
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    number = publish(api, cast, move=False, instructions__role="Politely.")
    asked = api(cast.operator).post(ASK, {"to": number}, **ASYNC)
    assert (asked.status_code, asked.json()["state"], asked.json()["counts"]) == (202, "queued", None)
    place = asked.headers["Location"].removeprefix("/api/v1")
    work_through()
    told = api(cast.operator).get(place).json()
    assert (told["state"], told["tenants_done"], told["tenants_all"], told["before"], told["to"]) == (
        "done",
        2,
        2,
        1,
        2,
    )
    assert told["counts"]["moving"] == {"tenants": 1, "members": 5, "users": 0}
    assert {name: n for name, n in told["counts"]["outcomes"].items() if n} == {"conflict": 1, "carried": 1}
    [row] = api(cast.operator).get(f"{place}/rows?outcome=conflict").json()["items"]
    assert (row["tenant_name"], row["layer"], row["name"], row["fields"]) == (
        "Acme", "user", "Alice", ["instructions.role"],
    )  # fmt: skip
    assert (row["before"], row["after"], row["overruled"]) == (1, 1, False)
    assert "CANARY" not in api(cast.operator).get(f"{place}/rows").content.decode()


def test_who_waits_gets_it_at_once_where_a_worker_is_quick(cast: Cast, api: Caller, monkeypatch: object) -> None:
    from features.impact import record

    monkeypatch.setattr(record, "ring", work_through)  # type: ignore[attr-defined]  # a worker in no time
    asked = api(cast.operator).post(ASK, {"to": 1}, Prefer="wait=5")
    assert (asked.status_code, asked.json()["state"]) == (200, "done")


def test_rows_come_in_pages(cast: Cast, api: Caller) -> None:
    for who in (cast.ada, cast.alice, cast.bob):
        api(who).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    place = (
        api(cast.operator)
        .post(ASK, {"to": publish(api, cast, move=False, instructions__role="Politely.")}, **ASYNC)
        .headers["Location"]
    )
    rows = place.removeprefix("/api/v1") + "/rows"
    work_through()
    first = api(cast.operator).get(f"{rows}?limit=2").json()
    rest = api(cast.operator).get(f"{rows}?limit=2&cursor={first['next']}").json()
    assert rest["next"] is None
    assert sorted(row["name"] for row in first["items"] + rest["items"]) == ["Ada", "Alice", "Bob"]
    assert kind(api(cast.operator).get(f"{rows}?outcome=lost")) == (400, "malformed")


def test_what_cannot_be_meant_is_refused(cast: Cast, api: Caller) -> None:
    ask = api(cast.operator)
    assert kind(ask.post(ASK, {"to": 9}, **ASYNC)) == (404, "not-found")
    assert kind(ask.post(ASK, {"to": 1, "withdraw": 9}, **ASYNC)) == (404, "not-found")
    assert problems(ask.post(ASK, {"to": 1, "withdraw": 1}, **ASYNC)) == {("/to", "replacement")}
    assert problems(ask.post(ASK, {"to": 1, "withdraw": 2, "percent": 5}, **ASYNC)) == {("/withdraw", "together")}
    assert problems(ask.post(ASK, {"to": 1, "tenants": ["acme", "nobody"]}, **ASYNC)) == {("/tenants/1", "tenant")}
    assert problems(ask.post(ASK, {"to": 1, "percent": 101}, **ASYNC)) == {("/percent", "max_value")}
    assert problems(ask.post(ASK, {}, **ASYNC)) == {("/to", "required")}


def test_moves_leave_their_impacts_in_a_list(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role="Politely.")
    moved = api(cast.operator).put("/features/greet/current", {"version": 1}).json()
    rehearsed = api(cast.operator).put("/features/greet/current?dry_run=true", {"version": 2}).json()
    assert rehearsed["impact"] is None
    listed = api(cast.operator).get("/features/greet/impacts").json()["items"]
    assert [(row["kind"], row["before"], row["to"]) for row in listed] == [("current", 2, 1), ("publish", 1, 2)]
    assert listed[0]["id"] == moved["impact"]


def test_a_rollouts_impact_is_that_of_its_latest_step(cast: Cast, api: Caller) -> None:
    number = publish(api, cast, move=False, instructions__role="Politely.")
    steps = [{"tenants": ["acme"]}, {"percent": 100}]
    rollout = api(cast.operator).post("/features/greet/rollouts", {"to": number, "steps": steps}).json()
    work_through()
    told = api(cast.operator).get(f"/rollouts/{rollout['id']}/impact").json()
    assert (told["kind"], told["rollout"], told["stage"]["share"]) == ("rollout", rollout["id"], 0)
    assert told["counts"]["moving"] == {"tenants": 1, "members": 4, "users": 0}
    api(cast.operator).post(f"/rollouts/{rollout['id']}/advance")
    work_through()
    told = api(cast.operator).get(f"/rollouts/{rollout['id']}/impact").json()
    assert (told["stage"], told["counts"]["moving"]) == (None, {"tenants": 1, "members": 2, "users": 0})


def test_impacts_are_for_operators(cast: Cast, api: Caller) -> None:
    place = api(cast.operator).post(ASK, {"to": 1}, **ASYNC).headers["Location"].removeprefix("/api/v1")
    for who in (cast.ada, cast.mallory, cast.acme_service):
        assert kind(api(who).get(place)) == (403, "forbidden")
        assert kind(api(who).get(f"{place}/rows")) == (403, "forbidden")
        assert kind(api(who).post(ASK, {"to": 1})) == (403, "forbidden")
    assert kind(api(cast.operator).get(f"/impacts/{uuid4()}")) == (404, "not-found")
