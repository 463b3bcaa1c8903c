"""The vendor's house: model aliases with their targets, and organisations with what they use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target of an alias. `prices` are input, cached input and output per million tokens."""

    revision: int
    provider: str
    model: str
    prices: str
    current: bool
    by: str
    added: datetime
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class AliasLine:
    alias: str
    targets: Sequence[TargetLine]


@dataclass(frozen=True, slots=True)
class TenantLine:
    """An organisation and a month of it; `share` is per cent of what all cost, as SVG writes it."""

    slug: str
    name: str
    runs: int
    cost: str
    share: str
    limits: str
    since: datetime
    state: str = "active"
    support_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TenantsPage:
    month: str
    title: str
    months: Sequence[tuple[str, str]]
    lines: Sequence[TenantLine]
    total: str


@dataclass(frozen=True, slots=True)
class GrantLine:
    """Leave that an organisation gave the vendor's support to look, and when it ended before its time."""

    reason: str
    given: datetime
    until: datetime
    ended: datetime | None

    @property
    def live(self) -> bool:
        return self.ended is None and self.until > timezone.now()


@dataclass(frozen=True, slots=True)
class TenantView:
    """An organisation as operators see it. `state` is active, suspended or closed."""

    slug: str
    name: str
    since: datetime
    state: str
    reason: str
    state_since: datetime | None
    requests: int
    runs: int
    grants: Sequence[GrantLine]

    @property
    def looked_at(self) -> GrantLine | None:
        """The leave in force."""
        return next((grant for grant in self.grants if grant.live), None)
