"""Keys: what their scopes allow, how one takes another's place, and that they are in no address, log or dump."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connections
from django.test import Client
from django.utils import timezone

from tenants.keys import SCANNED
from tenants.models import ApiKey, OperatorKey
from tenants.roles import SCOPES, VERBS, Scope, verbs_of
from tests.cast import Cast
from tests.conftest import Knock

from .acts import FIRST, MINE, OURS, kind, problems
from .conftest import Caller

RUN = "/features/greet/runs"
ANN = {"input": {"name": "Ann"}}


def key_for(api: Caller, who: Any, *scopes: str, kind: str = "member", **more: Any) -> Knock:
    body = {"kind": kind, "name": "narrow", "scopes": list(scopes), **more}
    made = api(who).post("/keys", body)
    assert made.status_code == 201, made.content
    return Knock(made.json()["key"], {})


def test_every_verb_is_of_one_scope_but_for_finding_ones_way() -> None:
    verbs = {verb for verbs in VERBS.values() for verb in verbs}
    assert verbs == frozenset().union(*SCOPES.values())
    many = {verb for verb in verbs if sum(verb in of for of in SCOPES.values()) > 1}
    assert many == {"feature.read", "run.read"}
    for role, own in VERBS.items():
        assert verbs_of(role) == own


# What each scope alone may: status for read, run, customise, admin, of a key of Ada's, an owner.
TABLE: list[tuple[str, str, Any, dict[str, str], str]] = [
    ("get", "/features/greet", None, {}, "200 200 200 200"),
    ("get", "/runs", None, {}, "200 200 403 403"),
    ("get", "/members", None, {}, "200 403 403 403"),
    ("get", "/audit", None, {}, "200 403 403 403"),
    ("get", "/usage", None, {}, "200 403 403 403"),
    ("get", "/batches", None, {}, "200 200 403 403"),
    ("post", RUN, ANN, {"Prefer": "respond-async"}, "403 202 403 403"),
    ("post", "/features/greet/batches", [ANN], {}, "403 202 403 403"),
    ("put", MINE, {"set": {"vars.tone": "warm"}}, FIRST, "403 403 200 403"),
    ("put", OURS, {"set": {"vars.tone": "warm"}}, FIRST, "403 403 200 403"),
    ("put", "/features/greet/pin/user", {"version": 1}, {}, "403 403 200 403"),
    ("patch", "/tenant", {"policy": {"users_may_pin": "no"}}, {}, "403 403 403 200"),
    ("post", "/members", {"email": "x@acme.example", "role": "viewer"}, {}, "403 403 403 201"),
    ("post", "/invitations", {"email": "y@acme.example", "role": "viewer"}, {}, "403 403 403 201"),
    ("post", "/keys", {"kind": "member", "name": "more", "scopes": ["admin"]}, {}, "403 403 403 201"),
    ("get", "/budgets", None, {}, "403 403 403 200"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "expected"), TABLE)
def test_a_key_may_what_its_role_and_its_scopes_may(
    method: str, path: str, body: Any, headers: dict[str, str], expected: str, cast: Cast, api: Caller
) -> None:
    found = [key_for(api, cast.ada, scope.value).request(method, path, body, **headers).status_code for scope in Scope]
    assert found == [int(status) for status in expected.split()]


def test_a_refusal_names_the_verb_and_the_scopes(cast: Cast, api: Caller) -> None:
    refused = key_for(api, cast.ada, "run").get("/members").json()
    assert refused["detail"].startswith("This key may not do this (member.read): its scopes are run.")
    only = key_for(api, cast.alice, "read").post("/notices/01890a5d-ac96-774b-bcce-b302099a8057/read")
    assert kind(only) == (403, "forbidden") and only.json()["detail"].startswith("This key only reads")


def test_scopes_add_nothing_to_a_role(cast: Cast, api: Caller) -> None:
    assert kind(key_for(api, cast.alice, "admin", "customise").put(OURS, {"set": {}}, **FIRST)) == (403, "forbidden")
    assert "run.create" not in key_for(api, cast.vera, "run", "read").get("/me").json()["can"]


def test_a_key_makes_none_that_may_more_than_itself(cast: Cast, api: Caller) -> None:
    admin = key_for(api, cast.ada, "admin", "read")
    assert kind(admin.post("/keys", {"kind": "member", "name": "x", "scopes": ["run"]})) == (403, "forbidden")
    assert admin.post("/keys", {"kind": "member", "name": "x"}).json()["scopes"] == ["read", "admin"]
    [full, *_] = [row for row in api(cast.ada).get("/keys").json()["items"] if row["name"] == "test"]
    assert kind(admin.post(f"/keys/{full['id']}/rotate")) == (403, "forbidden")


def test_scopes_are_some_that_there_are(cast: Cast, api: Caller) -> None:
    body = {"kind": "member", "name": "x"}
    assert problems(api(cast.ada).post("/keys", {**body, "scopes": []})) == {("/scopes", "empty")}
    assert problems(api(cast.ada).post("/keys", {**body, "scopes": ["fly"]})) == {("/scopes/0", "invalid_choice")}
    service = {"kind": "service", "name": "x", "scopes": ["admin"]}
    assert problems(api(cast.ada).post("/keys", service)) == {("/scopes", "enum")}
    assert api(cast.ada).post("/keys", {"kind": "service", "name": "x"}).json()["scopes"] == [
        "read", "run", "customise",
    ]  # fmt: skip


def test_both_keys_work_until_the_old_one_ends(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    old = ada.post("/keys", {"kind": "service", "name": "shop", "scopes": ["run"], "requests_per_minute": 70}).json()
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    new = ada.post(f"/keys/{old['id']}/rotate", {"until": until})
    assert new.status_code == 201 and new.headers["Cache-Control"] == "no-store"
    same = ("kind", "name", "scopes", "requests_per_minute", "expires")
    assert {name: new.json()[name] for name in same} == {name: old[name] for name in same}
    both = [Knock(old["key"], {"Bespoke-User": "u1"}), Knock(new.json()["key"], {"Bespoke-User": "u1"})]
    assert [knock.get("/me").status_code for knock in both] == [200, 200]
    with time_machine.travel(timezone.now() + timedelta(hours=1, minutes=1), tick=False):
        assert [knock.get("/me").status_code for knock in both] == [401, 200]
    listed = {row["id"]: row for row in ada.get("/keys").json()["items"]}
    assert listed[old["id"]]["replaced_by"] == new.json()["id"]


def test_two_live_at_once_and_never_three(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    old = ada.post("/keys", {"kind": "member", "name": "laptop"}).json()
    assert ada.post(f"/keys/{old['id']}/rotate").status_code == 201
    assert kind(ada.post(f"/keys/{old['id']}/rotate")) == (409, "conflict")
    ended = ada.post("/keys", {"kind": "member", "name": "phone"}).json()
    ada.delete(f"/keys/{ended['id']}")
    assert kind(ada.post(f"/keys/{ended['id']}/rotate")) == (409, "conflict")


def test_a_rotated_key_lives_as_long_anew_and_the_old_one_no_longer_than_it_would(cast: Cast, api: Caller) -> None:
    ada = api(cast.ada)
    ends = timezone.now() + timedelta(hours=2)
    old = ada.post("/keys", {"kind": "member", "name": "laptop", "expires": ends.isoformat()}).json()
    new = ada.post(f"/keys/{old['id']}/rotate").json()
    listed = {row["id"]: row for row in ada.get("/keys").json()["items"]}
    assert listed[old["id"]]["expires"] == old["expires"]
    assert new["expires"] >= old["expires"]


@pytest.mark.parametrize("hours", [-1, 24 * 31])
def test_the_old_key_ends_in_the_next_thirty_days(hours: int, cast: Cast, api: Caller) -> None:
    old = api(cast.ada).post("/keys", {"kind": "member", "name": "laptop"}).json()
    until = (timezone.now() + timedelta(hours=hours)).isoformat()
    assert problems(api(cast.ada).post(f"/keys/{old['id']}/rotate", {"until": until})) == {("/until", "range")}


def test_nobody_rotates_the_key_of_another_person(cast: Cast, api: Caller) -> None:
    bobs = api(cast.bob).post("/keys", {"kind": "member", "name": "bob's"}).json()
    for who in (cast.ada, cast.alice, cast.gus):
        assert kind(api(who).post(f"/keys/{bobs['id']}/rotate")) == (404, "not-found")
    assert api(cast.bob).post(f"/keys/{bobs['id']}/rotate").status_code == 201


@pytest.mark.parametrize("path", ["/api/v1/me?key={}", "/api/v1/features?a=1&token=%22{}", "/api/v1/runs/{}"])
def test_a_key_in_an_address_is_refused_with_advice(path: str, cast: Cast, api: Caller) -> None:
    text = cast.key(cast.alice)
    for headers in ({}, {"Authorization": f"Bearer {text}"}):
        answer = Client().get(path.format(text.replace("_", "%5F")), headers=headers)
        if "/runs/" in path:
            assert answer.status_code == 404  # no such route: nothing there asks who it is
            continue
        assert kind(answer) == (400, "malformed")
        assert "never goes into an address" in answer.json()["detail"] and text not in answer.content.decode()


def test_no_key_is_in_a_log_line(cast: Cast, api: Caller, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    text = cast.key(cast.alice)
    secret = text.rpartition("_")[2]
    with caplog.at_level(logging.DEBUG):
        Knock(text, {}).get("/me")
        Knock(text[:-1] + "0", {}).get("/me")
        Client().get(f"/api/v1/me?key={text}", headers={"Authorization": f"Basic {text}"})
        Client().get(f"/api/v1/{text}", headers={"X-Request-Id": text[:60]})
        Knock(text, {"Bespoke-User": "u1"}).post("/keys", {"kind": "member", "name": "x", "expires": "never"})
        made = Knock(text, {}).post("/keys", {"kind": "member", "name": "x"}).json()["key"]
    written = "".join(capfd.readouterr()) + "".join(str(vars(record)) for record in caplog.records)
    assert "http.request" in written
    for part in (secret, made.rpartition("_")[2]):
        assert part not in written


def test_what_the_database_holds_of_keys_opens_no_door(cast: Cast, api: Caller) -> None:
    text = cast.key(cast.alice)
    with cast.alice.present():
        row = ApiKey.objects.filter(member_id=cast.alice.acting_for().id).get()
    kept = bytes(row.secret_hash)
    head, _, tail = text.rpartition("_")
    assert tail[:33].encode() not in kept and len(kept) == 32
    for forged in (f"{head}_{kept.hex()[:39]}", kept.hex(), f"{head}_{tail[:33]}{tail[33:][::-1]}"):
        assert kind(Knock(forged, {}).get("/me")) == (401, "unauthenticated")


def test_a_scanner_finds_a_key_by_the_expression_that_is_documented(cast: Cast) -> None:
    page = (settings.ROOT / "docs" / "keys.md").read_text()
    assert SCANNED.pattern in page
    for text in (cast.key(cast.alice), cast.key(cast.acme_service), cast.key(cast.operator)):
        assert SCANNED.fullmatch(text) and SCANNED.search(f"password = '{text}'")


def test_operators_make_rotate_and_revoke_keys_of_their_own(cast: Cast, api: Caller) -> None:
    olga = api(cast.operator)
    made = olga.post("/operator/keys", {"name": "ci", "scopes": ["read"]})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    ci = Knock(made.json()["key"], {})
    assert ci.get("/tenants").status_code == 200
    assert kind(ci.post("/tenants", {"slug": "x", "name": "x", "owner": "x@x.example"})) == (403, "forbidden")
    assert kind(ci.post("/operator/keys", {"name": "more"})) == (403, "forbidden")
    new = olga.post(f"/operator/keys/{made.json()['id']}/rotate").json()
    assert Knock(new["key"], {}).get("/tenants").status_code == ci.get("/tenants").status_code == 200
    assert [row["name"] for row in olga.get("/operator/keys").json()["items"]] == ["ci", "ci", "test"]
    assert olga.delete(f"/operator/keys/{new['id']}").status_code == 204
    assert kind(Knock(new["key"], {}).get("/tenants")) == (401, "unauthenticated")
    assert "bsk_" not in json.dumps(olga.get("/operator/audit").json())


def test_operators_keys_are_nobody_elses(cast: Cast, api: Caller) -> None:
    with connections["operator"].cursor():
        row = OperatorKey.objects.using("operator").get()
    for who in (cast.ada, cast.alice, cast.acme_service):
        assert kind(api(who).get("/operator/keys")) == (403, "forbidden")
        assert kind(api(who).delete(f"/operator/keys/{row.id}")) == (403, "forbidden")
