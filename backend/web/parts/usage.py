"""What an organisation's runs cost: the key figures, the month as a line, the budgets, where it goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """A key figure: `warns` when the note below it needs a decision."""

    title: str
    value: str
    note: str = ""
    warns: bool = False


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget: whose it is, how much of it is gone, and what it does.

    `share` is per cent of what ends it, at most 100. `state` is "", soft or hard. `runs_out` is when it ends, if it
    goes on like the last days, before its period does.
    """

    id: str
    title: str
    period: str
    spent: str
    bound: str
    share: str
    does: str
    state: str
    ends: datetime
    soft: str
    hard: str
    held: str = ""
    who: str = ""
    runs_out: datetime | None = None


@dataclass(frozen=True, slots=True)
class UsedLine:
    """One row of "Where it goes". `href` are its runs; `share` is per cent of the whole cost, as SVG writes it."""

    key: str
    title: str
    runs: int
    cached: str
    tokens: str
    repaired: str
    each: str
    cost: str
    share: str
    href: str = ""
    layers: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class UsagePage:
    """A month, or some days, whose `month` is "". `asked` says them in an address. Once `over`, no run is added.

    `chart` is what chart.js draws; the same stands in `days` as a table.
    """

    month: str
    asked: str
    title: str
    figures: Sequence[Figure]
    chart: dict[str, Any]
    days: Sequence[tuple[str, str, str]]
    lines: Sequence[UsedLine]
    by: str
    groups: Sequence[tuple[str, str]]
    months: Sequence[tuple[str, str]]
    total: str
    over: bool = False
    estimated: bool = False
    budgets: Sequence[BudgetLine] = field(default_factory=tuple)
