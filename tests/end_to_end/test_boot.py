"""Processes that refuse to start, and say why, on a database that would not keep tenants apart."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from backend.local.web import listen
from tests.processes import Program, Stack, copy_database, other_database

START: dict[str, Callable[[Stack, int], list[str]]] = {
    "web": lambda _, fd: [sys.executable, "-m", "backend.local.web", str(fd)],
    "uvicorn": lambda _, fd: [sys.executable, "-m", "uvicorn", "backend.asgi:application", "--fd", str(fd)],
    "worker": lambda _, fd: [sys.executable, "-m", "celery", "-A", "backend", "worker", "--pool", "threads"],
}


def refused(stack: Stack, what: str, **environment: str) -> str:
    """Start a process that must end by itself with a status that is no success; return what it said."""
    with listen(0, None) as socket:
        program = Program(f"refused-{what}", START[what](stack, socket.fileno()), stack, socket.fileno())
        program.log.unlink(missing_ok=True)
        try:
            assert program.start(**environment).ended(30) not in (0, None)
        finally:
            program.kill()
    return program.said()


@pytest.mark.parametrize("what", START)
def test_nothing_starts_as_the_wrong_role(what: str, stack: Stack) -> None:
    said = refused(stack, what, DATABASE_URL=stack.environment["DATABASE_OPERATOR_URL"])
    assert "This database would not keep tenants apart" in said
    assert "connection is bespoke_operator; it must be bespoke_app" in said


@pytest.fixture
def unprotected(stack: Stack, django_db_setup: None) -> Iterator[dict[str, str]]:
    """A database of its own in which somebody has opened one table."""
    name = f"{stack.rows('SELECT current_database()')[0][0]}_open"
    with_own_name = {n: other_database(stack.environment[n], name) for n in os.environ if n.startswith("DATABASE_")}
    copy_database(name)
    with psycopg.connect(with_own_name["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("ALTER TABLE features_override NO FORCE ROW LEVEL SECURITY")
    yield with_own_name
    with psycopg.connect(stack.environment["TEST_SUPERUSER_URL"], autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("what", ["web", "worker"])
def test_nothing_starts_on_a_table_that_somebody_opened(what: str, stack: Stack, unprotected: dict[str, Any]) -> None:
    said = refused(stack, what, **unprotected)
    assert "row level security is not enabled and forced on features_override" in said
