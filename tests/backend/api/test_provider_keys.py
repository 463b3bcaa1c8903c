"""A customer's own provider key: who may enter it, what is shown of it, and where it never turns up."""

import hashlib
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from prometheus_client import generate_latest

from features.runs.accept import accept
from tenants.valkey import client as valkey
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.working import look

from .acts import kind, problems
from .conftest import Caller

KEY = "sk-CANARY-of-acme-0123456789"
BODY = {"provider": "demo", "name": "ours", "key": KEY}
DOOR = "/provider-keys"


def test_ada_enters_a_key_and_sees_only_enough_to_know_it_again(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post(DOOR, BODY)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["last_four"], shown["state"], shown["base_url"]) == ("6789", "live", None)
    assert shown["fingerprint"] == hashlib.sha256(KEY.encode()).hexdigest()[:8]
    [listed] = api(cast.ada).get(DOOR).json()["items"]
    assert listed == shown and "CANARY" not in made.content.decode()


def test_revoking_it_leaves_it_in_the_list(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post(DOOR, BODY).json()
    assert api(cast.ada).delete(f"{DOOR}/{made['id']}").status_code == 204
    [shown] = api(cast.ada).get(DOOR).json()["items"]
    assert shown["state"] == "revoked" and shown["revoked"] is not None


def test_a_key_under_a_lost_key_says_so(cast: Cast, api: Caller, settings: Any) -> None:
    api(cast.ada).post(DOOR, BODY)
    settings.SECRET_RING = {"another": b"x" * 32}
    [shown] = api(cast.ada).get(DOOR).json()["items"]
    assert shown["state"] == "unreadable"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"provider": "nobody"}, "/provider"), ({"key": "short"}, "/key"), ({"key": "sk-with a space-00000"}, "/key"),
        ({"key": "sk-with-a-line\n-00000"}, "/key"), ({"key": "sk-ключ-0000000000000"}, "/key"), ({"key": 7}, "/key"),
        ({"key": ""}, "/key"), ({"key": "x" * 501}, "/key"), ({"name": ""}, "/name"),
        ({"base_url": "http://example.com/v1"}, "/base_url"), ({"base_url": "https://127.0.0.1/v1"}, "/base_url"),
        ({"base_url": "https://[::ffff:169.254.169.254]/"}, "/base_url"),
        ({"base_url": "https://user:pw@example.com/v1"}, "/base_url"), ({"base_url": "https://x.example/?a=b"}, "/base_url"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_key_is_refused_by_name_and_not_repeated(
    change: dict[str, Any], pointer: str, cast: Cast, api: Caller
) -> None:
    answer = api(cast.ada).post(DOOR, {**BODY, **change})
    assert kind(answer) == (422, "invalid") and {place for place, _ in problems(answer)} == {pointer}
    assert "sk-" not in answer.content.decode()
    assert api(cast.ada).get(DOOR).json()["items"] == []


def test_there_are_so_many_and_no_more(cast: Cast, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.provider_keys.MOST", 1)
    assert api(cast.ada).post(DOOR, BODY).status_code == 201
    assert kind(api(cast.ada).post(DOOR, BODY)) == (409, "conflict")


def test_it_leaves_audit_rows_without_the_key(cast: Cast, api: Caller) -> None:
    made = api(cast.ada).post(DOOR, BODY).json()
    api(cast.ada).delete(f"{DOOR}/{made['id']}")
    rows = [row for row in api(cast.ada).get("/audit").json()["items"] if row["verb"] == "provider_key.manage"]
    assert [row["target"].partition(":")[0] for row in rows] == ["providerkey", "tenant"]
    assert rows[1]["detail"] == {"key": made["id"], "provider": "demo", "own_endpoint": False}


def test_it_is_nowhere_in_the_clear(
    cast: Cast, api: Caller, model: FakeModel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entered, used, refused and failed: not in any column of any table, in Valkey, in logs or in answers."""
    caplog.set_level("DEBUG")
    said = [api(cast.ada).post(DOOR, BODY).content]
    model.script(Answer('{"greeting": "Hi"}'), Answer(status=401), Answer(status=500), Answer(raw=b"data: {oops\n\n"))
    for name in ("a", "b", "c", "d"):
        run_id = accept(cast.greet, {"name": name}, by=cast.alice).run_id
        look()
        said.append(api(cast.alice).get(f"/runs/{run_id}").content)
    monkeypatch.setattr("backend.api.provider_keys._json", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        api(cast.ada).post(DOOR, {**BODY, "name": "broken"})
    broken = Client(raise_request_exception=False).post(
        f"/api/v1{DOOR}", {**BODY, "name": "broken again"}, content_type="application/json",
        headers={"Authorization": f"Bearer {cast.key(cast.ada)}"},
    )  # fmt: skip
    assert broken.status_code == 500
    said += [broken.content, generate_latest()]
    assert KEY in model.keys
    valkey.config_set("rdbcompression", "no")  # or a word in what is dumped could be folded away
    said.append(api(cast.ada).get("/audit").content)
    said += [valkey.dump(key) or b"" for key in valkey.scan_iter()]
    assert b"CANARY" not in b"".join(said)
    assert "CANARY" not in caplog.text
    assert rows_with("CANARY") == []


def rows_with(canary: str) -> list[str]:
    """The tables that hold a word, whoever's rows they are."""
    found = []
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT relname, relforcerowsecurity FROM pg_class WHERE relkind IN ('r', 'p')"
                       " AND relnamespace = 'public'::regnamespace AND NOT relispartition")  # fmt: skip
        for table, forced in cursor.fetchall():
            if forced:
                cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{canary}%"])
            if cursor.fetchone()[0]:
                found.append(table)
            if forced:
                cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    return found


def test_operators_have_no_grant_on_it(committed: None) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT has_any_column_privilege('bespoke_operator', 'tenants_providerkey', 'SELECT')")
        assert cursor.fetchone() == (False,)
        cursor.execute("SELECT has_column_privilege('bespoke_app', 'tenants_providerkey', 'base_url', 'UPDATE')")
        assert cursor.fetchone() == (False,)  # a key entered for one endpoint never goes to another
