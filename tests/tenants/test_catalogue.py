"""What the database really holds: every table classified, every tenant's table protected, every mutant caught."""

from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from tenants.catalogue import GLOBAL, faults, models_of_tenants, refuse_unsafe, tenant_tables

pytestmark = pytest.mark.usefixtures("committed")


def owner(statement: str) -> list[Any]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_database_that_migrations_make_keeps_tenants_apart() -> None:
    assert list(faults()) == []
    refuse_unsafe()


def test_every_table_of_a_model_is_a_tenants_or_global_with_a_reason() -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    assert tables - tenant_tables() - GLOBAL.keys() == set()
    assert all(GLOBAL.values())


@pytest.mark.parametrize(
    ("mutant", "back", "told"),
    [
        ("ALTER TABLE runs_run NO FORCE ROW LEVEL SECURITY", "ALTER TABLE runs_run FORCE ROW LEVEL SECURITY", "runs_run"),
        ("ALTER TABLE runs_run_default DISABLE ROW LEVEL SECURITY",
         "ALTER TABLE runs_run_default ENABLE ROW LEVEL SECURITY", "runs_run_default"),
        ("CREATE TABLE forgotten (id int)", "DROP TABLE forgotten", "forgotten is neither"),
        ("CREATE VIEW peephole AS SELECT * FROM tenants_member", "DROP VIEW peephole", "peephole is neither"),
        ("GRANT TRUNCATE ON runs_ledger TO bespoke_app", "REVOKE TRUNCATE ON runs_ledger FROM bespoke_app", "may do more"),
        ("CREATE POLICY open ON runs_run FOR SELECT USING (true)", "DROP POLICY open ON runs_run", "PUBLIC"),
        ("CREATE FUNCTION peep() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "DROP FUNCTION peep()", "peep"),
        ("GRANT EXECUTE ON FUNCTION make_partition TO bespoke_app",
         "REVOKE EXECUTE ON FUNCTION make_partition FROM bespoke_app", "make_partition"),
        ("GRANT CREATE ON SCHEMA public TO bespoke_app", "REVOKE CREATE ON SCHEMA public FROM bespoke_app", "may create"),
    ],
)  # fmt: skip
def test_a_table_left_open_stops_the_boot(mutant: str, back: str, told: str) -> None:
    owner(mutant)
    try:
        with pytest.raises(ImproperlyConfigured, match=told):
            refuse_unsafe()
    finally:
        owner(back)
    assert list(faults()) == []


def test_a_process_on_the_owners_connection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenants import isolation

    monkeypatch.setitem(isolation.ROLES, "default", "bespoke_operator")
    assert any("it must be bespoke_operator" in fault for fault in faults())


def test_policies_are_for_one_role_each_and_the_apps_are_never_open() -> None:
    rows = owner("SELECT tablename, roles::text[], qual, with_check, cmd FROM pg_policies WHERE schemaname = 'public'")
    assert {row[0] for row in rows} == tenant_tables()
    for table, roles, using, check, command in rows:
        assert len(roles) == 1 and roles[0] in ("bespoke_app", "bespoke_operator"), table
        if roles == ["bespoke_app"]:
            assert using != "true" and ("app_tenant" in using or "app_user" in using), table
            assert command == "SELECT" or "app_tenant" in check, table


def test_keys_between_tenants_tables_begin_with_the_tenant() -> None:
    tables = tuple(tenant_tables() - {"tenants_tenant"})
    rows = owner(
        "SELECT c.conrelid::regclass::text, c.contype, c.conname,"
        " (SELECT attname FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = c.conkey[1]),"
        " c.confrelid::regclass::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        f" WHERE t.relname IN {tables} AND c.contype IN ('p', 'u', 'f', 'x')"
    )
    assert len(rows) > 20
    wrong = [row for row in rows if row[3] != "tenant_id" and not (row[1] == "f" and row[4] in GLOBAL)]
    assert wrong == []


def test_the_operator_cannot_read_content() -> None:
    hidden = {
        "runs_run": {"input", "output", "error", "feedback"},
        "features_override": {"operations", "rules", "message"},
    }
    for table, columns in hidden.items():
        readable = {row[0] for row in owner(
            f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
            f" AND has_column_privilege('bespoke_operator', attrelid, attnum, 'SELECT')")}  # fmt: skip
        assert readable & columns == set(), table
        assert "tenant_id" in readable


def test_the_app_can_do_nothing_but_read_and_write_rows() -> None:
    rows = owner(
        "SELECT DISTINCT privilege_type FROM information_schema.role_table_grants WHERE grantee = 'bespoke_app'"
    )
    assert {row[0] for row in rows} <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    only_added = owner("SELECT privilege_type FROM information_schema.role_table_grants"
                       " WHERE grantee = 'bespoke_app' AND table_name = 'tenants_auditevent'")  # fmt: skip
    assert {row[0] for row in only_added} == {"SELECT", "INSERT"}


def test_every_tenants_model_is_listed_for_those_who_walk_them() -> None:
    assert {model.__name__ for model in models_of_tenants()} >= {"Run", "Override", "Pin", "Member", "ApiKey", "Tenant"}
