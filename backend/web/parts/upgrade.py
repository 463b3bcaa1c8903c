"""An upgrade: why one is still on the old version, what is to be decided, and what would come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.web.comparing import Piece
from backend.web.slots import Slot
from backend.web.words import short_digest

from .editor import EditBox
from .layer import Layer
from .timeline import Difference


@dataclass(frozen=True, slots=True)
class Decision:
    """One field that the vendor and the layer have both changed.

    `then` is what lay beneath when the layer changed it, `now` and `mine` are told by their difference from it.
    `merged` is the text with both changes, `both` the same to be read; `chosen` keep, take, both, edit, hold or
    nothing yet; `box` holds what is typed instead. Of a hidden one there are no texts. `why` says what does not work
    about a broken one.
    """

    field: str
    title: str
    broken: bool
    holds: bool
    then: Sequence[Piece]
    now: Sequence[Piece]
    mine: Sequence[Piece]
    merged: str | None
    box: EditBox | None
    chosen: str = ""
    why: Sequence[str] = ()
    problems: Sequence[str] = ()
    hidden: bool = False
    removes: bool = False
    gone: bool = False
    both: Sequence[Piece] = ()

    @property
    def id(self) -> str:
        return "decide-" + self.field.replace(".", "-")


@dataclass(frozen=True, slots=True)
class Kept:
    """An operation that needs no decision: what becomes of it (carried, redundant, orphaned, suspended), and why."""

    title: str
    outcome: str
    text: Sequence[Slot]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the decisions come to, rehearsed: digests before and after, what changes, and what still keeps one back."""

    before: str
    after: str
    changed: int
    takes: bool
    verb: str
    open: Sequence[str] = ()
    effects: Sequence[str] = ()
    anew: bool = False

    @property
    def short_before(self) -> str:
        return short_digest(self.before)

    @property
    def short_after(self) -> str:
        return short_digest(self.after)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The page of a layer. `state` is why: held, held by the organisation, pinned, pinned by it, open, or nothing.

    `old` is served now, `new` what following the vendor comes to. `may` says whether there are verbs at all.
    """

    layer: Layer
    state: Literal["held", "held_by_tenant", "pinned", "pinned_by_tenant", "open", ""]
    old: int
    new: int
    title: str
    reason: str
    etag: str
    may: bool
    forbidden: str = ""
    message: str = ""
    published: datetime | None = None
    until: datetime | None = None
    decisions: Sequence[Decision] = ()
    kept: Sequence[Kept] = ()
    coming: Sequence[Difference] = ()
    changes: int = 0
    notice: str = ""

    @property
    def carried(self) -> list[str]:
        return [item.title for item in self.kept if item.outcome in ("carried", "redundant")]


@dataclass(frozen=True, slots=True)
class Side:
    """One part of an output on both sides: what is left of it before, and what is new in it after."""

    label: str
    before: Sequence[Piece]
    after: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Tried:
    """One input that was tried on both behaviors. `same` is null while it is worked on; failures are told in words."""

    place: int
    title: str
    same: bool | None
    sides: Sequence[Side] = ()
    failed_before: str = ""
    failed_after: str = ""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """Outputs side by side on one's last inputs: how far it is, how many differ, and what it has cost.

    `address` is where it is looked at again; `&input=` after it chooses an input.
    """

    id: str
    address: str
    going: bool
    done: int
    inputs: Sequence[Tried]
    cost: str
    old: int
    new: int

    @property
    def differ(self) -> int:
        return sum(one.same is False for one in self.inputs)

    @property
    def compared(self) -> int:
        """On how many inputs at least one side answered."""
        return sum(one.same is not None and not (one.failed_before and one.failed_after) for one in self.inputs)

    @property
    def shown(self) -> Tried | None:
        return next((one for one in self.inputs if one.chosen), None)
