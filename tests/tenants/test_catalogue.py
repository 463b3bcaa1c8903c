"""What the database really holds: every table classified, every tenant's table protected, and every mutant caught."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from tenants import faults as checks
from tenants import isolation
from tenants.catalogue import GLOBAL, models_of_tenants, tenant_tables
from tenants.faults import faults, faults_of_database, faults_of_role, refuse_unsafe
from tests.processes import as_superuser

APPS, OPERATORS = "bespoke_app", "bespoke_operator"

# Indexes that are not led by the tenant. They are of the operator's housekeeping, which goes over all tenants, or of
# the login that asks for its memberships; none is unique, so none tells anything of another's rows.
ACROSS = {
    "batch_open": "batches that may have ended, whosever",
    "erasure_open": "erasures that wait for a worker",
    "export_expires": "exports to delete",
    "export_open": "exports that wait for a worker",
    "idempotency_age": "idempotency keys too old to keep",
    "ledger_of_version": "what a rollout's versions came to",
    "preview_expires": "previews to put away",
    "queued_leases": "runs whose worker has died",
    "queued_quarantined": "runs that must be carried out apart",
    "run_forgotten": "runs whose texts are to be forgotten",
    "tenants_member_user_id_bab66e1c": "the memberships of a login",
    "tenants_tenant_slug_0a9b71e6_like": "of a tenant's own name",
}


@pytest.fixture
def owner(committed: None) -> Callable[[str], list[Any]]:
    """Ask as the owner; what it changes is rolled back by `mutated` only."""

    def ask(statement: str) -> list[Any]:
        with connections["owner"].cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    return ask


@contextmanager
def mutated(*statements: str) -> Iterator[Any]:
    """The owner's cursor, in a transaction in which the database has been changed for the worse; then it is as before."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield cursor
        transaction.set_rollback(True, using="owner")


def told_of(*statements: str) -> str:
    with mutated(*statements) as cursor:
        return "\n".join(faults_of_database(cursor))


def test_the_database_that_migrations_make_keeps_tenants_apart(committed: None) -> None:
    assert list(faults()) == []
    refuse_unsafe()


def test_every_table_of_a_model_is_a_tenants_or_global_with_a_reason(owner: Any) -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    assert tables - tenant_tables() - GLOBAL.keys() == set()
    assert all(GLOBAL.values()) and not GLOBAL.keys() & tenant_tables()
    there = {row[0] for row in owner("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")}
    assert GLOBAL.keys() - there == set()


# Policy mutants (T1): each of them would open, or silently empty, a tenant's table. `{p}` is the policy, `{t}` its table.

OF_POLICY = {
    "dropped": ["DROP POLICY {p} ON {t}"],
    "widened": ["ALTER POLICY {p} ON {t} USING (tenants_are_one())"],
    "widened to all": ["ALTER POLICY {p} ON {t} USING (true OR true)"],
    "for everybody": ["ALTER POLICY {p} ON {t} TO PUBLIC"],
    "for both roles": ["ALTER POLICY {p} ON {t} TO bespoke_app, bespoke_operator"],
    "for a group": ["ALTER POLICY {p} ON {t} TO pg_read_all_data"],
    "made again without WITH CHECK": ["DROP POLICY {p} ON {t}", "CREATE POLICY {p} ON {t} TO {r} USING ({q})"],
    "made again for reading": ["DROP POLICY {p} ON {t}", "CREATE POLICY {p} ON {t} FOR SELECT TO {r} USING (true)"],
    "made again for the app": ["DROP POLICY {p} ON {t}", "CREATE POLICY {p} ON {t} TO bespoke_app USING (true)"],
    "made to restrict": ["DROP POLICY {p} ON {t}", "CREATE POLICY {p} ON {t} AS RESTRICTIVE TO {r} USING ({q})"],
}
OF_CHECK = {
    "any row may be written": ["ALTER POLICY {p} ON {t} WITH CHECK (true OR true)"],
    "any tenant's row may be written": ["ALTER POLICY {p} ON {t} WITH CHECK (app_tenant() IS NOT NULL)"],
}
OF_TABLE = {
    "not forced": ["ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY"],
    "disabled": ["ALTER TABLE {t} DISABLE ROW LEVEL SECURITY"],
    "one more policy for the app": ["CREATE POLICY more ON {t} TO bespoke_app USING (true)"],
    "one more policy for reading": ["CREATE POLICY more ON {t} FOR SELECT USING (true)"],
    "one more policy for writing": ["CREATE POLICY more ON {t} FOR INSERT TO bespoke_app WITH CHECK (true)"],
    "granted to everybody": ["GRANT SELECT ON {t} TO PUBLIC"],
    "a column granted to everybody": ["GRANT SELECT ({k}) ON {t} TO PUBLIC"],
    "TRUNCATE granted": ["GRANT TRUNCATE ON {t} TO bespoke_app"],
    "REFERENCES granted": ["GRANT REFERENCES ON {t} TO bespoke_app"],
    "TRIGGER granted": ["GRANT TRIGGER ON {t} TO bespoke_operator"],
    "granted on": ["GRANT SELECT ON {t} TO bespoke_app WITH GRANT OPTION"],
    "granted to another role": ["GRANT SELECT ON {t} TO pg_monitor"],
    "a view": ["CREATE VIEW {new} AS SELECT * FROM {t}"],
    "a view with the rights of whoever asks": ["CREATE VIEW {new} WITH (security_invoker) AS SELECT * FROM {t}"],
    "a materialised view": ["CREATE MATERIALIZED VIEW {new} AS SELECT * FROM {t} WITH NO DATA"],
    "a copy elsewhere": ["CREATE SCHEMA IF NOT EXISTS attic", "CREATE TABLE attic.{new} (LIKE {t})"],
}
OF_PARTITION = {
    "not forced": ["ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY"],
    "disabled": ["ALTER TABLE {t} DISABLE ROW LEVEL SECURITY"],
    "with a policy": ["CREATE POLICY more ON {t} TO bespoke_app USING (true)"],
    "read by the app": ["GRANT SELECT ON {t} TO bespoke_app"],
    "read by the operator": ["GRANT SELECT (tenant_id) ON {t} TO bespoke_operator"],
}
ONE = "CREATE FUNCTION tenants_are_one() RETURNS boolean LANGUAGE sql AS 'SELECT true'"


def policies(owner: Any) -> list[dict[str, str]]:
    rows = owner("SELECT policyname, tablename, roles[1]::text, qual, with_check FROM pg_policies ORDER BY 1")
    return [dict(zip("ptrqc", map(str, row), strict=True)) for row in rows]


def missed(kinds: list[str], places: list[dict[str, str]], name: str) -> list[str]:
    """Change all places for the worse at once; those that no fault names."""
    statements = [text.format(**place) for place in places for text in kinds]
    told = set(re.findall(r"\w+", told_of(ONE, *statements)))
    return [place[name] for place in places if place[name] not in told]


@pytest.mark.parametrize("what", OF_POLICY)
def test_every_mutant_of_every_policy_is_caught(what: str, owner: Any) -> None:
    found = policies(owner)
    assert {place["t"] for place in found} == tenant_tables() and len(found) > 40
    if what == "made again without WITH CHECK":
        found = [place for place in found if place["c"] != "None"]  # of what had none it is no change
    assert missed(OF_POLICY[what], found, "p") == []


@pytest.mark.parametrize("what", OF_CHECK)
def test_a_policy_that_no_longer_looks_at_what_is_written_is_caught(what: str, owner: Any) -> None:
    with_check = [place for place in policies(owner) if place["c"] != "None"]
    assert missed(OF_CHECK[what], with_check, "p") == []


@pytest.mark.parametrize("what", OF_TABLE)
def test_every_tenants_table_that_is_opened_is_caught(what: str, committed: None) -> None:
    tables = [
        {"t": t, "k": "id" if t == "tenants_tenant" else "tenant_id", "new": f"new_{t}"}
        for t in sorted(tenant_tables())
    ]
    assert missed(OF_TABLE[what], tables, "new" if "{new}" in OF_TABLE[what][-1] else "t") == []


@pytest.mark.parametrize("what", OF_PARTITION)
def test_every_partition_that_is_opened_is_caught(what: str, owner: Any) -> None:
    rows = owner("SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'")
    assert len(rows) >= 6
    assert missed(OF_PARTITION[what], [{"t": row[0]} for row in rows], "t") == []


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["CREATE TABLE forgotten (id int)"], "forgotten is neither"),
        (["CREATE SCHEMA attic", "CREATE TABLE attic.features_version (id int)"], "attic.features_version is outside"),
        (["CREATE TABLE runs_run_2031_01 PARTITION OF runs_run FOR VALUES FROM ('ff000000-0000-0000-0000-000000000000')"
          " TO ('ff100000-0000-0000-0000-000000000000')"], "not enabled and forced on runs_run_2031_01"),
        (["CREATE POLICY open ON features_version TO bespoke_app USING (true)"], "nobody decided on"),
        (["DROP TABLE runs_refuseditem"], "missing: runs_refuseditem"),
        # what looks past policies
        (["ALTER TABLE tenants_webhook ADD UNIQUE (url)"], "does not begin with tenant_id"),
        (["CREATE UNIQUE INDEX one_name ON tenants_apikey (name, tenant_id)"], "one_name of tenants_apikey does not begin"),
        (["ALTER TABLE runs_queued ADD EXCLUDE USING gist (id WITH =, tenant_id WITH =)"], "does not begin with tenant_id"),
        (["CREATE UNIQUE INDEX one_id ON tenants_member (id)",
          "ALTER TABLE tenants_apikey ADD CONSTRAINT astray FOREIGN KEY (member_id) REFERENCES tenants_member (id) NOT VALID"],
         "astray of tenants_apikey does not begin"),
        (["CREATE UNIQUE INDEX turned ON tenants_member (id, tenant_id)",
          "ALTER TABLE tenants_apikey ADD CONSTRAINT astray FOREIGN KEY (tenant_id, member_id)"
          " REFERENCES tenants_member (id, tenant_id) NOT VALID"], "astray of tenants_apikey points at tenants_member"),
        (["ALTER TABLE features_impact ADD COLUMN whose uuid REFERENCES tenants_tenant (id)"], "points at tenants_tenant"),
        # functions
        (["CREATE FUNCTION peep() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"], "peep runs with its owner's"),
        (["ALTER FUNCTION make_partition SET search_path = public, pg_catalog"], "make_partition runs with"),
        (["GRANT EXECUTE ON FUNCTION make_partition TO bespoke_app"], "make_partition runs with"),
        (["CREATE OR REPLACE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE AS"
          " $$ SELECT nullif(current_setting('app.tenant', true), '')::uuid $$"], "the function app_tenant"),
        (["CREATE OR REPLACE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid'"],
         "the function app_user"),
        # grants
        (["GRANT UPDATE ON SEQUENCE account_emailaddress_id_seq TO PUBLIC"], "PUBLIC has a grant on account_emailaddress"),
        (["GRANT UPDATE ON SEQUENCE account_emailaddress_id_seq TO bespoke_app WITH GRANT OPTION"], "may do more"),
        (["GRANT MAINTAIN ON runs_ledger TO bespoke_operator"], "may do more on runs_ledger"),
    ],
)  # fmt: skip
def test_whatever_else_would_let_a_tenant_see_another_is_caught(
    statements: list[str], told: str, committed: None
) -> None:
    assert told in told_of(*statements)


def test_a_table_of_another_server_is_caught(committed: None, superuser: Any) -> None:
    with superuser() as cursor:
        cursor.execute("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
                       " CREATE FOREIGN TABLE far (id int) SERVER s")  # fmt: skip
        assert "far is neither" in "\n".join(faults_of_database(cursor))


def test_what_says_that_it_is_leakproof_is_caught(committed: None, superuser: Any) -> None:
    """A planner may run it before the policy has looked: and only a superuser may say so of a function."""
    with superuser() as cursor:
        cursor.execute("CREATE FUNCTION told(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS"
                       " $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$")  # fmt: skip
        assert "the function told says that it is leakproof" in "\n".join(faults_of_database(cursor))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER ROLE bespoke_app SUPERUSER", "is a superuser"),
        ("ALTER ROLE bespoke_app BYPASSRLS", "bypasses row level security"),
        ("ALTER ROLE bespoke_app CREATEROLE", "makes roles"),
        ("ALTER ROLE bespoke_app CREATEDB", "databases"),
        ("ALTER ROLE bespoke_app REPLICATION", "replicates"),
        ("GRANT CREATE ON SCHEMA public TO bespoke_app", "may create objects"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "may create objects"),
        ("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO bespoke_app', current_database()); END $$",
         "may create objects"),
        ("ALTER TABLE features_version OWNER TO bespoke_app", "owns something"),
        ("ALTER FUNCTION app_user() OWNER TO bespoke_app", "owns something"),
        ("GRANT bespoke_operator TO bespoke_app", "is a member of bespoke_operator"),
        ("GRANT bespoke_owner TO bespoke_app WITH INHERIT FALSE", "is a member of bespoke_owner"),
        ("GRANT pg_read_all_data TO bespoke_app", "is a member of pg_read_all_data"),
    ],
)  # fmt: skip
def test_a_role_that_may_do_more_than_it_should_is_caught(
    statement: str, told: str, committed: None, superuser: Any
) -> None:
    with superuser() as cursor:
        cursor.execute(statement)
        cursor.execute("SET LOCAL SESSION AUTHORIZATION bespoke_app")
        assert told in "\n".join(faults_of_role(cursor, APPS))


@pytest.fixture
def superuser() -> Callable[[], Any]:
    """The cursor of the server's superuser, whose changes are rolled back."""

    @contextmanager
    def open_cursor() -> Iterator[Any]:
        with psycopg.connect(as_superuser(os.environ["DATABASE_OWNER_URL"])) as connection:
            with connection.cursor() as cursor:
                yield cursor
            connection.rollback()

    return open_cursor


def test_a_table_left_open_stops_the_boot(owner: Any) -> None:
    for mutant, back, told in (
        ("ALTER TABLE runs_run NO FORCE", "ALTER TABLE runs_run FORCE", "runs_run"),
        ("ALTER TABLE runs_run_default DISABLE", "ALTER TABLE runs_run_default ENABLE", "runs_run_default"),
    ):
        owner(f"{mutant} ROW LEVEL SECURITY")
        try:
            with pytest.raises(ImproperlyConfigured, match=told):
                refuse_unsafe()
        finally:
            owner(f"{back} ROW LEVEL SECURITY")
    assert list(faults()) == []


def test_a_role_that_may_create_stops_the_boot(owner: Any) -> None:
    owner("GRANT CREATE ON SCHEMA public TO bespoke_app")
    try:
        with pytest.raises(ImproperlyConfigured, match="bespoke_app may create objects"):
            refuse_unsafe()
    finally:
        owner("REVOKE CREATE ON SCHEMA public FROM bespoke_app")


def test_a_process_on_another_roles_connection_is_refused(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(isolation.ROLES, "default", "bespoke_operator")
    assert any("a connection is bespoke_app; it must be bespoke_operator" in fault for fault in faults())


@pytest.mark.parametrize(
    ("version", "refused"),
    [(150018, True), (160009, True), (160010, False), (170005, True), (170006, False), (180000, False)],
)
def test_a_server_whose_planner_reads_around_policies_is_refused(version: int, refused: bool) -> None:
    """CVE-2025-8713 was mended in each line of releases by itself: 17.5 is newer than 16.10, and leaks."""

    class Answers:
        def execute(self, _: str) -> None:
            """Whatever is asked, the answer is that of a good role on this version."""

        def fetchall(self) -> list[Any]:
            return [(APPS, False, False, False, [], version)]

    told = list(faults_of_role(Answers(), APPS))
    assert bool(told) is refused and all("is older than" in fault for fault in told)


def test_the_version_that_is_asked_is_the_servers(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    [[version]] = checks._rows(connections["default"].cursor(), "SELECT current_setting('server_version_num')::int")
    monkeypatch.setattr(checks, "FLOORS", {version // 10_000: version + 1})
    with pytest.raises(ImproperlyConfigured, match=f"PostgreSQL {version} is older than {version + 1}"):
        refuse_unsafe()


def test_indexes_begin_with_the_tenant_but_for_those_of_housekeeping(owner: Any) -> None:
    """An index that is not led by the tenant is read past the rows of all others, which takes time that tells."""
    rows = owner(
        "SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text,"
        " (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0])"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE NOT c.relispartition AND NOT i.indisunique"
    )
    mine = [row for row in rows if row[0] in tenant_tables()]
    assert len(mine) > 15
    assert {name for _, name, first in mine if first != "tenant_id"} == ACROSS.keys()


def test_the_operator_cannot_read_content(owner: Any) -> None:
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


def test_what_is_the_operators_alone_the_app_has_no_grant_on(owner: Any) -> None:
    alone = {table for table, reason in GLOBAL.items() if "readable by the operator role only" in reason}
    rows = owner("SELECT relname::text, has_any_column_privilege('bespoke_app', oid, 'SELECT, INSERT, UPDATE')"
                 " OR has_table_privilege('bespoke_app', oid, 'DELETE') FROM pg_class"
                 " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")  # fmt: skip
    assert len(alone) > 5 and {table for table, may in rows if may} & alone == set()
    never_written = {"features_feature", "features_version", "features_currentversion", "features_modeltarget"}
    for table in never_written:
        for privilege in ("INSERT", "UPDATE", "DELETE"):
            assert owner(f"SELECT has_table_privilege('bespoke_app', '{table}', '{privilege}')") == [(False,)]


def test_the_app_adds_to_the_audit_list_and_changes_nothing_of_it(owner: Any) -> None:
    only_added = owner("SELECT privilege_type FROM information_schema.role_table_grants"
                       " WHERE grantee = 'bespoke_app' AND table_name = 'tenants_auditevent'")  # fmt: skip
    assert {row[0] for row in only_added} == {"SELECT", "INSERT"}


def test_every_tenants_model_is_listed_for_those_who_walk_them() -> None:
    assert {model.__name__ for model in models_of_tenants()} >= {"Run", "Override", "Pin", "Member", "ApiKey", "Tenant"}
