"""What the database holds against what it should: run at every boot, so that no process serves an open table.

A table is a tenant's (a TenantModel, or Tenant itself) or global, and then it is in GLOBAL with the reason.
"""

from collections.abc import Iterator

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models

from .isolation import APP, OPERATOR, ROLES
from .models import Tenant, TenantModel

FLOOR = 160010  # the first PostgreSQL 16 in which policies cannot be read around by planner statistics (CVE-2025-8713)

GLOBAL = {
    "django_migrations": "which migrations ran",
    "django_content_type": "Django's own list of models",
    "django_session": "a session is opened before the tenant is known; it holds a login and the tenant chosen",
    "auth_group": "Django's, unused: roles are ours",
    "auth_group_permissions": "Django's, unused: roles are ours",
    "auth_permission": "Django's, unused: roles are ours",
    "account_emailaddress": "allauth's addresses of logins",
    "account_emailconfirmation": "allauth's confirmations of addresses",
    "mfa_authenticator": "allauth's second factors of logins; what makes codes is sealed",
    "usersessions_usersession": "allauth's list of a login's sessions: address, browser, since when",
    "tenants_user": "a login may be a member of several tenants",
    "tenants_operator": "the vendor's staff, readable by the operator role only",
    "tenants_approval": "what operators ask of each other, readable by the operator role only",
    "tenants_operatorkey": "the vendor's keys, readable by the operator role only",
    "tenants_vendorauditevent": "what operators did, readable by the operator role only",
    "features_feature": "the vendor's, the same for all",
    "features_version": "the vendor's, the same for all; doors show those released",
    "features_currentversion": "the vendor's, the same for all",
    "features_withdrawal": "the vendor's, the same for all",
    "features_stage": "the vendor's: whom a rollout includes is asked by every tenant's resolving",
    "features_rollout": "the vendor's, readable by the operator role only",
    "features_rolloutevent": "the vendor's, readable by the operator role only",
    "features_guardpoint": "the vendor's, readable by the operator role only",
    "features_impact": "the vendor's, readable by the operator role only",
    "features_impactrow": "names and counts for operators, readable by the operator role only",
    "features_modeltarget": "the vendor's, the same for all",
    "features_modelalias": "the vendor's, the same for all",
    "features_vendorstamp": "the vendor's, the same for all",
    "runs_worker": "the vendor's processes, readable by the operator role only",
}

# Functions that run with their owner's rights, whoever calls them, and why they must.
DEFINERS = {"make_partition": "makes the coming months' partitions, for the operator, who owns no table"}

_DEFINERS = """
SELECT p.proname, has_function_privilege('bespoke_app', p.oid, 'EXECUTE')
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef"""
_TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relispartition,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
       EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND 0 = ANY (p.polroles)),
       has_table_privilege('bespoke_app', c.oid, 'TRUNCATE, REFERENCES, TRIGGER')
       OR pg_get_userbyid(c.relowner) IN ('bespoke_app', 'bespoke_operator')
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_ROLE = """
SELECT current_user, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb,
       has_schema_privilege('public', 'CREATE'), current_setting('server_version_num')::int
FROM pg_roles r WHERE r.rolname = current_user"""


def tenant_tables() -> set[str]:
    """The tables of models that belong to a tenant."""
    return {m._meta.db_table for m in apps.get_models() if issubclass(m, TenantModel)} | {Tenant._meta.db_table}


def faults() -> Iterator[str]:
    """Yield, in words, whatever would let one tenant see another: a wrong role, a table unprotected or unclassified."""
    for alias in (APP, OPERATOR):
        yield from _faults_of_role(alias)
    mine = tenant_tables()
    with connections[APP].cursor() as cursor:
        cursor.execute(_TABLES)
        found = cursor.fetchall()
        cursor.execute(_DEFINERS)
        definers = cursor.fetchall()
    for name, callable_by_app in definers:
        if name not in DEFINERS or callable_by_app:
            yield f"the function {name} runs with its owner's rights, and is not listed or bespoke_app may call it"
    for name, enabled, forced, partition, policies, public, too_much in found:
        if too_much:
            yield f"bespoke_app may do more on {name} than select, insert, update and delete"
        if partition or name in mine:
            if not (enabled and forced):
                yield f"row level security is not enabled and forced on {name}"
            if name in mine and not policies:
                yield f"{name} has no policy"
            if public:
                yield f"a policy of {name} is for PUBLIC"
        elif name not in GLOBAL:
            yield f"{name} is neither a tenant's table nor in the list of global ones (tenants/catalogue.py)"
    missing = mine - {row[0] for row in found}
    if missing:
        yield f"tables are missing: {', '.join(sorted(missing))}; run `manage.py migrate --database owner`"


def _faults_of_role(alias: str) -> Iterator[str]:
    with connections[alias].cursor() as cursor:
        cursor.execute(_ROLE)
        role, powerful, creates, version = cursor.fetchone()
    if role != ROLES[alias]:
        yield f"the connection {alias} is {role}; it must be {ROLES[alias]}"
    if powerful:
        yield f"{role} is a superuser, bypasses row level security, or makes roles or databases"
    if creates:
        yield f"{role} may create objects in the schema public"
    if version < FLOOR:
        yield f"PostgreSQL {version} is older than {FLOOR}"


def refuse_unsafe() -> None:
    """Raise ImproperlyConfigured naming every fault. Called by whatever serves or works, when it starts."""
    found = list(faults())
    if found:
        raise ImproperlyConfigured("This database would not keep tenants apart:\n- " + "\n- ".join(found))


def models_of_tenants() -> list[type[models.Model]]:
    """The models whose rows belong to a tenant, for export, erasure and the tests that walk them."""
    return [m for m in apps.get_models() if m._meta.db_table in tenant_tables()]
