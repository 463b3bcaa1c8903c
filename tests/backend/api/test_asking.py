"""Who asks: keys of members, of an organisation's software and of operators, sessions, and nobody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tenants.actions import create_key
from tenants.models import ApiKey, Subject, User
from tests.cast import Cast
from tests.conftest import Knock

from .acts import FIRST, GREETING, MINE, OURS, digest, kind
from .conftest import Caller

NOBODYS = {
    "no header": {},
    "another scheme": {"Authorization": "Basic YWRhOnNlY3JldA=="},
    "no key of ours": {"Authorization": "Bearer sk-something"},
    "a key with a typing error": {"Authorization": "Bearer bsk_" + "0" * 43 + "_" + "0" * 39},
    "nothing after Bearer": {"Authorization": "Bearer"},
}


@pytest.mark.parametrize("case", NOBODYS)
def test_whoever_brings_no_key_that_counts_is_nobody(case: str, cast: Cast) -> None:
    answer = Client().get("/api/v1/features", headers=NOBODYS[case])
    assert kind(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/features/greet/runs", "/features/greet/restore", "/nothing"])
def test_nobody_learns_nothing_from_a_body_either(path: str, cast: Cast) -> None:
    answer = Client().post(f"/api/v1{path}", {"x": 1}, content_type="application/json")
    assert answer.status_code == (404 if path == "/nothing" else 401)


def test_a_revoked_key_ends_at_once(cast: Cast, api: Caller) -> None:
    made = api(cast.alice).post("/keys", {"kind": "member", "name": "laptop"}).json()
    with_it = Knock(made["key"], {})
    assert with_it.get("/me").json()["name"] == "Alice"
    assert api(cast.alice).delete(f"/keys/{made['id']}").status_code == 204
    assert kind(with_it.get("/me")) == (401, "unauthenticated")


def test_a_key_ends_when_it_said_it_would(cast: Cast, api: Caller) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    row, text = create_key(kind="member", name="short", expires_at=tomorrow, by=cast.alice)
    assert Knock(text, {}).get("/me").status_code == 200
    with cast.alice.present():
        ApiKey.objects.filter(pk=row.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert kind(Knock(text, {}).get("/me")) == (401, "unauthenticated")


def test_everyone_is_told_who_they_are(cast: Cast, api: Caller) -> None:
    alice, vendor = api(cast.alice).get("/me").json(), api(cast.operator).get("/me").json()
    assert (alice["kind"], alice["role"], alice["tenant"]) == ("member", "member", "acme")
    assert (vendor["kind"], vendor["tenant"], vendor["subject"]) == ("operator", None, None)


def test_a_service_key_acts_for_the_user_that_it_names(cast: Cast, api: Caller) -> None:
    for_a_user = api(cast.acme_service, Bespoke_User="Zoë 7".encode().decode("latin-1")).get("/me").json()
    by_itself = api(cast.acme_service).get("/me").json()
    assert (for_a_user["subject"], for_a_user["role"]) == ("Zoë 7", "service for a user")
    assert (by_itself["subject"], by_itself["role"]) == ("", "service")


def test_a_users_key_is_one_however_it_is_composed(cast: Cast, api: Caller) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    as_header = {"Bespoke_User": decomposed.encode().decode("latin-1")}
    api(cast.acme_service, **as_header).put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert digest(api, cast.ada, f"?user={composed}") == digest(api, cast.acme_service, **as_header)
    assert digest(api, cast.ada, "?user=zo\u00eb") == digest(api, cast.bob)  # keys are case-sensitive


def test_an_end_user_nobody_has_heard_of_is_served_without_a_row(cast: Cast, api: Caller) -> None:
    assert digest(api, cast.acme_service, Bespoke_User="never seen") == digest(api, cast.bob)
    with cast.ada.present():
        assert not Subject.objects.filter(key="never seen").exists()


def test_the_first_override_of_an_end_user_makes_the_subject(cast: Cast, api: Caller) -> None:
    saved = api(cast.acme_service, Bespoke_User="u9").put(MINE, {"set": {"vars.tone": "warm"}}, **FIRST)
    assert saved.status_code == 200
    assert "u9" in [row["key"] for row in api(cast.ada).get("/subjects").json()["items"]]


@pytest.mark.parametrize("user", ["member:01890a5d-ac96-774b-bcce-b302099a8057", "a\tb", "x" * 201, ""])
def test_a_service_key_never_names_a_member_nor_what_is_no_key(user: str, cast: Cast, api: Caller) -> None:
    answer = api(cast.acme_service, Bespoke_User=user).get("/me")
    assert kind(answer) == (400, "malformed")


def test_a_members_key_takes_no_other_user(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.alice, Bespoke_User="u1").get("/me")) == (400, "malformed")


def test_a_header_that_is_not_utf8_is_refused(cast: Cast, api: Caller) -> None:
    assert kind(api(cast.acme_service, Bespoke_User="Zo\u00eb").get("/me")) == (400, "malformed")


def test_a_service_key_without_a_user_has_no_user_layer_and_may_not_change_the_organisation(
    cast: Cast, api: Caller
) -> None:
    software = api(cast.acme_service)
    assert kind(software.put(MINE, {}, **FIRST)) == (404, "not-found")
    assert kind(software.put(OURS, {}, **FIRST)) == (403, "forbidden")


ORGANISATIONS: list[tuple[str, str]] = [
    ("get", "/tenant"), ("get", "/members"), ("get", "/subjects"), ("get", "/keys"), ("get", "/audit"),
    ("get", "/usage"), ("get", "/runs"), ("get", f"{GREETING}/pins"), ("get", MINE), ("get", OURS),
    ("get", f"{GREETING}/pin/user"), ("get", f"{GREETING}/behavior?user=u1"), ("get", f"{GREETING}/behavior?as=tenant"),
    ("put", MINE), ("put", f"{GREETING}/pin/tenant"), ("post", f"{GREETING}/runs"), ("post", "/keys"),
    ("patch", "/tenant"), ("post", "/members"), ("delete", f"{GREETING}/pins/u1"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ORGANISATIONS)
def test_operators_are_told_that_they_belong_to_no_organisation(
    method: str, path: str, cast: Cast, api: Caller
) -> None:
    answer = api(cast.operator).request(method, path, None if method in ("get", "delete") else {})
    assert kind(answer) == (403, "forbidden")
    assert "Operators" in answer.json()["detail"]


VENDORS: list[tuple[str, str]] = [
    ("post", "/features"), ("post", f"{GREETING}/versions"), ("put", f"{GREETING}/current"), ("get", "/models"),
    ("post", "/models"), ("put", "/models/standard"), ("put", "/models/nothing"), ("get", "/tenants"),
    ("post", "/tenants"), ("get", "/operator/audit"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), VENDORS)
def test_owners_of_organisations_may_do_nothing_of_the_vendors(method: str, path: str, cast: Cast, api: Caller) -> None:
    answer = api(cast.ada).request(method, path, None if method == "get" else {})
    assert kind(answer) == (403, "forbidden")


def test_a_session_asks_like_a_key_but_writes_only_with_its_csrf_token(cast: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(email="alice@acme.example"))
    assert browser.get("/api/v1/me").json()["name"] == "Alice"
    forged: Any = browser.put(f"/api/v1{MINE}", {}, content_type="application/json", headers={"If-None-Match": "*"})
    assert kind(forged) == (403, "forbidden")
    forged = browser.post(f"/api/v1{GREETING}/runs", {"input": {"name": "Ann"}}, content_type="application/json")
    assert kind(forged) == (403, "forbidden")
