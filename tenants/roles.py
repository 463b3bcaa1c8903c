"""Roles and their verbs, in one table. Docs and permission tests are made from it."""

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
            "key.own",
        }
    ),
}
