"""Statements in one round trip: a tenant's own transaction each, on connections that may break and are given back."""

import threading
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import Error, connections

from features.runs.events import hear, stream_key, tell
from features.runs.trips import app_trips
from tenants import valkey
from tests.cast import Cast
from tests.outside import until

MINE = ("SELECT count(*) FROM tenants_subject", {})
MAKE = "INSERT INTO tenants_subject (id, tenant_id, key, kind) VALUES (%(id)s, %(tenant)s, %(key)s, 'external')"


def test_a_trip_sees_its_tenants_rows_and_no_others(cast: Cast) -> None:
    acme, globex = cast.alice.tenant_id, cast.mallory.tenant_id
    with app_trips.kept():
        tenants = [
            app_trips.in_tenant(who, ("SELECT DISTINCT tenant_id FROM tenants_subject", {})) for who in (acme, globex)
        ]
        assert tenants == [[[(acme,)]], [[(globex,)]]]
        with pytest.raises(Error, match="tenant"):  # the setting was that transaction's alone
            app_trips.send(MINE)


def test_the_statements_of_a_trip_are_carried_out_all_or_none(cast: Cast) -> None:
    tenant = cast.alice.tenant_id
    [[(before,)]] = app_trips.in_tenant(tenant, MINE)
    row = {"id": uuid4(), "tenant": tenant, "key": "somebody"}
    with pytest.raises(Error):
        app_trips.in_tenant(tenant, (MAKE, row), ("SELECT 1/0", {}))
    assert app_trips.in_tenant(tenant, MINE) == [[(before,)]]
    app_trips.in_tenant(tenant, (MAKE, row))
    assert app_trips.in_tenant(tenant, MINE) == [[(before + 1,)]]


def test_a_statement_on_partitions_is_planned_once(cast: Cast, settings: Any) -> None:
    """PostgreSQL would find a plan for each value's own partition cheaper, and make it anew each time."""
    settings.PREPARE_AFTER = 2
    find = "UPDATE runs_run SET author = author WHERE tenant_id = %(tenant)s AND id = %(run)s"
    plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'UPDATE runs_run%%'"
    with app_trips.kept():
        for _ in range(8):
            app_trips.in_tenant(cast.alice.tenant_id, (find, {"tenant": cast.alice.tenant_id, "run": uuid4()}))
        [[(generic, custom)]] = app_trips.send((plans, {}))
    assert generic >= 6
    assert custom == 0


def test_a_connection_that_broke_meanwhile_is_replaced(cast: Cast) -> None:
    with app_trips.kept():
        [[(backend,)]] = app_trips.send(("SELECT pg_backend_pid()", {}))
        with connections["owner"].cursor() as cursor, psycopg.connect(_superuser(), autocommit=True) as server:
            cursor.execute("SELECT 1")
            server.execute("SELECT pg_terminate_backend(%s)", [backend])
            gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
            until(lambda: server.execute(gone, [backend]).fetchone() == (0,), "it is gone")
        [[(another,)]] = app_trips.send(("SELECT pg_backend_pid()", {}))
    assert another != backend


def test_connections_are_given_back_when_the_last_is_done(cast: Cast) -> None:
    with app_trips.kept():
        [[(backend,)]] = app_trips.send(("SELECT pg_backend_pid()", {}))
        with app_trips.kept():
            pass
        assert app_trips.send(("SELECT pg_backend_pid()", {})) == [[(backend,)]]
    with psycopg.connect(_superuser(), autocommit=True) as server:
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        until(lambda: server.execute(gone, [backend]).fetchone() == (0,), "it is closed")


def test_pieces_of_text_that_follow_each_other_are_one_event_and_all_stays_in_order(cast: Cast) -> None:
    tenant, run = cast.alice.tenant_id, uuid4()
    tell(tenant, run, "started", id=str(run))
    for number in range(50):
        hear(tenant, run, f"{number} ", first=number == 0)
    tell(tenant, run, "repair", id=str(run))
    tell(tenant, run, "done", id=str(run))

    def told() -> list[tuple[bytes, bytes]]:
        rows = valkey.client.xrange(stream_key(tenant, run))
        return [(fields[b"event"], fields[b"data"]) for _, fields in rows]

    until(lambda: told() and told()[-1][0] == b"done", "all is told")
    names, texts = [name for name, _ in told()], [data for name, data in told() if name == b"delta"]
    assert (names[0], names[-2:]) == (b"started", [b"repair", b"done"]) and set(names[1:-2]) == {b"delta"}
    assert "".join(map(_text, texts)) == "".join(f"{number} " for number in range(50))
    assert len(texts) < 25


def test_many_threads_tell_and_nothing_is_left_unsaid(cast: Cast) -> None:
    tenant, runs = cast.alice.tenant_id, [uuid4() for _ in range(8)]

    def talk(run: object) -> None:
        for number in range(20):
            tell(tenant, run, "queued", number=number)  # type: ignore[arg-type]

    threads = [threading.Thread(target=talk, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: [valkey.client.xlen(stream_key(tenant, run)) for run in runs] == [20] * 8, "all of it is there")


def _text(data: bytes) -> str:
    import json

    return str(json.loads(data)["text"])


def _superuser() -> str:
    import os

    from tests.processes import as_superuser

    return as_superuser(os.environ["DATABASE_OWNER_URL"])
