"""`python -m backend.local.backup backup|restore [--overwrite] [FILE]`: the whole database to a file, and back.

DATABASE_BACKUP_URL is the login of the role bespoke_backup, which reads every tenant's rows; restoring needs
DATABASE_OWNER_URL. Without DATABASE_URL both mean this checkout's embedded server. Beside FILE stands FILE.json: rows
by table, where each audit chain ends, the migrations and the file's SHA-256, against which a restore is verified.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from backend.local import postgres
from backend.local.dumps import Dump, Unfit, dump, load
from backend.local.environment import given, running_settings, settings_for, with_settled
from backend.local.lock import AlreadyRunning, only_one
from backend.local.paths import LOGS, ROOT, VAR
from backend.local.postgres import PostgresFailed
from backend.local.programs import NotInstalled
from backend.local.roles import DatabaseUrls, database_of, make_roles, with_login

BACKUPS = VAR / "backups"
ROLE = "bespoke_backup"
NOWHERE = "redis://127.0.0.1:1/0"  # verifying asks no broker
FAILED = (Unfit, AlreadyRunning, PostgresFailed, NotInstalled, psycopg.Error)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="backend.local.backup", description=__doc__)
    parser.add_argument("what", choices=["backup", "restore"])
    parser.add_argument("--overwrite", action="store_true", help="restore in place of what is there")
    parser.add_argument("file", nargs="?", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.what == "backup":
            made = backup(options.file or BACKUPS / f"bespoke-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump")
            print(
                f"{made.file}: {made.rows} rows, {made.file.stat().st_size} bytes. Keep BESPOKE_SECRET_KEYS elsewhere."
            )
        elif options.file is None:
            raise Unfit("Say which file: make restore FILE=…")
        else:
            restore(options.file, overwrite=options.overwrite)
            print(f"Restored {options.file} and verified it. Erasures since it was made: see docs/backup.md.")
    except FAILED as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def backup(file: Path) -> Dump:
    """Back the database up to a file that must not be there yet. Raises Unfit and what connecting raises."""
    with _urls() as (_, url):
        return dump(url, file)


def restore(file: Path, *, overwrite: bool) -> None:
    """Restore a file, migrate to this checkout's version, and verify it. Raises Unfit, and then nothing has changed
    unless it says so.
    """
    if not given("DATABASE_URL") and running_settings():
        raise Unfit("Stop `make serve` (or `make demo`) first: a database is not restored under who works on it.")
    with _urls() as (urls, url):
        made = Dump.read(file)
        load(made, owner=urls.owner, overwrite=overwrite)
        environment = with_settled(settings_for(urls, redis_url=NOWHERE, base_url="http://localhost", demo_model=None))
        _manage(environment, "migrate", "--database", "owner", "--no-input", "--verbosity", "0")
        made.compare(url)
        _manage(environment, "verify_database", "--heads", str(made.heads()))


def _manage(environment: dict[str, str], *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise Unfit(f"The file was restored, but `manage.py {command[0]}` fails:\n{done.stderr[-2000:] or done.stdout}")


@contextmanager
def _urls() -> Iterator[tuple[DatabaseUrls, str]]:
    """The roles' URLs and that of backups: as given, of what runs here, or of the embedded server, started for it."""
    if app := given("DATABASE_URL"):
        yield _given(app)
        return
    if running := running_settings():
        owner = running["DATABASE_OWNER_URL"]
        urls = DatabaseUrls(running["DATABASE_URL"], running["DATABASE_OPERATOR_URL"], owner)
        yield urls, with_login(owner, ROLE, database=database_of(owner))
        return
    with only_one(VAR):
        LOGS.mkdir(parents=True, exist_ok=True)
        server = postgres.start(VAR / "postgres", log=LOGS / "postgres.log")
        try:
            urls = make_roles(server.url())
            yield urls, with_login(urls.owner, ROLE, database=database_of(urls.owner))
        finally:
            server.stop()


def _given(app: str) -> tuple[DatabaseUrls, str]:
    operator, owner, url = (given(f"DATABASE_{part}_URL") for part in ("OPERATOR", "OWNER", "BACKUP"))
    if not (operator and owner and url):
        raise Unfit(
            "With DATABASE_URL, also give DATABASE_OPERATOR_URL, DATABASE_OWNER_URL and DATABASE_BACKUP_URL: the logins"
            " of bespoke_operator, bespoke_owner and bespoke_backup (deploy/roles.sql makes them)."
        )
    return DatabaseUrls(app, operator, owner), url


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
