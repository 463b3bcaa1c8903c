"""Which versions a subject is on at an instant: the user's pin, then the tenant's, then the current version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class PinRow:
    """A pin as stored: `base` keeps the version only, `snapshot` the revisions (and model targets) as well."""

    layer: Literal["tenant", "user"]
    kind: Literal["base", "snapshot"]
    base: int
    tenant_revision: int | None
    user_revision: int | None
    targets: Mapping[str, int]
    created: datetime
    until: datetime | None
    id: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What a tenant lets its users do; a number under users_may_pin is days."""

    users_may_pin: bool | int
    users_may_override: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Every row that bears on one subject and feature, as valid at the instant asked for.

    changes_at: the soonest instant at which a row among them ends or another begins.
    """

    current: int
    tenant_pin: PinRow | None
    user_pin: PinRow | None
    tenant_newest: int | None
    user_newest: int | None
    policy: Policy
    changes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The versions to resolve, the pin that decided the base, and until when this holds if nobody writes."""

    base: int
    tenant: int | None
    user: int | None
    pin: PinRow | None
    fresh_until: datetime | None
    users_may_override: bool


def choose(situation: Situation, at: datetime) -> Choice:
    """Choose the versions at an instant (behavior.md 4). `at` is aware, and the instant the rows were read for."""
    user_end = _end(situation.user_pin, situation.policy.users_may_pin)
    tenant_end = situation.tenant_pin.until if situation.tenant_pin else None
    user_pin = situation.user_pin if situation.policy.users_may_pin and _open(user_end, at) else None
    tenant_pin = situation.tenant_pin if _open(tenant_end, at) else None
    pin = user_pin or tenant_pin
    return Choice(
        base=pin.base if pin else situation.current,
        tenant=_tenant_revision(user_pin, tenant_pin, situation.tenant_newest),
        user=user_pin.user_revision if user_pin and user_pin.kind == "snapshot" else situation.user_newest,
        pin=pin,
        fresh_until=_soonest(at, situation.changes_at, user_end, tenant_end),
        users_may_override=situation.policy.users_may_override,
    )


def _end(pin: PinRow | None, allowed: bool | int) -> datetime | None:
    """When a user's pin ends: its own end, or the policy's days after it was made, whichever comes first."""
    if pin is None or isinstance(allowed, bool):  # True is an int as well, and does not mean one day
        return pin.until if pin else None
    end = pin.created + timedelta(days=allowed)
    return min(end, pin.until) if pin.until else end


def _open(end: datetime | None, at: datetime) -> bool:
    return end is None or at < end


def _tenant_revision(user_pin: PinRow | None, tenant_pin: PinRow | None, newest: int | None) -> int | None:
    for pin in (user_pin, tenant_pin):
        if pin and pin.kind == "snapshot":
            return pin.tenant_revision
    return newest


def _soonest(at: datetime, *instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant and instant > at), default=None)
