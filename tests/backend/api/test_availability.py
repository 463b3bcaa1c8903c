"""Availability and retirement through the API."""

from tests.cast import Cast

from .acts import GREETING, MINE, kind, problems
from .conftest import Caller

LISTED = f"{GREETING}/availability"
END = f"{GREETING}/retirement"
ASYNC = {"Prefer": "respond-async"}


def test_to_who_has_it_not_every_door_answers_as_for_a_feature_that_is_not_there(cast: Cast, api: Caller) -> None:
    told = api(cast.operator).put(LISTED, {"listed_only": True, "tenants": ["acme"]})
    assert (told.status_code, told.json()["served_before"], told.json()["served"]) == (200, 2, 1)
    assert api(cast.operator).get(LISTED).json()["tenants"] == ["acme"]
    asked = {"X-Request-Id": "the-same-for-all"}
    mallory = api(cast.mallory)
    for path in ("", "/behavior", "/versions", "/versions/1", "/override/user", "/pin/user", "/behavior?explain=true"):
        hers = mallory.get(f"{GREETING}{path}", **asked)
        none = mallory.get(f"/features/green{path}", **asked)
        assert hers.status_code == 404
        assert hers.content == none.content.replace(b"green", b"greet")
    run = {"input": {"name": "Ann"}}
    assert kind(mallory.post(f"{GREETING}/runs", run, **ASYNC)) == (404, "not-found")
    assert mallory.get("/features").json()["items"] == []
    assert [row["feature"] for row in api(cast.alice).get("/features").json()["items"]] == ["greet"]
    assert api(cast.alice).post(f"{GREETING}/runs", run, **ASYNC).status_code == 202


def test_a_retirement_is_announced_with_the_feature_and_taken_back(cast: Cast, api: Caller) -> None:
    body = {"at": "2099-01-01T00:00:00Z", "message": "Use greet-2."}
    assert api(cast.operator).put(f"{END}?dry_run=true", body).json()["dry_run"] is True
    assert api(cast.alice).get(GREETING).json()["retires"] is None
    assert api(cast.operator).put(END, body).status_code == 200
    for path in (GREETING, "/features"):
        told = api(cast.alice).get(path).json()
        assert told.get("items", [told])[0]["retires"] == {"at": "2099-01-01T00:00:00Z", "message": "Use greet-2."}
    run = {"input": {"name": "Ann"}}
    for path, sent in (("runs", run), ("batches", [run])):
        taken = api(cast.alice).post(f"{GREETING}/{path}", sent, **ASYNC)
        assert (taken.status_code, taken.headers["Sunset"]) == (202, "Thu, 01 Jan 2099 00:00:00 GMT")
    assert api(cast.alice).put(MINE, {"set": {"vars.tone": "warm"}}, If_None_Match="*").status_code == 200
    assert api(cast.operator).delete(END).json()["retires"] is None
    for path, sent in (("runs", run), ("batches", [run])):
        assert "Sunset" not in api(cast.alice).post(f"{GREETING}/{path}", sent, **ASYNC).headers
    assert problems(api(cast.operator).put(END, {"at": "2020-01-01T00:00:00Z"})) == {("/at", "min")}
    assert kind(api(cast.ada).put(END, body)) == (403, "forbidden")
