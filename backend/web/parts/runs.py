"""Runs: in a list, in full, with their receipt, and why they came out so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.web.forms import InputForm
from backend.web.rendering import Node
from backend.web.slots import Slot
from backend.web.words import short_digest

from .editor import Choice
from .layer import Layer
from .timeline import Difference


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """The receipt as a line. `notes` are words that are shown only when true: pinned, cached, repaired once …"""

    base: int
    tenant: int | None
    user: int | None
    digest: str
    model: str
    seconds: float | None = None
    cost: str = ""
    notes: Sequence[str] = ()

    @property
    def short(self) -> str:
        return short_digest(self.digest)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list. `verdict` is good, bad, corrected or empty."""

    id: str
    feature: str
    feature_title: str
    title: str
    state: str
    created: datetime
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class RunSearch:
    """What runs are looked for, as controls. `looked` says how many of the newest are looked through for words."""

    words: str
    features: Sequence[Choice]
    states: Sequence[Choice]
    ratings: Sequence[Choice]
    since: str = ""
    until: str = ""
    narrowed: bool = False
    looked: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run has no output: what happened, what to do, and the id under which the logs have it."""

    reason: str
    advice: str
    attempts: int
    request: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run in full. While it goes on, `nodes` are the places to fill and `events_url` says what fills them."""

    id: str
    feature: str
    feature_title: str
    title: str
    state: str
    created: datetime
    nodes: Sequence[Node]
    input_nodes: Sequence[Node] = ()
    finished: datetime | None = None
    receipt: ReceiptLine | None = None
    failure: Failure | None = None
    verdict: str = ""
    note: str = ""
    correction: Sequence[Difference] = ()
    checks: int = 0
    copy: str = ""
    events_url: str = ""
    may_rate: bool = False
    may_cancel: bool = False
    may_run_again: bool = False

    @property
    def going(self) -> bool:
        return self.state in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Correcting:
    """An output while it is corrected: its form, what the form changes, and whether it is to become an example."""

    form: InputForm
    change: Sequence[Difference] = ()
    may_exemplify: bool = False
    example: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CallLine:
    """One call to a model within a run. `outcome` is told in words, `failed` says that it came to nothing."""

    number: int
    kind: str
    model: str
    outcome: str
    failed: bool
    seconds: float | None
    tokens: str
    cost: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An input of the vendor's own to try a feature with; `place` is how its address names it."""

    place: int
    title: str


@dataclass(frozen=True, slots=True)
class OriginRow:
    """One field of "Why this answer?": its title, which layer decided it and by which version or revision."""

    title: str
    layer: Layer
    number: int
    text: Sequence[Slot]
