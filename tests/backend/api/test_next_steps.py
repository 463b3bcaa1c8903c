"""What an answer that is not the one asked for says to do next."""

from typing import Any

import pytest
from django.test import Client

from features.runs.reservations import in_currency
from tests.cast import Cast

from .acts import GREETING, kind, problems, publish
from .conftest import Caller

UNKNOWN_QUERIES: list[tuple[str, str, str, Any, set[str]]] = [
    ("alice", "get", "/features?page=2", None, {"/page"}),
    ("alice", "get", "/runs?Limit=1&state=queued", None, {"/Limit"}),
    ("alice", "get", "/me?limit=1", None, {"/limit"}),
    ("ada", "get", "/usage?since=2026-01-01T00:00:00Z&a~b/c=1", None, {"/since", "/a~0b~1c"}),
    ("alice", "post", f"{GREETING}/runs?wait=5", {"input": {"name": "Ann"}}, {"/wait"}),
    ("alice", "post", f"{GREETING}/batches?stored=false", [{"input": {"name": "Ann"}}], {"/stored"}),
]


@pytest.mark.parametrize(("who", "method", "path", "body", "pointers"), UNKNOWN_QUERIES)
def test_a_query_parameter_that_is_not_known_is_400_by_name(
    who: str, method: str, path: str, body: Any, pointers: set[str], cast: Cast, api: Caller
) -> None:
    answer = api(getattr(cast, who)).request(method, path, body)
    assert kind(answer) == (400, "malformed")
    assert problems(answer) == {(pointer, "unknown") for pointer in pointers}
    assert api(cast.alice).get("/runs").json()["items"] == api(cast.alice).get("/batches").json()["items"] == []


def test_a_misspelt_dry_run_moves_nothing_and_is_told_the_right_name(cast: Cast, api: Caller) -> None:
    number = publish(api, cast, move=False, vars__language="French")
    answer = api(cast.operator).put(f"{GREETING}/current?dryrun=true", {"version": number})
    assert kind(answer) == (400, "malformed")
    assert "there are: dry_run" in answer.json()["errors"][0]["message"]
    assert api(cast.alice).get(GREETING).json()["version"] == 1


def test_asking_for_the_head_is_judged_as_asking_for_all(cast: Cast, api: Caller) -> None:
    assert api(cast.alice).request("head", "/runs?limit=1").status_code == 200
    assert api(cast.alice).request("head", "/runs?page=1").status_code == 400


def test_a_method_that_is_not_for_the_address_is_told_those_that_are_in_the_same_words_everywhere(
    cast: Cast, api: Caller
) -> None:
    for path, told in {"/runs": "Use GET.", "/tenant": "Use GET or PATCH.", f"{GREETING}/runs": "Use POST."}.items():
        answer = api(cast.alice).delete(path)
        assert (kind(answer), answer.json()["detail"]) == ((405, "method-not-allowed"), told)
        assert set(told.removeprefix("Use ").removesuffix(".").split(" or ")) < set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs.js", "/errors/invalid"])
def test_what_is_only_read_refuses_writes_in_those_words_too(path: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(path)
    assert kind(answer) == (405, "method-not-allowed")
    assert (answer.json()["detail"], answer.headers["Allow"]) == ("Use GET.", "GET, HEAD")


def test_the_run_doors_know_head_and_options_as_all_others_do(cast: Cast, api: Caller) -> None:
    run = api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    events = f"/runs/{run}/events"
    head = api(cast.alice).request("head", events)
    assert (head.status_code, head.content, head.headers["Content-Type"]) == (200, b"", "text/event-stream")
    assert api(cast.mallory).request("head", events).status_code == 404
    for path, allowed in ((events, "GET, HEAD, OPTIONS"), (f"{GREETING}/runs", "POST, OPTIONS")):
        told = api(cast.alice).request("options", path)
        assert (told.status_code, told.headers["Allow"]) == (204, allowed)


def test_a_slash_too_many_is_told_the_address_without_it(cast: Cast, api: Caller) -> None:
    assert api(cast.alice).get(f"{GREETING}/").json()["detail"].endswith("ask for /api/v1/features/greet.")
    assert "/api/v1/docs" in api(cast.alice).get("/nothing/").json()["detail"]


def test_a_word_that_is_none_of_the_choices_is_told_them(cast: Cast, api: Caller) -> None:
    answer = api(cast.ada).post("/keys", {"kind": "root", "name": "x", "scopes": ["all"]})
    told = {error["pointer"]: error["message"] for error in answer.json()["errors"]}
    assert told == {
        "/kind": "must be one of member, service",
        "/scopes/0": "must be one of read, run, customise, admin",
    }


def test_who_lacks_a_verb_is_told_who_has_it(cast: Cast, api: Caller) -> None:
    def told(who: Any, method: str, path: str, body: Any = None) -> str:
        answer = api(who).request(method, path, body)
        assert kind(answer) == (403, "forbidden")
        return str(answer.json()["detail"])

    assert told(cast.alice, "get", "/audit").endswith("Owners and admins may.")
    assert told(cast.vera, "post", f"{GREETING}/runs", {}).endswith("Owners, admins and members may.")
    assert told(cast.alice, "get", "/tenants").endswith("Only the vendor may.")
    assert told(cast.acme_service, "get", "/tenant").endswith("act for in the header Bespoke-User.")


def test_what_is_not_spoken_is_told_what_is(cast: Cast, api: Caller) -> None:
    assert "application/json" in api(cast.alice).get("/me", Accept="text/html").json()["detail"]


@pytest.mark.parametrize(
    ("micro", "told"), [(1, "0.000001 EUR"), (12_500_000, "12.5 EUR"), (1_234_567_000_000, "1234567 EUR"), (0, "0 EUR")]
)
def test_money_is_told_as_people_write_it(micro: int, told: str) -> None:
    assert in_currency(micro) == told


def test_a_time_that_ends_before_it_begins_is_400(cast: Cast, api: Caller) -> None:
    answer = api(cast.ada).get("/usage?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z")
    assert kind(answer) == (400, "malformed")
