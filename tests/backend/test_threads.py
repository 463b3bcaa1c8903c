"""Doors ask the database in threads that keep their connection, and give back what is not fit to be kept."""

import asyncio
from typing import Any

import pytest
from django.db import DatabaseError, connections

from backend import threads
from backend.threads import in_thread
from tenants.errors import NotFound
from tenants.isolation import APP, OPERATOR, operator_tx, tenant_tx
from tenants.models import Member
from tests.cast import Cast


@pytest.fixture
def one_thread(committed: None, monkeypatch: Any) -> Any:
    """A single thread, as if connections were pooled."""
    monkeypatch.setattr(threads, "_POOL", {"max_size": 2})
    monkeypatch.setattr(threads, "KEPT_SECONDS", 3600.0)
    with threads.ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr(threads, "_THREADS", executor)
        yield
        executor.submit(connections.close_all).result()


def server_process() -> int:
    with connections[APP].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def ask(function: Any) -> Any:
    return asyncio.run(in_thread(function))


def test_a_connection_is_kept_from_one_request_to_the_next(one_thread: None) -> None:
    assert ask(server_process) == ask(server_process)


def test_one_that_failed_or_was_idle_is_given_back(one_thread: None, monkeypatch: Any) -> None:
    def fail() -> None:
        with connections[APP].cursor() as cursor:
            cursor.execute("SELECT nothing_of_that_name")

    first = ask(server_process)
    with pytest.raises(DatabaseError):
        ask(fail)
    second = ask(server_process)
    assert second != first
    monkeypatch.setattr(threads, "KEPT_SECONDS", -1.0)
    assert ask(server_process) != second


def test_nothing_of_a_tenant_and_no_operators_connection_stays_behind(one_thread: None, cast: Cast) -> None:
    def give_up_halfway() -> None:
        with tenant_tx(cast.ada.tenant_id), operator_tx():
            raise NotFound

    with pytest.raises(NotFound):
        ask(give_up_halfway)
    with pytest.raises(DatabaseError, match="no tenant is set"):
        ask(Member.objects.count)
    assert ask(lambda: connections[OPERATOR].connection) is None
