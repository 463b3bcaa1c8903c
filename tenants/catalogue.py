"""Whose every table is, and what else the database may hold, with the reasons; tenants/faults.py compares.

A table is a tenant's (a TenantModel, or Tenant itself) or global, and then it is in GLOBAL with the reason.
"""

from django.apps import apps
from django.db import models

from .models import Tenant, TenantModel

# The first release of each PostgreSQL in which planner statistics do not read around policies (CVE-2025-8713); what is
# newer than these never did, what is older is refused.
FLOORS = {16: 160010, 17: 170006}

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
    "tenants_vendoraudithead": "where the chain of what operators did ends, readable by the operator role only",
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
    "runs_operatoridempotencykey": "what operators sent before, readable by the operator role only",
    "runs_worker": "the vendor's processes, readable by the operator role only",
}

# Functions that run with their owner's rights, whoever calls them, and why they must.
DEFINERS = {"make_partition": "makes the coming months' partitions, for the operator, who owns no table"}

# What a login sees before its tenant is known (isolation.user_tx): its memberships, and the tenants they are in.
OF_USER = {
    "tenants_member": "(user_id = ( SELECT app_user() AS app_user))",
    "tenants_tenant": "(id IN ( SELECT tenants_member.tenant_id FROM tenants_member"
    " WHERE (tenants_member.user_id = ( SELECT app_user() AS app_user))))",
}


def tenant_tables() -> set[str]:
    """The tables of models that belong to a tenant."""
    return {m._meta.db_table for m in apps.get_models() if issubclass(m, TenantModel)} | {Tenant._meta.db_table}


def models_of_tenants() -> list[type[models.Model]]:
    """The models whose rows belong to a tenant, for export, erasure and the tests that walk them."""
    return [m for m in apps.get_models() if m._meta.db_table in tenant_tables()]
