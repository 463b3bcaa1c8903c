"""What the database holds against what it should: run at every boot, so that no process serves an open table.

Each check reads PostgreSQL's own catalogue and yields, in words, whatever would let one tenant see another. What is
meant to be is in tenants/catalogue.py and, of policies, what `tables.TenantTable` makes: anything else is a fault,
also what happens to be harmless, because nobody decided on it.
"""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from .catalogue import DEFINERS, FLOORS, GLOBAL, OF_USER, tenant_tables
from .isolation import APP, OPERATOR, ROLES
from .models import Tenant
from .tables import FUNCTIONS

Cursor = Any  # Django's, or psycopg's

ROWS_ONLY = {"SELECT", "INSERT", "UPDATE", "DELETE"}
_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'"

_ROLE = """
SELECT current_user, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication,
       has_database_privilege(current_database(), 'CREATE')
       OR EXISTS (SELECT FROM pg_namespace n WHERE has_schema_privilege(n.oid, 'CREATE') AND n.nspname !~ '^pg_'),
       EXISTS (SELECT FROM pg_shdepend d WHERE d.refobjid = r.oid AND d.deptype = 'o'
               AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))),
       ARRAY(SELECT pg_get_userbyid(m.roleid)::text FROM pg_auth_members m WHERE m.member = r.oid),
       current_setting('server_version_num')::int
FROM pg_roles r WHERE r.rolname = current_user"""
_TABLES = f"""
SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relrowsecurity AND c.relforcerowsecurity,
       (SELECT parent.relname::text FROM pg_inherits i JOIN pg_class parent ON parent.oid = i.inhparent
        WHERE i.inhrelid = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname"""
_POLICIES = """
SELECT tablename::text, policyname::text, permissive, roles::text[], cmd, regexp_replace(qual, '\\s+', ' ', 'g'),
       regexp_replace(with_check, '\\s+', ' ', 'g') FROM pg_policies ORDER BY tablename, policyname"""
_GRANTS = f"""
SELECT c.relname::text, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END,
       a.privilege_type, a.is_grantable, c.relkind = 'S'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
     LATERAL (SELECT c.relacl AS acl UNION ALL SELECT t.attacl FROM pg_attribute t WHERE t.attrelid = c.oid) held,
     LATERAL aclexplode(held.acl) a
WHERE {_OURS} AND a.grantee <> c.relowner ORDER BY 1, 2, 3"""
_KEYS = """
SELECT c.conrelid::regclass::text, c.conname::text, c.contype::text,
       (SELECT attname::text FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = c.conkey[1]),
       CASE WHEN c.contype = 'f' THEN c.confrelid::regclass::text END,
       (SELECT attname::text FROM pg_attribute WHERE attrelid = c.confrelid AND attnum = c.confkey[1])
FROM pg_constraint c WHERE c.contype IN ('p', 'u', 'f', 'x') AND c.conparentid = 0
UNION ALL
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, 'u',
       (SELECT attname::text FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]), NULL, NULL
FROM pg_index i WHERE i.indisunique"""
_FUNCTIONS = f"""
SELECT p.proname::text, p.prosecdef, p.proleakproof, btrim(p.prosrc, E' \\n'),
       coalesce(array_to_string(p.proconfig, ' '), '') LIKE '%search_path=pg_catalog%',
       has_function_privilege('bespoke_app', p.oid, 'EXECUTE')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')
ORDER BY p.proname"""

Policy = tuple[str, list[str], str, str | None, str | None]  # permissive or not, roles, command, USING, WITH CHECK


def faults() -> Iterator[str]:
    """Yield, in words, whatever would let one tenant see another."""
    for alias in (APP, OPERATOR):
        with connections[alias].cursor() as cursor:
            yield from faults_of_role(cursor, ROLES[alias])
    with connections[APP].cursor() as cursor:
        yield from faults_of_database(cursor)


def refuse_unsafe() -> None:
    """Raise ImproperlyConfigured naming every fault. Called by whatever serves or works, when it starts."""
    found = list(faults())
    if found:
        raise ImproperlyConfigured("This database would not keep tenants apart:\n- " + "\n- ".join(found))


def faults_of_role(cursor: Cursor, expected: str) -> Iterator[str]:
    """Yield what the role that is connected could do beyond reading and writing rows."""
    role, powerful, creates, owns, others, version = _rows(cursor, _ROLE)[0]
    if role != expected:
        yield f"a connection is {role}; it must be {expected}"
    if powerful:
        yield f"{role} is a superuser, bypasses row level security, replicates, or makes roles or databases"
    if creates:
        yield f"{role} may create objects in this database"
    if owns:
        yield f"{role} owns something in this database; what it owns, no policy keeps from it"
    if others:
        yield f"{role} is a member of {', '.join(others)}; it must be of none"
    if version < FLOORS.get(version // 10_000, min(FLOORS.values())):
        yield f"PostgreSQL {version} is older than {', '.join(map(str, FLOORS.values()))}"


def faults_of_database(cursor: Cursor) -> Iterator[str]:
    """Yield what is wrong with tables, policies, grants, keys and functions."""
    for check in (_faults_of_tables, _faults_of_policies, _faults_of_grants, _faults_of_keys, _faults_of_functions):
        yield from check(cursor)


def _rows(cursor: Cursor, query: str) -> list[Any]:
    cursor.execute(query)
    return list(cursor.fetchall())


def _faults_of_tables(cursor: Cursor) -> Iterator[str]:
    mine, there = tenant_tables(), set[str]()
    for schema, name, kind, forced, parent in _rows(cursor, _TABLES):
        there.add(name)
        if schema != "public":
            yield f"{schema}.{name} is outside the schema public"
        elif (parent or name) in mine and kind in ("r", "p"):
            if not forced:
                yield f"row level security is not enabled and forced on {name}"
        elif name not in GLOBAL or kind != "r":
            yield f"{name} is neither a tenant's table nor in the list of global ones (tenants/catalogue.py)"
    if missing := mine - there:
        yield f"tables are missing: {', '.join(sorted(missing))}; run `manage.py migrate --database owner`"


def _faults_of_policies(cursor: Cursor) -> Iterator[str]:
    """Policies are compared as they are: a tenant's table has its tenant's, and perhaps its user's and the operator's.

    The operator's is there where, and only where, that role was granted something: it says “all rows”, and which
    columns the grants say.
    """
    touched = {table for table, role, *_ in _rows(cursor, _GRANTS) if role == ROLES[OPERATOR]}
    expected = {key: policy for table in tenant_tables() for key, policy in _expected(table, table in touched)}
    found = {(table, name): tuple(rest) for table, name, *rest in _rows(cursor, _POLICIES)}
    for table, name in sorted(expected.keys() | found.keys()):
        if (table, name) not in found:
            yield f"{table} has lost its policy {name}"
        elif (table, name) not in expected:
            yield f"{table} has a policy {name} that nobody decided on"
        elif found[table, name] != expected[table, name]:
            yield f"the policy {name} of {table} is not what it was made as"


def _expected(table: str, operators: bool) -> Iterator[tuple[tuple[str, str], Policy]]:
    key = "id" if table == Tenant._meta.db_table else "tenant_id"
    mine = f"({key} = ( SELECT app_tenant() AS app_tenant))"
    yield (table, f"{table}_tenant"), ("PERMISSIVE", [ROLES[APP]], "ALL", mine, mine)
    if table in OF_USER:
        yield (table, f"{table}_user"), ("PERMISSIVE", [ROLES[APP]], "SELECT", OF_USER[table], None)
    if operators:
        yield (table, f"{table}_operator"), ("PERMISSIVE", [ROLES[OPERATOR]], "ALL", "true", "true")


def _faults_of_grants(cursor: Cursor) -> Iterator[str]:
    known = tenant_tables() | GLOBAL.keys()
    for name, role, privilege, grantable, sequence in _rows(cursor, _GRANTS):
        if role not in (ROLES[APP], ROLES[OPERATOR]):
            yield f"{role} has a grant on {name}"
        elif grantable or privilege not in (ROWS_ONLY | {"USAGE"} if sequence else ROWS_ONLY):
            yield f"{role} may do more on {name} than select, insert, update and delete: {privilege}"
        elif not sequence and name not in known:
            yield f"{role} has a grant on {name}, which is reached through its parent alone"


def _faults_of_keys(cursor: Cursor) -> Iterator[str]:
    """Unique and foreign keys look past policies: led by the tenant, they can tell nobody of another's rows."""
    mine, root = tenant_tables(), Tenant._meta.db_table
    for table, name, kind, first, target, there in _rows(cursor, _KEYS):
        if table in mine and target in GLOBAL:
            continue
        if table in mine - {root} and first != "tenant_id":
            yield f"{name} of {table} does not begin with tenant_id"
        if kind == "f" and target in mine and (table not in mine or there != ("id" if target == root else "tenant_id")):
            yield f"{name} of {table} points at {target} without the tenant"


def _faults_of_functions(cursor: Cursor) -> Iterator[str]:
    for name, definer, leakproof, source, pinned, callable_by_app in _rows(cursor, _FUNCTIONS):
        if definer and (name not in DEFINERS or callable_by_app or not pinned):
            yield (
                f"the function {name} runs with its owner's rights, and is not listed, bespoke_app may call it, or its"
                " search_path does not begin with pg_catalog"
            )
        if leakproof:
            yield f"the function {name} says that it is leakproof: it would see rows before policies do"
        if name in ("app_tenant", "app_user") and source not in FUNCTIONS:
            yield f"the function {name}, which policies ask, is not what it was made as"
