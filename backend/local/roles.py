"""Makes the three database roles on a server that we may administer, and the URLs to connect with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from backend.local.paths import ROOT

ROLES_SQL: Final[Path] = ROOT / "deploy" / "roles.sql"
PARTS: Final = ("app", "operator", "owner")


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """One connection per role; the role is never switched within a connection."""

    app: str
    operator: str
    owner: str

    def environ(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.app,
            "DATABASE_OPERATOR_URL": self.operator,
            "DATABASE_OWNER_URL": self.owner,
        }


def make_roles(
    superuser_url: str,
    database: str = "bespoke",
    *,
    passwords: Mapping[str, str] | None = None,
    owner_may_create_databases: bool = False,
) -> DatabaseUrls:
    """Make the database if it is missing, and in it what deploy/roles.sql says; safe to run again.

    passwords: by part (app, operator, owner); without them the roles get none, which suits a private socket only.
    """
    passwords = passwords or {}
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if not known:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
    settings = {f"bespoke.{part}_password": passwords.get(part, "") for part in PARTS}
    settings["bespoke.owner_may_create_databases"] = "yes" if owner_may_create_databases else ""
    with psycopg.connect(with_login(superuser_url, database=database)) as connection:
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        connection.execute(ROLES_SQL.read_bytes())
    return DatabaseUrls(
        *(with_login(superuser_url, f"bespoke_{part}", passwords.get(part), database=database) for part in PARTS)
    )


def may_make_roles(url: str) -> bool:
    """Whether this login can create roles. Raises psycopg.OperationalError if it cannot even connect."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        found = connection.execute(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    return bool(found and found[0])


def database_of(url: str) -> str:
    """The database that a URL names; empty when it names none."""
    return urlsplit(url).path.lstrip("/")


def with_login(url: str, role: str | None = None, password: str | None = None, *, database: str) -> str:
    """The same server and options, another database and, if a role is given, another login."""
    parts = urlsplit(url)
    login, _, server = parts.netloc.rpartition("@")
    if role is not None:
        login = quote(role, safe="") + (f":{quote(password, safe='')}" if password else "")
    netloc = f"{login}@{server}" if login else server
    # Not urlunsplit: without a host it drops the empty authority that libpq needs before the path.
    return f"{parts.scheme}://{netloc}/{quote(database, safe='')}" + (f"?{parts.query}" if parts.query else "")
