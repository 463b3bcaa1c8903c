"""Migrations do not stop a system that is at work (W8): squawk reads the SQL of each, by the rules of .squawk.toml.

What it cannot see is Python (`RunPython`), so that is a finding by itself. No installation holds data yet, so what was
there before the first release is exempt (BASELINE); the first migration after it is not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections, models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    CreateModel,
    Migration,
    RunPython,
    RunSQL,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from tenants.tables import TenantTable

ROOT = Path(__file__).resolve().parents[2]
SQUAWK = shutil.which("squawk", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
BASELINE = {"tenants": "0011", "features": "0007", "runs": "0016"}
# Findings that are meant: the migration ("runs.0017_names"), the rule, and why it stops nobody.
MEANT: dict[tuple[str, str], str] = {}
PYTHON = "THIS OPERATION CANNOT BE WRITTEN AS SQL"


def findings(sql: str) -> list[str]:
    """The rules that a migration's SQL breaks, in their order; a table that it makes itself nobody waits for."""
    lines = ["" if line in ("BEGIN;", "COMMIT;") else line for line in sql.splitlines()]
    fresh = set(re.findall(r'^CREATE TABLE "?(\w+)', "\n".join(lines), re.MULTILINE))
    assert SQUAWK, "squawk is not installed: `make lock`, then `make test`"
    run = subprocess.run(
        [SQUAWK, "--config", ROOT / ".squawk.toml", "--reporter", "json"],
        input="\n".join(lines), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode in (0, 1), run.stderr
    found = [
        finding["rule_name"] for finding in json.loads(run.stdout)
        if not ((on := re.match(r'ALTER TABLE "?(\w+)', lines[finding["line"]])) and on[1] in fresh)
    ]  # fmt: skip
    return found + ["python"] * sql.count(PYTHON)


def units(loader: MigrationLoader) -> Iterator[list[Migration]]:
    """Migrations after the baseline that are one: a table that is made, and its isolation in the file after it."""
    for app, last in BASELINE.items():
        after = sorted(name for (label, name) in loader.disk_migrations if label == app and name[:4] > last)
        unit: list[Migration] = []
        for migration in (loader.disk_migrations[app, name] for name in after):
            if unit and migration.name[5:] != f"{unit[-1].name[5:]}_isolation":
                yield unit
                unit = []
            unit.append(migration)
        if unit:
            yield unit


def test_no_migration_since_the_baseline_stops_a_system_at_work(committed: None) -> None:
    loader = MigrationLoader(connections["owner"], replace_migrations=False)
    wrong = []
    for unit in units(loader):
        sql = "\n".join(loader.collect_sql([(migration, False) for migration in unit]))
        first = f"{unit[0].app_label}.{unit[0].name}"
        wrong += [f"{first}: {rule}" for rule in findings(sql) if not MEANT.get((first, rule))]
    assert wrong == []


def test_the_baseline_is_of_migrations_that_are_there_and_what_is_meant_is_found() -> None:
    names = MigrationLoader(None).disk_migrations
    for app, number in BASELINE.items():
        assert any(label == app and name.startswith(number) for label, name in names), app
    assert {tuple(migration.split(".")) for migration, _ in MEANT} <= set(names)


def sql_of(*operations: Operation) -> str:
    """What Django would say to PostgreSQL for a migration of these, on top of all that there is."""
    loader = MigrationLoader(connections["owner"], replace_migrations=False)
    migration = Migration("probe", "tenants")
    migration.operations = list(operations)
    state = loader.project_state()
    with connections["owner"].schema_editor(collect_sql=True, atomic=True) as editor:
        migration.apply(state, editor, collect_sql=True)
    return "\n".join(editor.collected_sql)


RANDOM = "ALTER TABLE runs_run ADD COLUMN other uuid NOT NULL DEFAULT gen_random_uuid()"
KEY = "ALTER TABLE runs_run ADD CONSTRAINT k FOREIGN KEY (tenant_id, other) REFERENCES tenants_member (tenant_id, id)"
CHECK = models.CheckConstraint(condition=models.Q(kind__gt=""), name="some_kind")
STOPS: list[tuple[Operation, str]] = [
    (RunSQL(RANDOM), "adding-field-with-default"),
    (RunSQL(KEY), "adding-foreign-key-constraint"),
    (RunSQL("ALTER TABLE runs_run ADD CONSTRAINT c CHECK (place > 0)"), "constraint-missing-not-valid"),
    (RunSQL("CREATE INDEX i ON runs_run (tenant_id, author)"), "require-concurrent-index-creation"),
    (RunSQL("DROP INDEX run_of_batch"), "require-concurrent-index-deletion"),
    (RunSQL("ALTER TABLE runs_run ALTER COLUMN author TYPE text"), "changing-column-type"),
    (RunSQL("ALTER TABLE runs_run ALTER COLUMN batch SET NOT NULL"), "adding-not-nullable-field"),
    (RunSQL("ALTER TABLE runs_run DROP COLUMN batch"), "ban-drop-column"),
    (RunSQL("ALTER TABLE runs_run RENAME COLUMN batch TO other"), "renaming-column"),
    (RunPython(RunPython.noop), "python"),
    (AddConstraint("Subject", CHECK), "constraint-missing-not-valid"),
    (AddField("Subject", "of", models.ForeignKey("tenants.User", models.CASCADE, null=True)), "adding-foreign-key-constraint"),
    (AddIndex("Subject", models.Index(fields=["kind"], name="by_kind")), "require-concurrent-index-creation"),
    (AlterField("Subject", "kind", models.IntegerField()), "changing-column-type"),
    (AddField("Subject", "note", models.TextField(default="")), "ban-drop-default"),  # old code would write no value
]  # fmt: skip


@pytest.mark.parametrize(("operation", "rule"), STOPS, ids=[rule for _, rule in STOPS])
def test_what_would_stop_it_is_found(operation: Operation, rule: str, committed: None) -> None:
    assert rule in findings(sql_of(operation))


NEW = CreateModel("New", [("id", models.UUIDField(primary_key=True)), ("kind", models.TextField())])
OF_TENANT = models.ForeignKey("tenants.Tenant", models.CASCADE, db_constraint=False)
GOES_ON: list[list[Operation]] = [
    [RunSQL(KEY + " NOT VALID")],
    [RunSQL("ALTER TABLE runs_run ADD COLUMN other uuid NULL")],
    [AddField("Subject", "note", models.TextField(db_default=""))],
    [
        NEW,
        AddField("New", "tenant", OF_TENANT),
        AddField("New", "user", models.ForeignKey("tenants.User", models.CASCADE)),
        AddIndex("New", models.Index(fields=["kind"], name="new_kind")),
        TenantTable("New"),
    ],
]


@pytest.mark.parametrize("operations", GOES_ON, ids=["not valid", "empty column", "default kept", "new table"])
def test_what_stops_nobody_passes(operations: list[Operation], committed: None) -> None:
    assert findings(sql_of(*operations)) == []


def test_a_migration_waits_two_seconds_for_a_lock_and_then_lets_everybody_through(committed: None) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("2s",)


@pytest.mark.parametrize("timeout", ["0", "1min"])
def test_migrations_refuse_a_connection_on_which_they_would_wait_for_ever(timeout: str, committed: None) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [timeout])
    with pytest.raises(ImproperlyConfigured, match="lock_timeout"):
        call_command("migrate", database="owner", verbosity=0)
    connections["owner"].close()
