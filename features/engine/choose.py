"""Which versions a subject is on at an instant: the user's pin, the tenant's, a rollout's, then the current version."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from .rebase import Held
from .rollout import StageRow, inside


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

    earlier: the versions that were current before, the latest first. withdrawn: replacements by version.
    feature, tenant, user: what buckets of a rollout are made of (the user's key is None for the tenant itself).
    changes_at: the soonest instant at which a row among them ends or another begins.
    """

    current: int
    tenant_pin: PinRow | None
    user_pin: PinRow | None
    tenant_newest: int | None
    user_newest: int | None
    policy: Policy
    changes_at: datetime | None
    earlier: tuple[int, ...] = ()
    stage: StageRow | None = None
    withdrawn: Mapping[int, int] = field(default_factory=dict)
    feature: str = ""
    tenant: str = ""
    user: str | None = None

    @property
    def inside(self) -> bool:
        """Whether the rollout of the moment includes this subject."""
        stage = self.stage
        return stage is not None and inside(stage, feature=self.feature, tenant=self.tenant, user=self.user)


@dataclass(frozen=True, slots=True)
class Choice:
    """The versions to resolve, what decided the base, and until when this holds if nobody writes.

    wanted: the base without holds and withdrawals, pins apart: what one would be on by following the vendor.
    rollout: the stage that decided the base. withdrawn: the version in whose place `base` stands.
    current: the feature's current version; 0 where the choice was not made from rows.
    """

    base: int
    tenant: int | None
    user: int | None
    pin: PinRow | None
    fresh_until: datetime | None
    users_may_override: bool
    wanted: int = 0
    held: Held | None = None
    rollout: StageRow | None = None
    withdrawn: int | None = None
    current: int = 0


# Whether a subject with this tenant and user revision stays off a base, and why. Pure for whoever calls it: the
# versions and revisions that it reads never change.
Holds = Callable[[int, int | None, int | None], Held | None]


def nobody_holds(base: int, tenant: int | None, user: int | None) -> None:
    """For those who have no overrides."""


def choose(situation: Situation, at: datetime, holds: Holds = nobody_holds) -> Choice:
    """Choose the versions at an instant (behavior.md 4). `at` is aware, and the instant the rows were read for."""
    user_end = _end(situation.user_pin, situation.policy.users_may_pin)
    tenant_end = situation.tenant_pin.until if situation.tenant_pin else None
    user_pin = situation.user_pin if situation.policy.users_may_pin and _open(user_end, at) else None
    tenant_pin = situation.tenant_pin if _open(tenant_end, at) else None
    pin = user_pin or tenant_pin
    tenant = _tenant_revision(user_pin, tenant_pin, situation.tenant_newest)
    user = user_pin.user_revision if user_pin and user_pin.kind == "snapshot" else situation.user_newest
    may = situation.policy.users_may_override
    stage = situation.stage if situation.inside else None
    wanted = stage.version if stage else situation.current
    base, held = (pin.base, None) if pin else _held(situation, wanted, tenant, user if may else None, holds)
    served = replacement(base, situation.withdrawn)
    return Choice(
        base=served,
        tenant=tenant,
        user=user,
        pin=pin,
        fresh_until=_soonest(at, situation.changes_at, user_end, tenant_end),
        users_may_override=may,
        wanted=wanted,
        held=held,
        rollout=stage if stage and not pin and base == stage.version else None,
        withdrawn=base if served != base else None,
        current=situation.current,
    )


def replacement(version: int, withdrawn: Mapping[int, int]) -> int:
    """Return the version that stands in for one, followed until one is not withdrawn. Raises ValueError in a circle."""
    seen = {version}
    while version in withdrawn:
        version = withdrawn[version]
        if version in seen:
            raise ValueError(f"withdrawn versions replace each other in a circle, at {version}")
        seen.add(version)
    return version


def _held(
    situation: Situation, wanted: int, tenant: int | None, user: int | None, holds: Holds
) -> tuple[int, Held | None]:
    """The base one follows: the newest served in the feature's history on which no override's owner must decide first.

    A withdrawn version is not stayed on, but one that nobody holds off is passed on as it is, for its replacement to
    be followed: so a withdrawal moves those on the version and nobody who had stayed behind it.
    """
    held = holds(wanted, tenant, user)
    if held is None:
        return wanted, None
    tried = {wanted}
    for version in (situation.current, *situation.earlier):
        if version in tried or version in situation.withdrawn:
            continue
        tried.add(version)
        if holds(version, tenant, user) is None:
            return version, held
    return held.saved_on, held


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
