"""Rollouts: whom a move reaches, the form of steps and guards, and how it goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.web.bars import Part

from .editor import Choice


@dataclass(frozen=True, slots=True)
class RolloutHead:
    """A rollout as its page is headed. `lead` says where it is; `advance` is whom the next step includes.

    `step` and `since` say what a decision is made about: the step in force, and when it began.
    """

    id: str
    feature: str
    feature_title: str
    before: int
    to: int
    state: Literal["running", "paused", "done", "rolled_back"]
    lead: str
    author: str
    began: datetime
    step: int
    since: datetime
    why: str = ""
    advance: str = ""

    @property
    def open(self) -> bool:
        return self.state in ("running", "paused")


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step as it is drawn: `progress` in per cent of what lets the next one begin."""

    title: str
    note: str
    when: Literal["past", "now", "next", "never"]
    progress: int = 0


@dataclass(frozen=True, slots=True)
class PointRow:
    at: datetime
    value: str
    sample: int


@dataclass(frozen=True, slots=True)
class GuardCard:
    """A guard: what it measured last against its limit, and a chart of it with the same as a table.

    `few` says that the sample is too small yet ("38 of 200"); `chart` is what chart.js draws, as JSON.
    """

    name: str
    title: str
    value: str
    limit: str
    does: str
    sample: str
    state: Literal["fine", "near", "over", "few"]
    few: str = ""
    chart: str = ""
    rows: Sequence[PointRow] = ()


@dataclass(frozen=True, slots=True)
class PlaceLine:
    name: str
    where: str
    version: int
    pins: int


@dataclass(frozen=True, slots=True)
class Places:
    """Who is where: organisations counted as a bar and listed."""

    total: int
    parts: Sequence[Part]
    lines: Sequence[PlaceLine]
    note: str
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """A rollout as it goes: its steps, guards, the last that happened.

    `held` counts the changes that keep their owners back, as its latest impact has them.
    """

    steps: Sequence[StepLine]
    guards: Sequence[GuardCard]
    log: Sequence[LogLine]
    held: int = 0
    warning: str = ""
    warning_text: str = ""


@dataclass(frozen=True, slots=True)
class ClassLine:
    """One class of an impact: its count, half a sentence, and the address that filters by it."""

    part: Part
    url: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class ImpactSubject:
    """An override or a pin by name; never what it says."""

    name: str
    layer: Literal["tenant", "user"]
    outcome: str
    key: str
    fields: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ImpactTenant:
    id: str
    name: str
    subjects: int
    parts: Sequence[Part]
    fields: str
    happens: str
    state: Literal["good", "attention", "bad"]
    icon: str
    url: str
    rows: Sequence[ImpactSubject] = ()


@dataclass(frozen=True, slots=True)
class ImpactView:
    """Whom a move reaches, finished or on its way (`done` of `all` organisations)."""

    id: str
    state: Literal["queued", "running", "done", "failed"]
    title: str
    note: str
    done: int
    all: int
    at: datetime
    parts: Sequence[Part]
    classes: Sequence[ClassLine]
    tenants: Sequence[ImpactTenant]
    total: int
    shown: str
    find: str = ""
    more_url: str = ""
    all_url: str = ""
    decide_url: str = ""
    decide: bool = False
    numbers_url: str = ""

    @property
    def going(self) -> bool:
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True)
class StepBox:
    """A step in the form, as it was typed, with what is wrong beside each of its fields; `number` names these."""

    number: int
    kind: Literal["percent", "tenants"]
    who: str
    hold: str
    hold_unit: str
    min_runs: str
    who_problem: str = ""
    hold_problem: str = ""
    runs_problem: str = ""


@dataclass(frozen=True, slots=True)
class GuardBox:
    """A guard in the form; without a limit it is not watched. `unit` is of the limit, `sample` what is counted."""

    name: str
    title: str
    help: str
    unit: str
    sample: str
    max: str
    min_runs: str
    does: Literal["pause", "roll_back"]
    max_problem: str = ""
    runs_problem: str = ""


@dataclass(frozen=True, slots=True)
class RolloutForm:
    """The form of steps and guards; `problems` are those that belong to no field."""

    steps: Sequence[StepBox]
    guards: Sequence[GuardBox]
    units: Sequence[Choice]
    message: str
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ImpactLine:
    """An impact in its feature's list: which move it is about, whom that includes, what came of looking, as a bar."""

    id: str
    title: str
    kind: str
    who: str
    state: Literal["queued", "running", "done", "failed"]
    asked: datetime
    by: str
    parts: Sequence[Part] = ()
    rollout: str = ""
