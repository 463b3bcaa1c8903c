"""The inbox at the API: one's own, an organisation's, an end user's."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, OURS, behavior, kind, publish
from .conftest import Caller

ROLE = "instructions.role"


def items(api: Caller, who: Any, query: str = "", **headers: str) -> list[dict[str, Any]]:
    answer = api(who, **headers).get(f"/notices{query}")
    assert (answer.status_code, answer.json()["next"]) == (200, None)
    return list(answer.json()["items"])


def test_a_notice_says_what_it_is_and_where_one_sees_to_it(api: Caller, cast: Cast) -> None:
    assert api(cast.alice).put(MINE, {"set": {ROLE: "Mine."}}, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.")
    [notice] = items(api, cast.alice)
    assert (notice["kind"], notice["layer"], notice["feature"], notice["read"]) == ("held", "user", "greet", False)
    assert api(cast.alice).get(notice["action"]["api"].removeprefix("/api/v1")).json()["held"]["fields"] == [ROLE]
    assert items(api, cast.bob) == []


def test_reading_marks_it_for_oneself_alone(api: Caller, cast: Cast) -> None:
    assert api(cast.ada).put(OURS, {"set": {ROLE: "Acme's."}}, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.")
    [notice] = items(api, cast.ada)
    assert api(cast.ada).post(f"/notices/{notice['id']}/read").status_code == 204
    assert [n["read"] for n in items(api, cast.ada)] == [True]
    assert items(api, cast.ada, "?unread=true") == []
    assert [n["read"] for n in items(api, cast.alice, "?unread=true")] == [False]
    assert kind(api(cast.ada).get("/notices?unread=perhaps")) == (400, "malformed")


def test_somebody_elses_notice_is_not_there(api: Caller, cast: Cast) -> None:
    assert api(cast.alice).put(MINE, {"set": {ROLE: "Mine."}}, **FIRST).status_code == 200
    publish(api, cast, instructions__role="Theirs.")
    [notice] = items(api, cast.alice)
    for who in (cast.bob, cast.ada, cast.mallory, cast.acme_service):
        assert kind(api(who).post(f"/notices/{notice['id']}/read")) == (404, "not-found")
    assert kind(api(cast.operator).post(f"/notices/{notice['id']}/read")) == (403, "forbidden")
    assert kind(api(cast.operator).get("/notices")) == (403, "forbidden")
    assert [n["read"] for n in items(api, cast.alice)] == [False]


def test_a_customers_software_has_the_inbox_of_its_user(api: Caller, cast: Cast) -> None:
    soon = (timezone.now() + timedelta(days=2)).isoformat()
    pin = {"version": 1, "until": soon}
    assert api(cast.acme_service, Bespoke_User="u1").put(f"{GREETING}/pin/user", pin).status_code == 200
    [notice] = items(api, cast.acme_service, Bespoke_User="u1")
    assert notice["kind"] == "pin_ending"
    assert items(api, cast.acme_service, Bespoke_User="u2") == items(api, cast.acme_service) == []
    path = f"/notices/{notice['id']}/read"
    assert kind(api(cast.acme_service, Bespoke_User="u2").post(path)) == (404, "not-found")
    assert api(cast.acme_service, Bespoke_User="u1").post(path).status_code == 204
    assert items(api, cast.acme_service, "?unread=1", Bespoke_User="u1") == []


def test_the_inbox_comes_a_page_at_a_time_and_what_is_read_meanwhile_moves_no_page(api: Caller, cast: Cast) -> None:
    pin = {"version": 1, "until": (timezone.now() + timedelta(days=2)).isoformat()}
    alice = api(cast.alice)
    for key in ("one", "two"):
        body = {"feature": key, "title": key, "behavior": behavior()}
        assert api(cast.operator).post("/features", body).status_code == 201
    for key in ("greet", "one", "two"):
        assert alice.put(f"/features/{key}/pin/user", pin).status_code == 200
    whole = [notice["id"] for notice in items(api, cast.alice)]
    first = alice.get("/notices?unread=true&limit=2").json()
    assert ([notice["id"] for notice in first["items"]], first["next"]) == (whole[:2], whole[1])
    assert alice.post(f"/notices/{first['next']}/read").status_code == 204
    assert [notice["id"] for notice in items(api, cast.alice, f"?unread=true&cursor={first['next']}")] == whole[2:]
    assert len(whole) == 3
    assert kind(alice.get("/notices?cursor=x")) == (400, "malformed")
