"""Withdrawing a version through the API: what operators send, and what customers see of it."""

from tests.cast import Cast

from .acts import GREETING, kind, problems, publish, served
from .conftest import Caller

STOP = {"replacement": 1, "reason": "It insults people."}
SECOND = f"{GREETING}/versions/2/withdraw"


def test_a_version_is_withdrawn_seen_as_such_and_lifted(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role="You shout.")
    api(cast.alice).put(f"{GREETING}/pin/user", {"version": 2, "reason": "It works"})
    rehearsed = api(cast.operator).post(f"{SECOND}?dry_run=true", STOP).json()
    assert (rehearsed["serves"], rehearsed["pins"], rehearsed["impact"]) == (1, {"tenants": 0, "users": 1}, None)
    assert served(api, cast.alice)["receipt"]["withdrawn"] is None
    done = api(cast.operator).post(SECOND, STOP)
    assert (done.status_code, done.json()["lifted"]) == (200, None)
    assert done.json()["impact"] is not None
    assert served(api, cast.alice)["receipt"]["withdrawn"] == {"version": 2, "replacement": 1}
    told = {"version": 2, "replacement": 1, "reason": "It insults people.", "since": done.json()["since"]}
    rows = api(cast.alice).get(f"{GREETING}/versions").json()["items"]
    assert [(row["version"], row["withdrawn"]) for row in rows] == [(2, told), (1, None)]
    assert api(cast.alice).get(f"{GREETING}/versions/2").json()["withdrawn"] == told
    assert api(cast.alice).get(f"{GREETING}/pin/user").json()["pin"]["withdrawn"] == told
    [pinned] = api(cast.ada).get(f"{GREETING}/pins").json()["items"]
    assert (pinned["version"], pinned["reason"], pinned["withdrawn"]) == (2, "It works", told)
    assert api(cast.operator).get(SECOND).json()["reason"] == "It insults people."
    assert api(cast.operator).delete(SECOND).json()["lifted"] is not None
    assert served(api, cast.alice)["receipt"]["base"] == 2
    assert kind(api(cast.operator).get(SECOND)) == (404, "not-found")


def test_a_pin_put_on_a_withdrawn_version_says_so_at_once(cast: Cast, api: Caller) -> None:
    publish(api, cast)
    api(cast.operator).post(SECOND, STOP)
    moved = api(cast.alice).put(f"{GREETING}/pin/user", {"version": 2}).json()
    assert (moved["pin"]["withdrawn"]["replacement"], moved["after"]["base"]) == (1, 1)


def test_its_errors_are_told(cast: Cast, api: Caller) -> None:
    publish(api, cast)
    assert problems(api(cast.operator).post(SECOND, {"replacement": 1})) == {("/reason", "required")}
    assert kind(api(cast.operator).post(SECOND, {**STOP, "replacement": 2})) == (409, "conflict")
    assert kind(api(cast.operator).post(f"{GREETING}/versions/7/withdraw", STOP)) == (404, "not-found")
    assert kind(api(cast.ada).post(SECOND, STOP)) == (403, "forbidden")
