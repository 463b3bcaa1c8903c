"""The picture of a timeline: lanes over the same columns of time, cut into segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one lane, `span` columns wide; an empty one has no words. `at` is the moment that opens it.

    A stretch of what was served has a letter and the numbers of its layers. `short` is what fits a narrow place.
    """

    span: int
    words: str = ""
    short: str = ""
    letter: str = ""
    at: datetime | None = None
    base: int | None = None
    tenant: int | None = None
    user: int | None = None
    icon: str = ""
    state: Literal["", "chosen", "now"] = ""

    @property
    def wide(self) -> bool:
        """Whether there is room for more than the letter."""
        return self.span >= 12


@dataclass(frozen=True, slots=True)
class Lane:
    kind: Literal["served", "base", "tenant", "user", "stay"]
    name: str
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Bar:
    """How often one ran in one stretch of time, as heights of 30, the part below rated not right."""

    x: float
    width: float
    height: float
    bad: float
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    span: int
    words: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All lanes. `until` is how many columns lie before the chosen moment, None without one."""

    columns: int
    title: str
    behaviors: int
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    spans: Sequence[tuple[str, str, bool]]
    bars: Sequence[Bar] = ()
    until: int | None = None
    rest: int = 0
    flag: str = ""
