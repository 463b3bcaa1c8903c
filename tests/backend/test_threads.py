"""Doors ask the database in threads that keep their connection, and give back what is not fit to be kept."""

import asyncio
from typing import Any

import pytest
from django.db import DatabaseError, connections

from backend import threads
from backend.threads import in_thread
from tenants.isolation import APP, OPERATOR, tenant_tx
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
            cursor.execute("SELECT 1 / 0")

    first = ask(server_process)
    with pytest.raises(DatabaseError):
        ask(fail)
    second = ask(server_process)
    assert second != first
    monkeypatch.setattr(threads, "KEPT_SECONDS", -1.0)
    assert ask(server_process) != second


def test_nothing_of_a_tenant_and_no_operators_connection_stays_behind(one_thread: None, cast: Cast) -> None:
    def leave_it_open() -> None:
        tenant_tx(cast.ada.tenant_id).__enter__()
        connections[OPERATOR].ensure_connection()

    ask(leave_it_open)
    assert ask(lambda: [connections[alias].connection for alias in (APP, OPERATOR)]) == [None, None]
