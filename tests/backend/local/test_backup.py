"""The restore drill: a real dump into a new database, in which everything is as it was."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from backend.local import backup, environment
from backend.local.dumps import Dump, Unfit, dump, load
from backend.local.roles import make_roles, with_login
from features.actions.overrides import Expected, save_override
from features.actions.pins import pin
from features.resolve import serve
from tenants.actions import create_key
from tenants.catalogue import GLOBAL
from tenants.faults import faults
from tenants.walking import verified
from tests.canaries import tables
from tests.cast import Cast
from tests.processes import ALIASES, as_superuser, led_to

RESTORED = "restored"


@pytest.fixture
def lived_in(cast: Cast) -> Cast:
    """Acme and Globex with something of their own."""
    first = Expected(nothing=True)
    save_override(cast.greet, "tenant", {"set": {"instructions.house": "Be brief."}}, expected=first, by=cast.ada)
    save_override(cast.greet, "user", {"set": {"vars.tone": "warm"}}, expected=first, by=cast.alice)
    save_override(cast.greet, "user", {"set": {"vars.tone": "formal"}}, expected=first, by=cast.mallory)
    pin(cast.greet, "user", kind="snapshot", by=cast.bob)
    return cast


def backup_url() -> str:
    owner = os.environ["DATABASE_OWNER_URL"]
    return with_login(owner, "bespoke_backup", database=urlsplit(owner).path.lstrip("/"))


@pytest.fixture
def elsewhere(committed: None) -> Iterator[dict[str, str]]:
    """Another, empty database on the same server, with its roles: as on a new machine."""
    server = as_superuser(os.environ["DATABASE_OWNER_URL"])
    name = f"{RESTORED}_{urlsplit(server).path.lstrip('/')}"
    urls = make_roles(with_login(server, database="postgres"), name)
    yield dict(zip(ALIASES.values(), (urls.environ()[variable] for variable in ALIASES.values()), strict=True))
    with psycopg.connect(with_login(server, database="postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def digests(cast: Cast) -> dict[str, str]:
    """The effective behavior of everybody, by digest."""
    found = {}
    for actor in cast.everybody():
        with actor.present():
            found[actor.label] = serve(cast.greet, actor.tenant_id, actor.acting_for()).digest
    return found


def contents(url: str) -> dict[str, Any]:
    with psycopg.connect(as_superuser(url), autocommit=True) as db:
        return {
            table: db.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t").fetchone()
            for table in tables(db)
        }


def test_a_restored_database_is_the_one_that_was_backed_up(
    lived_in: Cast, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    before, rows = digests(lived_in), contents(os.environ["DATABASE_OWNER_URL"])
    made = dump(backup_url(), tmp_path / "a.dump")
    owner = elsewhere["DATABASE_OWNER_URL"]
    load(Dump.read(made.file), owner=owner, overwrite=False)
    made.compare(with_login(owner, "bespoke_backup", database=urlsplit(owner).path.lstrip("/")))
    assert contents(owner) == rows
    with led_to(elsewhere):
        assert digests(lived_in) == before
        assert list(faults()) == []
        assert verified(lived_in.ada.tenant_id).whole and verified(None).whole
        call_command("verify_database", "--heads", str(made.heads()))
        create_key(kind="service", name="after", by=lived_in.ada)  # it lives on
        assert verified(lived_in.ada.tenant_id).whole
    with psycopg.connect(as_superuser(owner)) as db:
        forced = db.execute(
            "SELECT bool_and(relrowsecurity AND relforcerowsecurity), count(*) FROM pg_class WHERE relname LIKE 'runs_%%'"
            " AND relkind IN ('r', 'p') AND relname <> ALL(%s)",
            [list(GLOBAL)],
        ).fetchone()
    assert forced is not None and forced[0] and forced[1] > 10


def test_a_full_database_is_not_overwritten_unless_asked_and_a_broken_file_changes_nothing(
    lived_in: Cast, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    made, owner = dump(backup_url(), tmp_path / "a.dump"), elsewhere["DATABASE_OWNER_URL"]
    load(made, owner=owner, overwrite=False)
    with psycopg.connect(owner, autocommit=True) as db:
        db.execute("CREATE TABLE later (id int)")
    before = contents(owner)
    with pytest.raises(Unfit, match="not empty"):
        load(made, owner=owner, overwrite=False)
    whole = made.file.read_bytes()
    made.file.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(Unfit, match="is not what"):
        Dump.read(made.file)
    with pytest.raises(Unfit, match="Nothing was changed"):
        load(made, owner=owner, overwrite=True)
    assert contents(owner) == before
    made.file.write_bytes(whole)
    load(made, owner=owner, overwrite=True)
    assert contents(owner) == contents(os.environ["DATABASE_OWNER_URL"])


def test_what_was_restored_otherwise_is_told(lived_in: Cast, elsewhere: dict[str, str], tmp_path: Path) -> None:
    made, owner = dump(backup_url(), tmp_path / "a.dump"), elsewhere["DATABASE_OWNER_URL"]
    load(made, owner=owner, overwrite=False)
    with psycopg.connect(as_superuser(owner), autocommit=True) as db:
        db.execute("DELETE FROM features_pin")
        db.execute("UPDATE tenants_auditevent SET actor = 'nobody' WHERE sequence = 1")
    with pytest.raises(Unfit, match="features_pin"):
        made.compare(as_superuser(owner))
    with led_to(elsewhere), pytest.raises(CommandError, match="not whole"):
        call_command("verify_database")


def test_only_what_can_be_restored_is_tried(lived_in: Cast, elsewhere: dict[str, str], tmp_path: Path) -> None:
    made, owner = dump(backup_url(), tmp_path / "a.dump"), elsewhere["DATABASE_OWNER_URL"]
    with pytest.raises(Unfit, match="there already"):
        dump(backup_url(), made.file)
    newer = Dump(made.file, {**made.told, "server": 99})
    with pytest.raises(Unfit, match="older one"):
        load(newer, owner=owner, overwrite=False)
    future = Dump(made.file, {**made.told, "migrations": {"tenants": "9999_future"}})
    with pytest.raises(Unfit, match="newer version of Bespoke"):
        load(future, owner=owner, overwrite=False)
    with psycopg.connect(elsewhere["DATABASE_URL"]), pytest.raises(Unfit, match="Stop them"):
        load(made, owner=owner, overwrite=False)
    with pytest.raises(Unfit, match="not a backup"):
        Dump.read(tmp_path / "nothing.dump")


def test_no_role_but_that_of_backups_dumps_every_tenants_rows(lived_in: Cast, tmp_path: Path) -> None:
    """The owner's own policies would leave rows out: it is told so, and no half of a backup is left."""
    with pytest.raises(Unfit, match="bypass"):
        dump(os.environ["DATABASE_OWNER_URL"], tmp_path / "b.dump")
    assert list(tmp_path.iterdir()) == []
    with psycopg.connect(backup_url()) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("DELETE FROM tenants_subject")


def test_both_commands_do_it_all_on_one_machine(
    lived_in: Cast, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a server of one's own into the embedded one, which is started for it, and from there again to a file."""
    connections.close_all()  # nobody serves it
    monkeypatch.setenv("DATABASE_BACKUP_URL", backup_url())
    file, second = place / "first.dump", place / "second.dump"
    assert backup.main(["backup", str(file)]) == 0
    assert backup.main(["backup", str(file)]) == 1 and "there already" in capsys.readouterr().err
    assert backup.main(["restore", str(file)]) == 1 and "not empty" in capsys.readouterr().err
    assert backup.main(["restore"]) == 1 and "FILE=" in capsys.readouterr().err
    for name in ("DATABASE_URL", "DATABASE_OPERATOR_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(backup, "VAR", place)
    monkeypatch.setattr(backup, "LOGS", place / "log")
    monkeypatch.setattr(environment, "RUNNING", place / "environment.json")
    assert backup.main(["backup", str(second)]) == 1 and "is empty" in capsys.readouterr().err
    assert backup.main(["restore", str(file)]) == 0, capsys.readouterr().err
    assert backup.main(["backup", str(second)]) == 0
    first, again = Dump.read(file).told, Dump.read(second).told
    assert (again["tables"], again["heads"]) == (first["tables"], first["heads"]) and sum(first["tables"].values()) > 50
    assert second.stat().st_mode & 0o777 == 0o600
    (place / "environment.json").write_text('{"DATABASE_OWNER_URL": "x"}')
    assert backup.main(["restore", str(file)]) == 1 and "Stop" in capsys.readouterr().err
