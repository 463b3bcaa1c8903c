"""Errors: one shape, a pointer to what is at fault, and nothing half done. A table of what nobody should send."""

import json
from collections import defaultdict
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError
from django.test import Client

from backend.api.examples import REQUESTS
from backend.api.openapi import document
from tenants.models import User
from tests.cast import Cast

from .acts import FIRST, GREETING, MINE, behavior, kind, problems
from .conftest import Caller, check

UNREADABLE = {
    "half an object": b'{"set": ',
    "a key twice": b'{"set": {}, "set": {}}',
    "NaN": b'{"set": {"vars.tone": NaN}}',
    "a BOM": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"message": "\xff"}',
    "a list": b"[]",
    "a number": b"7",
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize(("method", "path"), [("put", MINE), ("post", f"{GREETING}/runs")])
def test_what_is_no_json_object_is_400(case: str, method: str, path: str, cast: Cast, api: Caller) -> None:
    answer = send(api, cast, method, path, UNREADABLE[case])
    assert kind(answer) == (400, "malformed")


UNKEEPABLE = {
    "U+0000": (b'{"message": "a\\u0000b"}', "/message"),
    "half a character": (b'{"message": "\\ud800"}', "/message"),
    "half a character in a name": (b'{"set": {"\\ud800": {"a": "\\ud800"}}}', "/set"),
    "an integer beyond 2^53-1": (b'{"set": {"vars.tone": 9007199254740993}}', "/set/vars.tone"),
}


@pytest.mark.parametrize("case", UNKEEPABLE)
def test_json_that_cannot_be_kept_is_422_with_its_place(case: str, cast: Cast, api: Caller) -> None:
    body, pointer = UNKEEPABLE[case]
    answer = send(api, cast, "put", MINE, body)
    assert kind(answer) == (422, "invalid")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(("method", "path"), [("put", MINE), ("post", f"{GREETING}/runs")])
def test_another_content_type_is_415(method: str, path: str, cast: Cast, api: Caller) -> None:
    answer = send(api, cast, method, path, b"set=warm", content_type="application/x-www-form-urlencoded")
    assert kind(answer) == (415, "unsupported-media")


@pytest.mark.parametrize(("method", "path"), [("put", MINE), ("post", f"{GREETING}/runs")])
def test_a_body_that_is_compressed_is_415_and_told_what_is_read(
    method: str, path: str, cast: Cast, api: Caller
) -> None:
    answer = api(cast.alice).request(method, path, {"input": {"name": "Ann"}}, Content_Encoding="gzip")
    assert kind(answer) == (415, "unsupported-media") and answer.headers["Accept-Encoding"] == "identity"
    plain = api(cast.alice).request(method, path, {}, Content_Encoding="identity")
    assert plain.status_code in (400, 422)


@pytest.mark.parametrize(("method", "path"), [("put", MINE), ("post", f"{GREETING}/runs")])
def test_more_than_two_mebibytes_are_413(method: str, path: str, cast: Cast, api: Caller) -> None:
    answer = send(api, cast, method, path, b'{"message": "' + b"x" * 2**21 + b'"}')
    assert kind(answer) == (413, "too-large")


def test_an_input_larger_than_the_feature_takes_is_413(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).post(f"{GREETING}/runs", {"input": {"name": "x" * 3000}})
    assert kind(answer) == (413, "too-large")
    assert api(cast.alice).get("/runs").json()["items"] == []


# Every writing door: what it knows, and one field that it does not.
UNKNOWN: list[tuple[str, str, str, Any, str]] = [
    ("alice", "put", MINE, {"sets": {}}, "/sets"),
    ("alice", "put", f"{GREETING}/pin/user", {"kind": "base", "version": 1, "subject": "x"}, "/subject"),
    ("alice", "post", f"{GREETING}/restore", {"run": None, "tenant_id": "x"}, "/tenant_id"),
    ("alice", "post", f"{MINE}/rollback", {"revision": 1, "id": "x"}, "/id"),
    ("alice", "post", f"{GREETING}/runs", {"input": {}, "cost": 0}, "/cost"),
    ("alice", "post", "/keys", {"kind": "member", "name": "x", "member_id": "x"}, "/member_id"),
    ("ada", "patch", "/tenant", {"policy": {"author": "x"}}, "/policy/author"),
    ("ada", "patch", "/tenant", {"slug": "globex"}, "/slug"),
    ("ada", "post", "/members", {"email": "x@y.example", "role": "member", "__proto__": {}}, "/__proto__"),
    ("operator", "post", "/features", {"feature": "f", "title": "F", "behavior": {}, "author/~": "x"}, "/author~1~0"),
    ("operator", "post", f"{GREETING}/versions", {"behavior": {}, "number": 9}, "/number"),
    ("operator", "put", f"{GREETING}/current", {"version": 1, "valid_from": "x"}, "/valid_from"),
    ("operator", "post", "/tenants", {"slug": "x", "name": "X", "owner": "x@y.example", "id": "x"}, "/id"),
    ("operator", "post", "/models", {"alias": "a", "revision": 9}, "/revision"),
    ("operator", "put", "/models/standard", {"revision": 1, "target": "x"}, "/target"),
]


@pytest.mark.parametrize(("who", "method", "path", "body", "pointer"), UNKNOWN)
def test_a_field_that_is_not_known_is_400_by_name(
    who: str, method: str, path: str, body: Any, pointer: str, cast: Cast, api: Caller
) -> None:
    answer = api(getattr(cast, who)).request(method, path, body)
    assert kind(answer) == (400, "malformed")
    assert problems(answer) == {(pointer, "unknown")}


# What is readable but not what the door takes: each with its place.
WRONG: list[tuple[str, str, str, Any, set[tuple[str, str]]]] = [
    ("alice", "put", MINE, {"set": []}, {("/set", "not_a_dict")}),
    ("alice", "put", MINE, {"message": 5}, {("/message", "invalid")}),
    ("alice", "put", MINE, {"remove": "vars.tone"}, {("/remove", "not_a_list")}),
    ("alice", "post", f"{MINE}/rollback", {"revision": "1"}, {("/revision", "invalid")}),
    ("alice", "post", f"{MINE}/rollback", {}, {("/revision", "required")}),
    ("alice", "post", f"{MINE}/rollback", {"revision": 0}, {("/revision", "min_value")}),
    ("alice", "put", f"{GREETING}/pin/user", {"kind": "base"}, {("/version", "required")}),
    ("alice", "put", f"{GREETING}/pin/user", {"kind": "all", "version": 1}, {("/kind", "invalid_choice")}),
    ("alice", "put", f"{GREETING}/pin/user", {"kind": "snapshot", "version": 1}, {("/version", "unknown")}),
    ("alice", "put", f"{GREETING}/pin/user", {"version": 1, "until": "tomorrow"}, {("/until", "invalid")}),
    ("alice", "put", f"{GREETING}/pin/user", {"version": 1, "until": "2020-01-01T00:00:00Z"}, {("/until", "min")}),
    ("alice", "post", f"{GREETING}/restore", {}, {("", "one_of")}),
    ("alice", "post", f"{GREETING}/restore", {"at": "2026-03-03T09:30:00"}, {("/at", "invalid")}),
    ("alice", "post", f"{GREETING}/restore", {"run": "x"}, {("/run", "invalid")}),
    ("alice", "post", f"{GREETING}/runs", {}, {("/input", "required")}),
    ("alice", "post", "/keys", {"kind": "root", "name": ""}, {("/kind", "invalid_choice"), ("/name", "blank")}),
    ("alice", "post", "/keys", {"kind": "member", "name": "x", "expires": "2020-01-01T00:00:00Z"}, {("/expires", "min")}),
    ("ada", "patch", "/tenant", {"policy": {"users_may_pin": 0}}, {("/policy/users_may_pin", "invalid")}),
    ("ada", "patch", "/tenant", {"policy": {"users_may_override": "no"}}, {("/policy/users_may_override", "invalid")}),
    ("ada", "patch", "/tenant", {"policy": []}, {("/policy", "invalid")}),
    ("ada", "patch", "/tenant", {}, {("/policy", "required")}),
    ("ada", "post", "/members", {"email": "x", "role": "king"}, {("/email", "invalid"), ("/role", "invalid_choice")}),
    ("operator", "post", "/tenants", {"slug": "a b", "name": "X", "owner": "x@y.example"}, {("/slug", "invalid")}),
    ("operator", "put", f"{GREETING}/current", {"version": True}, {("/version", "invalid")}),
    ("operator", "post", f"{GREETING}/versions", {"behavior": {}, "publish": "now"}, {("/publish", "invalid_choice")}),
]  # fmt: skip


@pytest.mark.parametrize(("who", "method", "path", "body", "expected"), WRONG)
def test_a_body_that_breaks_the_doors_schema_is_422_with_every_place(
    who: str, method: str, path: str, body: Any, expected: set[tuple[str, str]], cast: Cast, api: Caller
) -> None:
    answer = api(getattr(cast, who)).request(method, path, body, **(FIRST if path == MINE else {}))
    assert kind(answer) == (422, "invalid")
    assert problems(answer) == expected


QUERIES: list[tuple[str, str]] = [
    ("alice", "/runs?limit=0"), ("alice", "/runs?limit=201"), ("alice", "/runs?limit=ten"), ("alice", "/runs?cursor=x"),
    ("alice", "/runs?state=lost"), ("alice", f"{GREETING}/behavior?at=yesterday"),
    ("alice", f"{GREETING}/behavior?at=0001-01-01T00:00:00%2B23:59"), ("alice", f"{GREETING}/behavior?explain=perhaps"),
    ("ada", f"{GREETING}/behavior?as=user"), ("ada", f"{GREETING}/behavior?as=tenant&user=u1"),
    ("ada", f"{GREETING}/behavior?user=a%00b"), ("ada", f"{GREETING}/behavior?user=member:%00"),
    ("alice", f"{GREETING}/versions?cursor=-1"), ("alice", f"{GREETING}/versions/1/diff"),
    ("alice", f"{GREETING}/versions/1/diff?to=two"), ("alice", "/features/gr%00et"), ("ada", "/usage?by=moon"),
    ("ada", "/usage?from=monday"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "path"), QUERIES)
def test_a_query_that_says_nothing_known_is_400(who: str, path: str, cast: Cast, api: Caller) -> None:
    answer = api(getattr(cast, who)).get(path)
    assert kind(answer) == (400, "malformed")


MISSING: list[tuple[str, str]] = [
    ("get", "/features/nothing"), ("get", "/features/nothing/behavior"), ("get", "/features/nothing/versions"),
    ("get", f"{GREETING}/versions/99999999999999999999"), ("get", f"{GREETING}/versions/1/diff?to=2"),
    ("get", "/features/nothing/override/user"), ("get", f"{GREETING}/override/base"), ("get", "/features/"),
    ("get", "/"), ("get", "/runs/not-an-id"), ("delete", f"{GREETING}/pin/user"), ("delete", MINE),
    ("delete", f"{GREETING}/pins/nobody"), ("put", f"{GREETING}/pin/user"), ("post", f"{MINE}/rollback"),
    ("post", "/features/nothing/runs"), ("get", "/runs?feature=nothing"), ("get", "/nothing"),
    ("get", "/runs/%0A"), ("post", f"{GREETING}%0A/nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/runs?limit=1&limit=2"), ("put", f"{GREETING}/current?dry_run=true&dry_run=false")]
)
def test_a_query_that_says_something_twice_is_400_by_name(method: str, path: str, cast: Cast, api: Caller) -> None:
    """Of a rehearsal that is none as well, nothing is carried out."""
    answer = api(cast.operator).request(method, path, {"version": 1} if method == "put" else None)
    assert kind(answer) == (400, "malformed")
    assert problems(answer) == {("/" + path.rpartition("&")[2].partition("=")[0], "once")}


@pytest.mark.parametrize(("method", "path"), MISSING)
def test_what_is_not_there_is_404(method: str, path: str, cast: Cast, api: Caller) -> None:
    bodies = {"put": {"kind": "base", "version": 7}, "post": {"revision": 7}}
    body = {"input": {"name": "Ann"}} if path.endswith("runs") else bodies.get(method)
    assert kind(api(cast.ada).request(method, path, body)) == (404, "not-found")


def test_a_method_that_is_not_for_the_address_is_405_and_says_which_are(cast: Cast, api: Caller) -> None:
    for path in ("/me", f"{GREETING}/runs", "/runs"):
        answer = api(cast.alice).delete(path)
        assert kind(answer) == (405, "method-not-allowed")
        assert answer.headers["Allow"]


def test_head_answers_like_get_without_a_body(cast: Cast, api: Caller) -> None:
    answer = api(cast.alice).request("head", "/features")
    assert (answer.status_code, answer.content) == (200, b"")
    assert api(cast.alice).request("options", "/features").status_code == 200


def test_an_accept_that_is_not_spoken_is_406(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice).get("/me", Accept="text/html")) == (406, "not-acceptable")


def test_every_answer_carries_its_id_and_a_problem_says_the_same(cast: Cast, api: Caller) -> None:
    fine, wrong = api(cast.alice).get("/me"), api(cast.alice).get("/features/nothing", X_Request_Id="from-a-proxy-1")
    assert len(fine.headers["Bespoke-Request"]) == 32
    assert wrong.headers["Bespoke-Request"] == wrong.json()["request"] == "from-a-proxy-1"


def test_a_fault_of_ours_is_a_problem_too(cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("backend.api.features.served_json", breaks)
    knock = api(cast.alice)
    knock.client.raise_request_exception = False
    answer = super(type(knock), knock).request("get", GREETING)
    assert kind(answer) == (500, "broken")
    assert b"secret" not in answer.content


AWAY: list[tuple[str, str]] = [("get", "/features"), ("put", MINE), ("post", f"{GREETING}/runs"), ("get", "/runs")]


@pytest.mark.parametrize(("method", "path"), AWAY)
@pytest.mark.parametrize("by", ["key", "session"])
def test_a_database_that_is_away_is_503_even_for_telling_who_asks(
    by: str, method: str, path: str, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    if by == "session":
        client.force_login(User.objects.get(email="alice@acme.example"))
    headers = {"Authorization": f"Bearer {cast.key(cast.alice)}"} if by == "key" else {}

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection")

    options: dict[str, Any] = {} if method == "get" else {"data": {}, "content_type": "application/json"}
    with monkeypatch.context() as while_away:
        for name in ("ensure_connection", "_cursor"):
            while_away.setattr(f"django.db.backends.postgresql.base.DatabaseWrapper.{name}", away)
        answer = getattr(client, method)(f"/api/v1{path}", headers=headers, **options)
    assert kind(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_the_type_of_a_problem_leads_to_what_it_means(cast: Cast, api: Caller) -> None:
    type_ = api(cast.alice).get("/features/nothing").json()["type"]
    told = Client().get(type_).json()
    assert (told["type"], told["status"]) == ("/errors/not-found", 404)
    assert Client().get("/errors/nonsense").status_code == 404


def test_a_refused_request_leaves_nothing_behind(cast: Cast, api: Caller) -> None:
    def done() -> list[str]:
        return [event["verb"] for event in api(cast.ada).get("/audit").json()["items"] if event["verb"] != "key.own"]

    before = done()
    body = {"feature": "half", "title": "Half", "behavior": behavior(prompt="{{ nothing }}")}
    assert api(cast.operator).post("/features", body).status_code == 422
    assert api(cast.alice).put(MINE, {"set": {"vars.tone": "rude"}}, **FIRST).status_code == 422
    assert api(cast.alice).get("/features/half").status_code == 404
    assert done() == before


def send(api: Caller, cast: Cast, method: str, path: str, body: bytes, content_type: str = "application/json") -> Any:
    """Send bytes as Alice."""
    headers = {**api(cast.alice).headers, "If-None-Match": "*"}
    answer = getattr(Client(), method)(f"/api/v1{path}", data=body, content_type=content_type, headers=headers)
    check(method, path, answer)
    assert json.loads(answer.content)["status"] == answer.status_code
    return answer


SOME_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
PLACES = defaultdict(lambda: SOME_ID, feature="greet", layer="user", alias="standard", number="1", revision="1")


def test_every_example_of_the_reference_is_read_by_its_door(cast: Cast, api: Caller) -> None:
    """Many find nothing at such an address, or are too early; none is a request that its door does not understand."""
    sent = set()
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            if operation["operationId"] not in REQUESTS:
                continue
            filled = path.removeprefix("/api/v1").format_map(PLACES)
            filled += "?dry_run=true" if any(p["name"] == "dry_run" for p in operation["parameters"]) else ""
            first = FIRST if operation["operationId"] == "put_override" else {}
            asked = [
                api(who).request(method, filled, REQUESTS[operation["operationId"]], **first)
                for who in (cast.ada, cast.operator)
            ]
            [answer, *_] = [answer for answer in asked if answer.status_code != 403]
            assert answer.status_code not in (400, 415), (path, method, answer.content)
            errors = answer.json().get("errors", ()) if answer.content else ()  # their inputs are those of `reply`
            wrong = {error["rule"] for error in errors if "/input/" not in error["pointer"]}
            assert not wrong & {"required", "invalid", "invalid_choice", "unknown"}, (path, method, answer.content)
            sent.add(operation["operationId"])
    assert sent == REQUESTS.keys()


def test_no_write_takes_a_column_that_it_does_not_name(cast: Cast, api: Caller) -> None:
    """Mass assignment: every column of every table, and what JavaScript would trip over, sent to every writing door."""
    columns = {column.attname for model in apps.get_models() for column in model._meta.concrete_fields}
    doors = 0
    for path, item in document()["paths"].items():
        for method in {"post", "put", "patch"} & item.keys():
            schema = (
                item[method].get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            )
            reference = schema.get("$ref", "").rpartition("/")[2]
            known = document()["components"]["schemas"].get(reference, schema).get("properties")
            if known is None:
                continue
            unknown = (columns | {"tenant_id", "__proto__", "constructor"}) - known.keys()
            filled = path.removeprefix("/api/v1").format_map(PLACES)
            answer = api(cast.ada).request(method, filled, dict.fromkeys(unknown, "x"))
            if answer.status_code == 403:  # the vendor's
                answer = api(cast.operator).request(method, filled, dict.fromkeys(unknown, "x"))
            assert (kind(answer), problems(answer)) == ((400, "malformed"), {(f"/{n}", "unknown") for n in unknown}), (
                path
            )
            doors += 1
    assert doors >= 16
