"""Rollouts over the API: started, watched and ended by operators, and by nobody else."""

from typing import Any

import pytest

from features.runs.guards import watch_rollouts
from tests.cast import Cast

from .acts import GREETING, everybody, kind, moved, problems, publish, served
from .conftest import Caller

PLAN: dict[str, Any] = {
    "to": 2,
    "steps": [{"tenants": ["globex"], "hold": "1h", "min_runs": 2}, {"percent": 25}],
    "guards": {"failed_checks": {"max": 0.02, "do": "roll_back"}},
    "message": "Politer.",
}
OURS = {"ada", "alice", "bob", "vera", "acme", "acme's u1", "acme's u2"}
THEIRS = {"gus", "mallory", "globex", "globex's u1"}


@pytest.fixture
def two(cast: Cast, api: Caller) -> int:
    """A second version, that nobody is on yet."""
    return publish(api, cast, move=False, instructions__role="You greet people politely.")


def start(api: Caller, cast: Cast, query: str = "", **changes: Any) -> Any:
    return api(cast.operator).post(f"{GREETING}/rollouts{query}", {**PLAN, **changes})


def act(api: Caller, cast: Cast, rollout: Any, what: str, **body: Any) -> Any:
    return api(cast.operator).post(f"/rollouts/{rollout['id']}/{what}", body)


def test_a_rollout_is_started_advanced_and_done(cast: Cast, api: Caller, two: int) -> None:
    before = everybody(api, cast)
    answer = start(api, cast)
    rollout = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1/rollouts/{rollout['id']}")
    assert (rollout["state"], rollout["before"], rollout["to"], rollout["step"]) == ("running", 1, 2, 0)
    assert [step.get("percent") for step in rollout["steps"]] == [None, 25, 100]
    assert moved(before, everybody(api, cast)) == THEIRS
    assert served(api, cast.gus)["receipt"]["rollout"] == {"id": rollout["id"], "to": 2}
    assert act(api, cast, rollout, "advance").json()["step"] == 1
    ended = act(api, cast, rollout, "advance", why="All is well.").json()
    assert (ended["state"], ended["why"], ended["next_at"]) == ("done", "All is well.", None)
    assert moved(before, everybody(api, cast)) == OURS | THEIRS
    assert api(cast.operator).get(GREETING).json()["version"] == 2


def test_rolled_back_everybody_is_where_they_were(cast: Cast, api: Caller, two: int) -> None:
    before = everybody(api, cast)
    rollout = start(api, cast).json()
    assert act(api, cast, rollout, "pause").json()["state"] == "paused"
    assert act(api, cast, rollout, "resume").json()["state"] == "running"
    ended = act(api, cast, rollout, "rollback", why="People complain.").json()
    assert (ended["state"], ended["why"]) == ("rolled_back", "People complain.")
    assert moved(before, everybody(api, cast)) == set()
    assert kind(act(api, cast, rollout, "advance")) == (409, "conflict")


def test_a_rehearsal_answers_the_whole_plan_and_starts_nothing(cast: Cast, api: Caller, two: int) -> None:
    told = start(api, cast, "?dry_run=true")
    assert (told.status_code, told.json()["steps"][0]["hold"], told.json()["before"]) == (200, 3600, 1)
    assert api(cast.operator).get(f"{GREETING}/rollouts").json()["items"] == []
    assert kind(api(cast.operator).get(f"/rollouts/{told.json()['id']}")) == (404, "not-found")
    assert problems(start(api, cast, "?dry_run=true", to=7)) == {("/to", "version")}


def test_everything_wrong_is_named_where_it_is(cast: Cast, api: Caller, two: int) -> None:
    steps = [{"tenants": ["initech"]}, {"percent": 0}, {"percent": 5, "hold": "a while"}]
    refused = start(api, cast, to=1, steps=steps, guards={"failed_checks": {"max": 2}})
    assert kind(refused) == (422, "invalid")
    assert problems(refused) == {
        ("/to", "current"), ("/steps/0/tenants/0", "tenant"), ("/steps/1/percent", "range"),
        ("/steps/2/hold", "hold"), ("/guards/failed_checks/max", "range"),
    }  # fmt: skip
    for unknown in ({"step": []}, {"steps": [{"percent": 5, "wait": 1}]}, {"guards": {"luck": {"max": 1}}}):
        assert kind(start(api, cast, **unknown)) == (400, "malformed")
    assert problems(start(api, cast, unit="planet")) == {("/unit", "invalid_choice")}


def test_meanwhile_the_current_version_is_not_moved_and_another_rollout_not_started(
    cast: Cast, api: Caller, two: int
) -> None:
    rollout = start(api, cast).json()
    operator = api(cast.operator)
    refused = operator.put(f"{GREETING}/current", {"version": 2})
    assert kind(refused) == (409, "conflict")
    assert refused.json()["rollout"] == rollout["id"]
    assert "being rolled out to version 2" in refused.json()["detail"]
    assert kind(start(api, cast)) == (409, "conflict")
    before = everybody(api, cast)
    with pytest.raises(AssertionError, match="being rolled out"):
        publish(api, cast)
    assert publish(api, cast, move=False) == 3
    assert moved(before, everybody(api, cast)) == set()


def test_operators_read_who_is_where(cast: Cast, api: Caller, two: int) -> None:
    api(cast.mallory).put(f"{GREETING}/pin/user", {"version": 1})
    rollout = start(api, cast).json()
    operator, path = api(cast.operator), f"/rollouts/{rollout['id']}"
    assert operator.get(path).json()["places"] == {"to": 1, "partly": 0, "before": 1, "pinned": 0}
    first = operator.get(f"{path}/tenants?limit=1").json()
    second = operator.get(f"{path}/tenants?limit=1&cursor={first['next']}").json()
    assert [(row["slug"], row["where"], row["version"], row["pins"]) for row in first["items"] + second["items"]] == [
        ("globex", "to", 2, 1), ("acme", "before", 1, 0),
    ]  # fmt: skip
    assert second["next"] is None


def test_operators_read_what_guards_measured_and_what_happened(cast: Cast, api: Caller, two: int) -> None:
    rollout = start(api, cast).json()
    watch_rollouts()
    act(api, cast, rollout, "pause", why="Lunch.")
    operator, path = api(cast.operator), f"/rollouts/{rollout['id']}"
    [guard] = operator.get(f"{path}/guards").json()["items"]
    assert (guard["guard"], guard["max"], guard["min_runs"], guard["state"]) == ("failed_checks", 0.02, 30, "waiting")
    assert [(point["value"], point["sample"], point["step"]) for point in guard["points"]] == [(None, 0, 0)]
    events = operator.get(f"{path}/events").json()["items"]
    assert [(event["kind"], event["detail"].get("why")) for event in events] == [
        ("paused", "Lunch."), ("started", "Politer."),
    ]  # fmt: skip
    [listed] = operator.get(f"{GREETING}/rollouts").json()["items"]
    assert (listed["id"], listed["state"], listed["guards"][0]["sample"]) == (rollout["id"], "paused", 0)


def test_customers_learn_nothing_of_rollouts(cast: Cast, api: Caller, two: int) -> None:
    rollout = start(api, cast).json()
    path = f"/rollouts/{rollout['id']}"
    for who in (cast.ada, cast.gus, cast.acme_service):
        assert kind(api(who).get(path)) == (403, "forbidden")
        assert api(who).get(path).json()["detail"] == api(who).get(path.replace("0", "1")).json()["detail"]
        assert kind(api(who).post(f"{path}/rollback", {})) == (403, "forbidden")
        assert kind(api(who).post(f"{GREETING}/rollouts", PLAN)) == (403, "forbidden")
    assert api(cast.operator).get(path).json()["state"] == "running"
    assert kind(api(cast.ada).get(f"{GREETING}/versions/2")) == (404, "not-found")
    assert api(cast.gus).get(f"{GREETING}/versions/2").status_code == 200
