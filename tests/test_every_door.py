"""Every address, as those whom one thing alone keeps out: an operator who only reads, and an organisation that is shut.

Both walk the table of every address (tests/test_isolation.py), so that a new one is tried too.
"""

import pytest
from django.test import Client

from tenants.isolation import OPERATOR, operator_tx
from tenants.models import User, VendorAuditEvent
from tenants.records import registry
from tests.backend.api.test_operators import hire
from tests.cast import Cast
from tests.conftest import Knock
from tests.test_isolation import RANDOM, TABLE, THIRD_PARTY, Alice, Row, alice  # noqa: F401  # a fixture

SAFE = {"get", "head", "options"}
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"

# What somebody of the vendor who only reads may send all the same: what is theirs alone, and what changes nothing.
THEIR_OWN = {
    "/api/v1/operator/keys", f"/api/v1/operator/keys/{RANDOM}", f"/api/v1/operator/keys/{RANDOM}/rotate",
    "/api/v1/features/greet/impact", "/vendor/f/greet/impacts", "/me", "/switch", "/join/bsi_nothing",
}  # fmt: skip


def writes() -> list[Row]:
    """One row for each method and path that is not for looking."""
    every = [row for route, rows in TABLE.items() for row in rows if not route.startswith(THIRD_PARTY)]
    return [row for row in every if row.method not in SAFE]


@pytest.fixture
def reader(alice: Alice) -> Alice:  # noqa: F811
    """An operator of the role `read`, by key and in a browser, as one more who asks."""
    alice.keys["reader"] = hire("rea", "read")[1].headers["Authorization"].removeprefix("Bearer ")
    browser = alice.browsers["reader"] = Client()
    browser.force_login(User.objects.get(email="rea@bespoke.example"), backend=BACKEND)
    return alice


def test_an_operator_who_only_reads_writes_at_no_address(reader: Alice) -> None:
    with operator_tx():
        before = VendorAuditEvent.objects.using(OPERATOR).count()
    tried, wrong = 0, []
    for row in writes():
        if row.path in THEIR_OWN:
            continue
        tried += 1
        answer = reader.ask("reader", row, reader.ids)
        sent_away = answer.status_code == 302 and answer["Location"] == "/vendor/features"
        if answer.status_code not in (403, 404) and not sent_away:
            wrong.append((row.method, row.path, answer.status_code))
    assert (wrong, tried > 100) == ([], True)
    with operator_tx():
        assert VendorAuditEvent.objects.using(OPERATOR).count() == before
    assert reader.state() == reader.before


# What an organisation that is shut still has, for its owners and admins (docs/privacy.md), and what is no one's in it.
OPEN = {
    "api/v1/export", "api/v1/export/<id:export_id>", "api/v1/export/<id:export_id>/download",
    "api/v1/subjects/<str:subject>/erase", "org/data", "switch", "join/<str:text>", "readyz",
}  # fmt: skip
FOR_ALL = {"api/v1/openapi.json", "api/v1/docs", "api/v1/docs.js", "errors/<slug:name>", "healthz", "metrics"}


@pytest.fixture
def shut(alice: Alice) -> Alice:  # noqa: F811
    """Acme, shut by the vendor, with the keys and browsers that its people had before."""
    cast = alice.cast
    alice.keys |= {name: cast.key(getattr(cast, name)) for name in ("ada", "alice")}
    for name in ("ada", "alice"):
        alice.browsers[name] = Client()
        alice.browsers[name].force_login(User.objects.get(email=f"{name}@acme.example"), backend=BACKEND)
    body = {"state": "suspended", "reason": "Unpaid."}
    assert Knock(cast.key(cast.operator), {}).patch("/tenants/acme", body).status_code == 200
    return alice


def rows_of(cast: Cast) -> dict[str, int]:
    """How many rows each table of Acme has, the audit's for those that only look among them."""
    with cast.ada.present():
        return {
            one.table: one.model._base_manager.filter(**{one.tenant: cast.ada.tenant_id}).count() for one in registry()
        }


@pytest.mark.parametrize("who", ["alice", "software"])
def test_nobody_but_its_admins_gets_anything_of_what_is_shut(who: str, shut: Alice) -> None:
    before, wrong = rows_of(shut.cast), []
    for route, rows in TABLE.items():
        if (
            route in FOR_ALL | OPEN - {"org/data"}
            and not route.startswith("api/v1/export")
            or route.startswith(THIRD_PARTY)
        ):
            continue
        for row in rows:
            if who == "software" and not row.path.startswith("/api/"):
                continue  # a browser without a session
            answer = shut.ask(who, row, shut.ids)
            if answer.status_code != 403 or b"CANARY" in answer.content:
                wrong.append((row.method, row.path, answer.status_code))
    assert wrong == []
    assert rows_of(shut.cast) == before


def test_its_admins_look_and_change_nothing_at_any_address(shut: Alice) -> None:
    before, tried, wrong = rows_of(shut.cast), 0, []
    for route, rows in TABLE.items():
        for row in rows:
            if row.method in SAFE or route in OPEN or route.startswith(THIRD_PARTY):
                continue
            tried += 1
            answer = shut.ask("ada", row, shut.ids)
            if answer.status_code != 403:
                wrong.append((row.method, row.path, answer.status_code))
    assert (wrong, tried > 100) == ([], True)
    assert rows_of(shut.cast) == before
