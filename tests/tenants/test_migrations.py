"""Migrations that cannot lie: what would silently touch no rows, or accept rows that break it, fails loudly (W8)."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connections, transaction

from features.actions.overrides import ANY, save_operation
from features.runs.accept import accept
from tenants.faults import faults_of_database
from tenants.tables import tenant_rows
from tests.cast import Cast

COLUMN = "ALTER TABLE tenants_apikey ADD COLUMN other uuid NOT NULL DEFAULT gen_random_uuid()"
KEY = (
    "ALTER TABLE tenants_apikey ADD CONSTRAINT other_of_tenant"
    " FOREIGN KEY (tenant_id, other) REFERENCES tenants_member (tenant_id, id)"
)
VALIDATE = "ALTER TABLE tenants_apikey VALIDATE CONSTRAINT other_of_tenant"


@pytest.fixture
def editor(cast: Cast) -> Iterator[Any]:
    """The owner's schema editor in a migration's transaction, over both tenants' rows; rolled back."""
    cast.key(cast.alice), cast.key(cast.mallory)
    with transaction.atomic(using="owner"), connections["owner"].schema_editor(atomic=False) as editor:
        editor.deferred_sql = []
        yield editor
        transaction.set_rollback(True, using="owner")


def count(editor: Any, table: str, where: str = "true") -> tuple[int, int]:
    """How many rows of how many tenants."""
    with editor.connection.cursor() as cursor, tenant_rows(editor, table):
        cursor.execute(
            f"SELECT count(*), count(DISTINCT {'id' if table == 'tenants_tenant' else 'tenant_id'}) FROM {table} WHERE {where}"
        )
        found: tuple[int, int] = cursor.fetchone()
        return found


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE tenants_subject SET kind = 'external'"],
        ["DELETE FROM tenants_subject"],
        ["INSERT INTO tenants_subject SELECT gen_random_uuid(), kind, key || '2', now(), tenant_id FROM tenants_subject"],
        ["CREATE TABLE copy AS SELECT * FROM tenants_subject"],
        ["UPDATE tenants_user SET name = '' WHERE id IN (SELECT user_id FROM tenants_member)"],
        [COLUMN, KEY],
        [COLUMN, KEY + " NOT VALID", VALIDATE],
    ],
)  # fmt: skip
def test_what_the_owner_would_do_to_rows_that_it_does_not_see_raises(statements: list[str], editor: Any) -> None:
    *first, last = statements
    for statement in first:
        editor.execute(statement)
    with pytest.raises(DatabaseError, match="query would be affected by row-level security policy"):
        editor.execute(last)


def test_a_backfill_reaches_every_tenants_rows_of_a_table_opened_for_it(editor: Any, cast: Cast) -> None:
    for who in (cast.alice, cast.mallory):
        accept(cast.greet, {"name": "Ann"}, by=who)
    for table, backfill in (
        ("tenants_subject", "kind = 'external'"),
        ("runs_run", "author = 'somebody'"),  # partitioned
        ("tenants_tenant", "name = 'x'"),
    ):
        with tenant_rows(editor, table):
            editor.execute(f"UPDATE {table} SET {backfill}")
        assert count(editor, table, backfill)[1] == 2, table


def test_overrides_that_were_there_before_say_which_aliases_they_name(editor: Any, cast: Cast) -> None:
    save_operation(cast.greet, "tenant", "model.fallbacks", {"set": ["standard"]}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "instructions.role", {"set": "model.name"}, expected=ANY, by=cast.alice)
    save_operation(cast.greet, "tenant", "model.name", {"set": "standard"}, expected=ANY, by=cast.gus)
    with tenant_rows(editor, "features_override"):
        editor.execute("UPDATE features_override SET aliases = '[]'")
    import_module("features.migrations.0007_override_aliases").fill(apps, editor)
    assert count(editor, "features_override", """aliases = '["standard"]'""") == (2, 2)
    assert count(editor, "features_override", "aliases = '[]'") == (1, 1)


def test_a_foreign_key_over_rows_that_break_it_is_refused_and_over_good_ones_made(editor: Any) -> None:
    editor.execute(COLUMN)
    for statements in ([KEY], [KEY + " NOT VALID", VALIDATE]):
        with (
            pytest.raises(IntegrityError, match="other_of_tenant"),
            transaction.atomic(using="owner"),
            tenant_rows(editor, "tenants_apikey"),
            tenant_rows(editor, "tenants_member"),
        ):
            for statement in statements:
                editor.execute(statement)
    with tenant_rows(editor, "tenants_apikey"), tenant_rows(editor, "tenants_member"):
        editor.execute("DELETE FROM tenants_apikey WHERE member_id IS NULL")
        editor.execute("UPDATE tenants_apikey SET other = member_id")
        editor.execute(KEY)
    assert count(editor, "tenants_apikey", "other = member_id") == (2, 2)


def test_rows_whose_keys_are_checked_at_commit_do_not_keep_the_table_open(editor: Any) -> None:
    copied = "INSERT INTO tenants_member (tenant_id, id, user_id, role) SELECT s.tenant_id, s.id, u.id, 'viewer'" \
             " FROM tenants_subject s, (SELECT id FROM tenants_user WHERE email = 'operator@bespoke.example') u WHERE s.kind = 'tenant'"  # fmt: skip
    with tenant_rows(editor, "tenants_subject"), tenant_rows(editor, "tenants_member"):
        editor.execute(copied)
    with editor.connection.cursor() as cursor:
        assert list(faults_of_database(cursor)) == []


def test_a_table_opened_is_closed_again_whatever_happens(editor: Any) -> None:
    def forced() -> bool:
        with editor.connection.cursor() as cursor:
            cursor.execute("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'tenants_subject'")
            return bool(cursor.fetchone()[0])

    with tenant_rows(editor, "tenants_subject"):
        assert not forced()
    assert forced()
    with (
        pytest.raises(DatabaseError, match="division by zero"),  # in its own words
        transaction.atomic(using="owner"),
        tenant_rows(editor, "tenants_subject"),
    ):
        editor.execute("SELECT 1 / 0")
    assert forced()


def test_outside_a_transaction_no_table_is_opened(committed: None) -> None:
    with (
        connections["owner"].schema_editor(atomic=False) as editor,
        pytest.raises(RuntimeError, match="must be atomic"),
        tenant_rows(editor, "tenants_subject"),
    ):
        raise AssertionError("it was opened")


@pytest.mark.parametrize("alias", ["owner", "default"])
def test_migrations_refuse_a_connection_on_which_they_would_lie(alias: str, committed: None) -> None:
    """As behind a pooler that drops `options`, or as the app: with row security on, all of the above is accepted."""
    if alias == "owner":
        with connections["owner"].cursor() as cursor:
            cursor.execute("SET row_security = on")
    with pytest.raises(ImproperlyConfigured, match="row_security=off"):
        call_command("migrate", database=alias, verbosity=0)
    connections["owner"].close()
    call_command("migrate", database="owner", verbosity=0)
