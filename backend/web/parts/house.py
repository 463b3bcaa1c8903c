"""The vendor's house: model aliases with their targets, and organisations with what they use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


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


@dataclass(frozen=True, slots=True)
class TenantsPage:
    month: str
    title: str
    months: Sequence[tuple[str, str]]
    lines: Sequence[TenantLine]
    total: str
