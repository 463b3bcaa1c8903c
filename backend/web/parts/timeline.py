"""The timeline: events, a chosen moment, what an act would do, whether one stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

from backend.web.comparing import Piece
from backend.web.words import short_digest

from .editor import Choice
from .layer import Layer


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with the letters of the behavior before and after it."""

    at: datetime
    layer: Layer
    title: str
    by: str
    before: str = ""
    after: str = ""
    chosen: bool = False
    stay: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    title: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Moment:
    """A chosen moment (or the behavior of a run): what was served then, and what differed from now."""

    at: datetime
    digest: str
    base: int
    tenant: int | None
    user: int | None
    differences: Sequence[Difference]
    letter: str = ""
    run: str = ""
    is_now: bool = False
    may_restore: bool = True
    forbidden: str = ""

    @property
    def short(self) -> str:
        return short_digest(self.digest)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What an act on the timeline would do, before it is done.

    `act` and `fields` are posted back. `answer` is exact, substituted or cannot; `until` are the ends to choose from;
    the letters are those of both behaviors, where they are in view.
    """

    act: Literal["restore", "pin", "unpin"]
    title: str
    verb: str
    before: str
    after: str
    differences: Sequence[Difference]
    fields: Sequence[tuple[str, str]]
    answer: Literal["exact", "substituted", "cannot"] = "exact"
    reasons: Sequence[str] = ()
    effects: Sequence[str] = ()
    until: Sequence[Choice] = ()
    until_note: str = ""
    letters: tuple[str, str] = ("", "")

    @property
    def query(self) -> str:
        """The address of this confirmation on its page, which the server reads again."""
        return "?" + urlencode([("confirm", self.act), *self.fields])

    @property
    def short_before(self) -> str:
        return short_digest(self.before)

    @property
    def short_after(self) -> str:
        return short_digest(self.after)


@dataclass(frozen=True, slots=True)
class Stay:
    """Whether the subject stays on something: kind is "" (follows), base or snapshot.

    `held` says whose changes hold it there (tenant or user). With `of_tenant` it is the organisation that stays, and
    the person with it unless they choose for themselves.
    """

    version: int
    current: int
    kind: Literal["", "base", "snapshot"] = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
    reason: str = ""
    as_of: datetime | None = None
    versions: Sequence[int] = ()
    may_pin: bool = True
    forbidden: str = ""
    of_tenant: bool = False
    held: str = ""
