"""Pins: staying on a version or on exactly what is served, within what the organisation allows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, OURS, digest, everybody, kind, moved, problems, publish, served
from .conftest import Caller

PIN, OUR_PIN = f"{GREETING}/pin/user", f"{GREETING}/pin/tenant"
POLITE = "You greet people politely."


def test_nobody_is_pinned_until_they_say_so(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).get(PIN)
    assert (answer.json(), answer.headers["ETag"]) == ({"pin": None}, '"none"')


def test_a_user_stays_on_a_version_through_the_next_one(cast: Cast, api: Caller) -> None:
    before = everybody(api, cast)
    api(cast.alice).put(PIN, {"version": 1, "reason": "I like it so"})
    publish(api, cast, instructions__role=POLITE)
    assert moved(before, everybody(api, cast)) == before.keys() - {"alice"}
    pin = api(cast.alice).get(PIN).json()["pin"]
    assert (pin["kind"], pin["version"], pin["reason"], pin["author"]) == ("base", 1, "I like it so", cast.alice.label)


def test_under_a_base_pin_ones_own_changes_keep_moving(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(PIN, {"version": 1})
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    told = served(api, cast.alice)
    assert (told["fields"]["vars.tone"], told["receipt"]["pin"]["kind"]) == ("warm", "base")


def test_a_snapshot_holds_still_whatever_the_earlier_layers_do(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    before = digest(api, cast.alice)
    api(cast.alice).put(PIN, {"kind": "snapshot"})
    publish(api, cast, instructions__role=POLITE)
    api(cast.ada).put(OURS, {"set": {"vars.language": "Dutch"}}, **FIRST)
    assert digest(api, cast.alice) == before


def test_a_change_under_ones_own_snapshot_starts_from_it_and_moves_only_ones_own_part(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    alice.put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    alice.put(PIN, {"kind": "snapshot"})
    publish(api, cast, instructions__role=POLITE)
    alice.put(f"{MINE}/fields/vars.language", {"set": "Dutch"})
    told = served(api, cast.alice)
    assert (told["fields"]["vars.tone"], told["fields"]["vars.language"]) == ("warm", "Dutch")
    assert told["fields"]["instructions.role"] == "You greet people."
    assert (alice.get(PIN).json()["pin"]["user_revision"], told["receipt"]["user"]) == (2, 2)


def test_the_organisations_pin_holds_its_people_who_have_none(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role=POLITE)
    api(cast.alice).put(PIN, {"version": 2})
    before = everybody(api, cast)
    api(cast.ada).put(OUR_PIN, {"version": 1})
    acme = {"ada", "alice", "bob", "vera", "acme", "acme's u1", "acme's u2"}
    assert moved(before, everybody(api, cast)) == acme - {"alice"}
    assert served(api, cast.bob)["receipt"]["pin"]["layer"] == "tenant"


def test_an_organisations_snapshot_keeps_its_own_revision_and_lets_users_move(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    api(cast.ada).put(OUR_PIN, {"kind": "snapshot"})
    publish(api, cast, instructions__role=POLITE)
    api(cast.alice).put(MINE, {"set": {"vars.language": "Dutch"}}, **FIRST)
    fields = served(api, cast.alice)["fields"]
    assert (fields["vars.tone"], fields["vars.language"]) == ("warm", "Dutch")
    assert fields["instructions.role"] == "You greet people."


def test_a_rehearsal_says_what_would_change_and_changes_nothing(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role=POLITE)
    before = digest(api, cast.alice)
    told = api(cast.alice).put(f"{PIN}?dry_run=true", {"version": 1}).json()
    assert ([change["field"] for change in told["changes"]], told["dry_run"]) == (["instructions.role"], True)
    assert (told["before"]["digest"], digest(api, cast.alice)) == (before, before)
    assert api(cast.alice).get(PIN).json() == {"pin": None}


def test_unpinning_is_rehearsed_and_then_done(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    alice.put(PIN, {"version": 1})
    publish(api, cast, instructions__role=POLITE)
    rehearsed = alice.delete(f"{PIN}?dry_run=true").json()
    assert alice.get(PIN).json()["pin"]["version"] == 1
    done = alice.delete(PIN).json()
    assert rehearsed["after"] == done["after"] and done["pin"] is None
    assert digest(api, cast.alice) == done["after"]["digest"] == digest(api, cast.bob)
    assert kind(alice.delete(PIN)) == (404, "not-found")


def test_a_pin_that_moved_meanwhile_is_not_overwritten(cast: Cast, api: Caller) -> None:
    alice = api(cast.alice)
    first = alice.put(PIN, {"version": 1}, **FIRST).headers["ETag"]
    publish(api, cast)
    alice.put(PIN, {"version": 2}, If_Match=first)
    for refused in (alice.put(PIN, {"version": 1}, If_Match=first), alice.delete(PIN, If_Match=first)):
        assert kind(refused) == (412, "stale")
    assert kind(alice.put(PIN, {"version": 1}, **FIRST)) == (412, "stale")
    assert alice.get(PIN).json()["pin"]["version"] == 2


def test_a_pin_ends_when_it_said_it_would(cast: Cast, api: Caller) -> None:
    pinned = digest(api, cast.alice)
    publish(api, cast, instructions__role=POLITE)
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    told = api(cast.alice).put(PIN, {"version": 1, "until": soon.isoformat()})
    assert told.json()["after"]["pin"]["until"] == told.json()["pin"]["until"] == soon.isoformat()[:26] + "Z"
    assert digest(api, cast.alice) == pinned
    while datetime.now(UTC) < soon:
        served(api, cast.alice)  # asking again and again must not keep it alive
    assert digest(api, cast.alice) == digest(api, cast.bob)
    assert api(cast.alice).get(PIN).json() == {"pin": None}


def test_pinning_ahead_of_current_is_for_versions_that_were_released(cast: Cast, api: Caller) -> None:
    publish(api, cast, instructions__role=POLITE)
    ahead = digest(api, cast.alice)
    api(cast.operator).put(f"{GREETING}/current", {"version": 1})
    assert api(cast.alice).put(PIN, {"version": 2}).json()["after"]["digest"] == ahead
    publish(api, cast, move=False)
    assert kind(api(cast.alice).put(PIN, {"version": 3})) == (404, "not-found")


def test_who_chose_for_themselves_is_moved_neither_forth_nor_back(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OUR_PIN, {"version": 1})
    publish(api, cast, instructions__role=POLITE)
    api(cast.mallory).put(PIN, {"version": 2})
    before = everybody(api, cast)
    api(cast.operator).put(f"{GREETING}/current", {"version": 1})
    assert moved(before, everybody(api, cast)) == {"gus", "globex", "globex's u1"}


def policy(api: Caller, cast: Cast, **said: Any) -> Any:
    answer = api(cast.ada).patch("/tenant", {"policy": said})
    assert answer.status_code == 200, answer.content
    return answer.json()["policy"]


def test_where_the_policy_says_no_nobody_pins_and_the_refusal_names_it(cast: Cast, api: Caller) -> None:
    policy(api, cast, users_may_pin="no")
    refused = api(cast.alice).put(PIN, {"version": 1})
    assert (kind(refused), problems(refused)) == ((422, "invalid"), {("", "users_may_pin")})
    assert api(cast.ada).put(OUR_PIN, {"version": 1}).status_code == 200  # the organisation itself may


def test_a_policy_that_comes_later_suspends_pins_and_gives_them_back(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(PIN, {"version": 1})
    pinned = digest(api, cast.alice)
    publish(api, cast, instructions__role=POLITE)
    policy(api, cast, users_may_pin="no")
    assert digest(api, cast.alice) == digest(api, cast.bob)
    policy(api, cast, users_may_pin="yes")
    assert digest(api, cast.alice) == pinned


def test_a_policy_of_days_ends_each_pin_and_shows_when(cast: Cast, api: Caller) -> None:
    assert policy(api, cast, users_may_pin=7)["users_may_pin"] == 7
    until = ends(api(cast.alice).put(PIN, {"version": 1}))
    assert timedelta(days=6, hours=23) < until - datetime.now(UTC) <= timedelta(days=7)
    sooner = datetime.now(UTC) + timedelta(days=2)
    assert ends(api(cast.alice).put(PIN, {"version": 1, "until": sooner.isoformat()})) == sooner
    later = datetime.now(UTC) + timedelta(days=30)
    assert ends(api(cast.alice).put(PIN, {"version": 1, "until": later.isoformat()})) < sooner + timedelta(days=6)


def test_the_admins_pin_for_the_organisation_is_bound_by_no_days(cast: Cast, api: Caller) -> None:
    policy(api, cast, users_may_pin=7)
    assert api(cast.ada).put(OUR_PIN, {"version": 1}).json()["pin"]["until"] is None


def test_members_see_the_organisations_pin_and_do_not_move_it(cast: Cast, api: Caller) -> None:
    api(cast.ada).put(OUR_PIN, {"version": 1})
    assert api(cast.alice).get(OUR_PIN).json()["pin"]["version"] == 1
    for answer in (api(cast.alice).put(OUR_PIN, {"version": 1}), api(cast.alice).delete(OUR_PIN)):
        assert kind(answer) == (403, "forbidden")
    assert kind(api(cast.vera).put(PIN, {"version": 1})) == (403, "forbidden")


def test_admins_see_who_stays_on_what_and_end_a_pin_for_the_record(cast: Cast, api: Caller) -> None:
    api(cast.alice).put(PIN, {"version": 1})
    api(cast.acme_service, Bespoke_User="u1").put(PIN, {"version": 1})
    api(cast.ada).put(OUR_PIN, {"version": 1})
    listed = api(cast.ada).get(f"{GREETING}/pins").json()["items"]
    assert {(row["layer"], row["subject"]) for row in listed} == {
        ("user", cast.alice.subject.key), ("user", "u1"), ("tenant", ""),
    }  # fmt: skip
    ended = api(cast.ada).delete(f"{GREETING}/pins/u1")
    assert (ended.status_code, ended.json()["pin"]) == (200, None)
    assert api(cast.acme_service, Bespoke_User="u1").get(PIN).json() == {"pin": None}
    assert "pin.others" in [event["verb"] for event in api(cast.ada).get("/audit").json()["items"]]


@pytest.mark.parametrize("who", ["alice", "acme_service"])
def test_nobody_else_sees_or_ends_other_peoples_pins(who: str, cast: Cast, api: Caller) -> None:
    api(cast.bob).put(PIN, {"version": 1})
    assert kind(api(getattr(cast, who)).get(f"{GREETING}/pins")) == (403, "forbidden")
    assert kind(api(getattr(cast, who)).delete(f"{GREETING}/pins/{cast.bob.subject.key}")) == (403, "forbidden")
    assert api(cast.bob).get(PIN).json()["pin"]["version"] == 1


def ends(answer: Any) -> datetime:
    return datetime.fromisoformat(answer.json()["pin"]["until"])
