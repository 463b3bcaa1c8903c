"""Empties a database between two tests, in milliseconds: what cost each test the most was that all tables were truncated."""

import os
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from backend.local import postgres
from tests.outside import until

KEPT = ["django_migrations", "django_content_type", "auth_permission"]
LITTLE = 32 * 8192  # bytes; a table that has grown beyond is read from end to end by every DELETE
_TABLES = """SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
AND relnamespace = 'public'::regnamespace AND relname <> ALL (%s)"""
_LITTLE = """SELECT bool_and(pg_relation_size(oid) <= %s AND relpages = 0) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> ALL (%s)"""
GIVE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)


def as_superuser(url: str) -> str:
    """The same database as the superuser of the throwaway server, whom no policy binds."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{postgres.SUPERUSER}@").geturl()


def empty(connection: psycopg.Connection) -> None:
    """Leave no row in any table, as the server's superuser in autocommit.

    Small tables are emptied by DELETE, without triggers and foreign keys: 2 ms, where TRUNCATE makes some 250 files
    anew in 60 ms. That comes when a table has grown, or has been analysed: then it forgets the statistics too. Both
    wait for transactions that still write, so nothing of this test arrives in the next.
    """
    names = [name for (name,) in connection.execute(_TABLES, [KEPT])]
    tables = sql.SQL(", ").join(map(sql.Identifier, names))
    row = connection.execute(_LITTLE, [LITTLE, KEPT]).fetchone()
    if row and row[0]:
        deletes = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in names)
        work = sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE; {}").format(tables, deletes)
    else:
        work = sql.SQL("TRUNCATE {}").format(tables)
    connection.execute("SET session_replication_role = replica; SET lock_timeout = '2s'")

    def emptied() -> bool:
        try:
            connection.execute(work)  # several statements sent as one: one transaction
        except GIVE_WAY:
            return False
        return True

    until(emptied, "the tables are emptied")


class Emptying:
    """Empties one database again and again, over a connection that it keeps."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection | None = None

    def __call__(self) -> None:
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True)
        empty(self._connection)

    def close(self) -> None:
        """Let the connection go, as whoever copies the database needs; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


empty_tables = Emptying(as_superuser(os.environ["DATABASE_OWNER_URL"]))  # those of this test process
