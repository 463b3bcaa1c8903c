"""Statements that every run makes, each in one round trip, by a few connections that are kept while runs are at work.

A transaction by `tenant_tx` is five round trips for one statement (a connection that is checked, BEGIN, the tenant, the
statement, COMMIT), and each is planned anew. Here the tenant is set and the statement sent in one go, which PostgreSQL
carries out as one transaction: everything up to the Sync message is (https://www.postgresql.org/docs/current/
protocol-flow.html#PROTOCOL-FLOW-PIPELINING). The setting is that transaction's, as in `tenant_tx`, so policies hold and
a pooler in transaction mode may stand between; statements are prepared only where settings say that none does.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tenants.isolation import APP, OPERATOR

Statement = tuple[str, Mapping[str, Any]]
Rows = list[tuple[Any, ...]]

_Cursor: TypeAlias = "psycopg.RawCursor[tuple[Any, ...]]"

_NAMED = re.compile(r"%\((\w+)\)s")
_SET_TENANT = "SELECT set_config('app.tenant', %(tenant)s, true)"


class Trips:
    """So many connections of one role, each used by one caller at a time, given back when nobody is at work."""

    def __init__(self, alias: str, lanes: int) -> None:
        self._lanes = [_Lane(alias) for _ in range(lanes)]
        self._turns = count()
        self._users, self._counting = 0, threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the connections for as long as it lasts; each caller at work does."""
        with self._counting:
            self._users += 1
        try:
            yield
        finally:
            with self._counting:
                self._users -= 1
                nobody = self._users == 0
            for lane in self._lanes if nobody else ():
                with lane.used:
                    lane.give_back()

    def in_tenant(self, tenant_id: UUID, *statements: Statement) -> list[Rows]:
        """Carry out statements in one transaction for a tenant. Returns the rows of each; raises django.db.Error."""
        return self.send((_SET_TENANT, {"tenant": str(tenant_id)}), *statements)[1:]

    def send(self, *statements: Statement) -> list[Rows]:
        """Carry out statements in one transaction. Returns the rows of each; raises django.db.Error."""
        with self.kept():
            lane = next((lane for lane in self._lanes if lane.used.acquire(blocking=False)), None)
            if lane is None:
                lane = self._lanes[next(self._turns) % len(self._lanes)]
                lane.used.acquire()
            try:
                return lane.send(statements)
            finally:
                lane.used.release()


class _Lane:
    """One connection, out of Django's pool where there is one."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._wrapper: BaseDatabaseWrapper | None = None
        self.used = threading.Lock()

    def send(self, statements: tuple[Statement, ...]) -> list[Rows]:
        """As `Trips.send`, once more on a new connection if the kept one has broken: PostgreSQL was started again.

        What was carried out all the same, and only its answer lost, is refused the second time: a call's row is there
        already, an ended run is nobody's.
        """
        kept = self._wrapper is not None
        try:
            return self._send(statements)
        except OperationalError:
            if not kept or not self._broken():
                raise
            self.give_back()
            return self._send(statements)
        finally:
            if self._broken():
                self.give_back()

    def give_back(self) -> None:
        """Give the connection back to the pool, or close it."""
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None and wrapper.connection is not None:
            wrapper.connection.prepare_threshold = settings.PREPARE_AFTER
            wrapper.close()

    def _send(self, statements: tuple[Statement, ...]) -> list[Rows]:
        wrapper = self._open()
        connection: psycopg.Connection[Any] = wrapper.connection
        with wrapper.wrap_database_errors:
            if len(statements) == 1:
                return [_rows(_execute(connection, *statements[0]))]
            with connection.pipeline():
                sent = [_execute(connection, *statement) for statement in statements]
            return [_rows(cursor) for cursor in sent]

    def _open(self) -> BaseDatabaseWrapper:
        if self._wrapper is None:
            wrapper = connections.create_connection(self._alias)
            wrapper.inc_thread_sharing()  # one thread after the other, never two at once
            wrapper.ensure_connection()
            wrapper.connection.prepare_threshold = settings.PREPARE_AFTER and 1
            self._wrapper = wrapper
        return self._wrapper

    def _broken(self) -> bool:
        wrapper = self._wrapper
        return wrapper is not None and (wrapper.connection is None or wrapper.connection.closed)


def _execute(connection: "psycopg.Connection[Any]", statement: str, parameters: Mapping[str, Any]) -> _Cursor:
    text, names = _numbered(statement)
    return psycopg.RawCursor(connection).execute(text, [parameters[name] for name in names])


@cache
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """A statement with PostgreSQL's own $1, $2… and the names that they stand for.

    psycopg keeps that for statements of up to 4,096 characters, and would read a run's end anew each time.
    """
    names = dict.fromkeys(_NAMED.findall(statement))
    places = {name: f"${place}" for place, name in enumerate(names, 1)}
    text = _NAMED.sub(lambda found: places[found[1]], statement).replace("%%", "%")
    return text.encode(), tuple(names)


def _rows(cursor: _Cursor) -> Rows:
    result = cursor.pgresult
    return cursor.fetchall() if result is not None and result.nfields else []


app_trips = Trips(APP, 3)
operator_trips = Trips(OPERATOR, 1)
