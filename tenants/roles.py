"""Roles and their verbs, in one table. Docs and permission tests are made from it."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a member is in a tenant. Each role has all the verbs of the ones below it in this list's reverse."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


_VIEWER = frozenset({"feature.read", "run.read", "tenant.read", "key.own", "member.leave"})
_MEMBER = _VIEWER | {"run.create", "run.cancel", "run.rate", "override.user", "pin.user"}
_ADMIN = _MEMBER | {
    "override.tenant",
    "pin.tenant",
    "pin.others",
    "override.others",
    "behavior.others",
    "run.others",
    "member.read",
    "member.manage",
    "subject.read",
    "subject.manage",
    "key.manage",
    "policy.manage",
    "budget.manage",
    "provider_key.manage",
    "webhook.manage",
    "usage.read",
    "audit.read",
}

VERBS: dict[str, frozenset[str]] = {
    Role.OWNER: _ADMIN | {"owner.manage"},
    Role.ADMIN: _ADMIN,
    Role.MEMBER: _MEMBER,
    Role.VIEWER: _VIEWER,
    # A service key acts for the customer's own users (or the tenant as a whole), never for its people.
    "service": frozenset({"feature.read", "run.read", "run.create", "run.cancel", "run.rate"}),
    "service for a user": frozenset(_MEMBER - {"key.own", "member.leave"}),
    "operator": frozenset(
        {
            "feature.read",
            "feature.create",
            "version.publish",
            "version.read",
            "version.withdraw",
            "feature.manage",
            "version.preview",
            "current.move",
            "impact.read",
            "rollout.manage",
            "rollout.read",
            "model.manage",
            "tenant.create",
            "tenant.list",
            "tenant.limits",
            "tenant.state",
            "usage.vendor",
            "audit.vendor",
            "operator_key.own",
        }
    ),
}


class Scope(StrEnum):
    """What a key may be used for, of all that its role may do."""

    READ = "read"
    RUN = "run"
    CUSTOMISE = "customise"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)
_SEEING = {"feature.read", "run.read"}

# Each verb is of one scope; but what is needed to find one's way (features, own runs) comes with more than one.
SCOPES: dict[str, frozenset[str]] = {
    Scope.READ: frozenset(
        _SEEING
        | {"tenant.read", "member.read", "subject.read", "behavior.others", "run.others", "usage.read", "audit.read"}
        | {"version.read", "impact.read", "rollout.read", "tenant.list", "usage.vendor", "audit.vendor"}
    ),
    Scope.RUN: frozenset(_SEEING | {"run.create", "run.cancel", "run.rate", "version.preview"}),
    Scope.CUSTOMISE: frozenset(
        {"feature.read", "override.user", "override.tenant", "override.others", "pin.user", "pin.tenant", "pin.others"}
    ),
}
SCOPES[Scope.ADMIN] = frozenset().union(*VERBS.values()).difference(*SCOPES.values()) | {"feature.read"}


def verbs_of(role: str, scopes: Iterable[str] = ALL_SCOPES) -> frozenset[str]:
    """What a key of this role and these scopes may do; without scopes, what the role may."""
    return VERBS[role] & frozenset().union(*(SCOPES[scope] for scope in scopes))
