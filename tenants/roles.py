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
    "support.grant",
    "usage.read",
    "audit.read",
    "data.export",
    "subject.erase",
}


class OperatorRole(StrEnum):
    """What a member of the vendor's staff is; one may be several."""

    READ = "read"
    PUBLISH = "publish"
    SUPPORT = "support"


_LOOKING = frozenset(
    {"feature.read", "version.read", "impact.read", "rollout.read", "tenant.list", "usage.vendor", "audit.vendor"}
    | {"operator_key.own"}
)
OPERATORS: dict[str, frozenset[str]] = {
    OperatorRole.READ: _LOOKING,
    OperatorRole.PUBLISH: _LOOKING
    | {"feature.create", "feature.manage", "version.publish", "version.preview", "version.withdraw", "current.move"}
    | {"rollout.manage", "model.manage", "approval.decide"},
    OperatorRole.SUPPORT: _LOOKING
    | {"tenant.create", "tenant.limits", "tenant.state", "tenant.erase", "support.enter"},
}

VERBS: dict[str, frozenset[str]] = {
    Role.OWNER: _ADMIN | {"owner.manage"},
    Role.ADMIN: _ADMIN,
    Role.MEMBER: _MEMBER,
    Role.VIEWER: _VIEWER,
    # A service key acts for the customer's own users (or the tenant as a whole), never for its people.
    "service": frozenset({"feature.read", "run.read", "run.create", "run.cancel", "run.rate"}),
    "service for a user": frozenset(_MEMBER - {"key.own", "member.leave"}),
    **{f"operator, {role}": verbs for role, verbs in OPERATORS.items()},
    "operator": frozenset({"operator.manage"}).union(*OPERATORS.values()),  # what commands on the vendor's machines may
    # An operator in an organisation that grants support access: looks, and does nothing.
    "support": frozenset({"feature.read", "run.read", "run.others", "behavior.others", "tenant.read"}),
}


TO: dict[str, str] = {
    "approval.decide": "decide on what takes two operators",
    "audit.read": "read the audit",
    "audit.vendor": "read the vendor's audit",
    "behavior.others": "look at what others are served",
    "budget.manage": "see or change budgets",
    "current.move": "make another version the current one",
    "data.export": "export what is kept of the organisation",
    "feature.create": "make features",
    "feature.manage": "change who has a feature, and until when",
    "feature.read": "look at features",
    "impact.read": "work out whom a move reaches",
    "key.manage": "see or change the organisation's keys",
    "key.own": "have keys of their own",
    "member.leave": "leave the organisation",
    "member.manage": "change who belongs to the organisation",
    "member.read": "see who belongs to the organisation",
    "model.manage": "change models and their prices",
    "operator.manage": "change who is an operator",
    "operator_key.own": "have an operator's keys",
    "override.others": "change behavior for somebody else",
    "override.tenant": "change the organisation's behavior",
    "override.user": "change their own behavior",
    "owner.manage": "make, change or remove an owner",
    "pin.others": "change on which version somebody else stays",
    "pin.tenant": "change on which version the organisation stays",
    "pin.user": "stay on a version, or put behavior back as it was",
    "policy.manage": "see or change the organisation's policy",
    "provider_key.manage": "see or change the organisation's provider keys",
    "rollout.manage": "start, move or end a rollout",
    "rollout.read": "look at rollouts",
    "run.cancel": "stop runs",
    "run.create": "run features",
    "run.others": "look at what others ran",
    "run.rate": "rate or correct an answer",
    "run.read": "look at runs",
    "subject.erase": "erase what is kept of somebody",
    "subject.manage": "change the users of the organisation's software",
    "subject.read": "see the users of the organisation's software",
    "support.enter": "look into organisations that let support look",
    "support.grant": "let the vendor's support look",
    "tenant.create": "make organisations",
    "tenant.erase": "erase organisations",
    "tenant.limits": "change what an organisation may do at once",
    "tenant.list": "see the organisations",
    "tenant.read": "look at the organisation",
    "tenant.state": "suspend, close or reopen organisations",
    "usage.read": "see what the organisation uses",
    "usage.vendor": "see what organisations use",
    "version.preview": "try versions",
    "version.publish": "publish versions",
    "version.read": "look at versions",
    "version.withdraw": "withdraw versions",
    "webhook.manage": "see or change webhooks",
}
"""What each verb is in words, after "may not"."""
WHO: dict[str, str] = {
    Role.OWNER: "An owner",
    Role.ADMIN: "An admin",
    Role.MEMBER: "A member",
    Role.VIEWER: "A viewer",
    "service": "A service key by itself",
    "service for a user": "A user of your software",
    "support": "The vendor's support",
}


# What whoever may do it may do of a suspended or closed organisation too: the data is its people's.
WHILE_SUSPENDED = frozenset({"data.export", "subject.erase"})


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
        | {"support.enter"}
    ),
    Scope.RUN: frozenset(_SEEING | {"run.create", "run.cancel", "run.rate", "version.preview"}),
    Scope.CUSTOMISE: frozenset(
        {"feature.read", "override.user", "override.tenant", "override.others", "pin.user", "pin.tenant", "pin.others"}
    ),
}
SCOPES[Scope.ADMIN] = frozenset().union(*VERBS.values()).difference(*SCOPES.values()) | {"feature.read"}


def verbs_of(role: str, scopes: Iterable[str] = ALL_SCOPES) -> frozenset[str]:
    """What a key of this role and these scopes may do; without scopes, what the role may."""
    return VERBS[role] & _within(scopes)


def verbs_of_operator(roles: Iterable[str], scopes: Iterable[str] = ALL_SCOPES) -> frozenset[str]:
    """The same for the vendor's staff, of whom everybody has roles of their own."""
    return frozenset().union(*(OPERATORS[role] for role in roles)) & _within(scopes)


def _within(scopes: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(SCOPES[scope] for scope in scopes))
