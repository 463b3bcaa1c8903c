"""Batches: in a list, one as it goes with its items, and a file looked over before it is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.web.bars import Part


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch in a list. `state` is running, cancelling, finished or cancelled; `done` of `items` have ended."""

    id: str
    feature_title: str
    state: str
    items: int
    done: int
    failed: int
    parts: Sequence[Part]
    cost: str
    created: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class StateLine:
    """How many items of a batch are in a state: its key, its word, the count."""

    key: str
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class BatchView:
    """One batch. `left` says by estimate what it still costs and takes, empty when nothing tells it."""

    id: str
    feature: str
    feature_title: str
    state: str
    items: int
    done: int
    created: datetime
    by: str
    parts: Sequence[Part]
    states: Sequence[StateLine]
    cost: str
    left: str
    waiting: int
    running: int
    base: int
    tenant: int | None
    user: int | None
    digest: str
    mine: bool = True
    stored: bool = True
    cached: int = 0
    finished: datetime | None = None
    may_cancel: bool = False

    @property
    def going(self) -> bool:
        return self.state in ("running", "cancelling")


@dataclass(frozen=True, slots=True)
class ItemLine:
    """An item: where it stands, what it came to (the first text of its output, or why there is none), its run."""

    where: str
    key: str
    state: str
    told: str
    problems: Sequence[str] = ()
    run: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a sheet for a feature may have: its name, what belongs in it, whether every item needs it."""

    name: str
    holds: str
    needed: bool


@dataclass(frozen=True, slots=True)
class LookedOver:
    """A file that was looked over: what it would come to as a batch. `once` makes one batch of it, however often sent.

    about: what it costs as the latest runs went. longest: if every answer were as long as it may be.
    """

    name: str
    items: int
    good: int
    refused: int
    first: Sequence[ItemLine]
    about: str
    longest: str
    digest: str
    once: str

    @property
    def more(self) -> int:
        """How many of those that cannot be taken in are not shown."""
        return self.refused - len(self.first)
