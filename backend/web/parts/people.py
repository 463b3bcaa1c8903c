"""People of an organisation: what each has changed, what each stays on, and what an admin can do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.web.words import initials

from .editor import Choice
from .runs import OriginRow
from .timeline import Difference


@dataclass(frozen=True, slots=True)
class StayBadge:
    """What somebody stays on: held (by their own changes) or chosen (a pin)."""

    kind: Literal["held", "chosen", "suspended"]
    words: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OwnLine:
    """One feature of one person: how many fields they have changed and which, their stay, and the organisation's."""

    key: str
    title: str
    version: int
    changed: int
    fields: Sequence[str]
    stay: StayBadge | None = None
    pinned: bool = False
    reason: str = ""
    shared: int = 0


@dataclass(frozen=True, slots=True)
class PersonLine:
    key: str
    name: str
    email: str
    role: str
    left: bool
    own: Sequence[OwnLine]

    @property
    def initials(self) -> str:
        return initials(self.name)

    @property
    def changes(self) -> list[OwnLine]:
        return [line for line in self.own if line.changed]

    @property
    def stays(self) -> list[OwnLine]:
        return [line for line in self.own if line.stay]


@dataclass(frozen=True, slots=True)
class Looked:
    """Exactly what somebody is served of one feature."""

    key: str
    title: str
    version: int
    tenant: int | None
    user: int | None
    digest: str
    rows: Sequence[OriginRow]
    hidden: int
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A destructive act that waits for a yes: what it does, to whom, and how to undo it."""

    act: Literal["end", "inherit", "leave"]
    title: str
    text: str
    verb: str
    fields: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reached:
    """What passing changes on does to somebody: who and of what, the fields that change."""

    title: str
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Passing:
    """Changes that are about to be passed on: `hand` the organisation's to somebody, `leave` somebody's to a colleague.

    `asked` are the fields of the address by which this is shown, without the choices on it. `problem` says why it
    cannot be done so; `taken` that the other has changes of their own there, which may be replaced. `later` are the
    titles and queries of the pages that say of one feature each what it would do, where there are several.
    """

    act: Literal["hand", "leave"]
    title: str
    text: str
    verb: str
    asked: Sequence[tuple[str, str]]
    options: Sequence[Choice] = ()
    keep: bool = True
    replace: bool = False
    taken: bool = False
    problem: str = ""
    reached: Sequence[Reached] = ()
    later: Sequence[tuple[str, str]] = ()
