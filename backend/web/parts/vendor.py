"""The vendor's pages: features, versions, what an act on a version would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.utils import timezone

from backend.web.words import short_digest

from .timeline import Difference


@dataclass(frozen=True, slots=True)
class OpenRollout:
    """A rollout as a badge that leads to it: where it goes, at which step of how many, `running` or `paused`."""

    id: str
    to: int
    state: str
    step: int
    steps: int
    reached: str = ""


@dataclass(frozen=True, slots=True)
class VendorFeature:
    key: str
    title: str
    summary: str
    icon: str
    current: int
    versions: int
    newest: int
    published: datetime | None
    withdrawn: Sequence[int] = ()
    rollout: OpenRollout | None = None
    listed_only: bool = False
    ends: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it is retired by now."""
        return self.ends is not None and self.ends <= timezone.now()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A version's withdrawal in force."""

    replacement: int
    reason: str
    since: datetime
    by: str


@dataclass(frozen=True, slots=True)
class VendorVersion:
    """A version in the list, with what may be done to it now."""

    number: int
    published: datetime
    by: str
    message: str
    digest: str
    current: bool
    rolling: bool = False
    stopped: Stopped | None = None
    may_move: bool = False
    may_roll_out: bool = False
    may_withdraw: bool = False

    @property
    def short(self) -> str:
        return short_digest(self.digest)


@dataclass(frozen=True, slots=True)
class VersionInFull:
    """A version's fields in order: title, text, and its rule in words where there is one; how many samples it has."""

    number: int
    digest: str
    fields: Sequence[tuple[str, str, str]]
    samples: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions side by side."""

    a: int
    b: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class VersionAct:
    """What an act on a version would do, said before it is done; for a withdrawal also its form, as it was filled."""

    act: Literal["current", "withdraw", "lift"]
    version: int
    title: str
    verb: str
    effects: Sequence[str]
    replacements: Sequence[int] = ()
    replacement: int | None = None
    reason: str = ""
    problems: Sequence[str] = ()
    may: bool = True
    impact_url: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Who has a feature, how long its outputs answer equal runs and when it ends, each in a sentence.

    `listed` are the organisations on its list, (slug, name), which count while `listed_only`.
    """

    listed_only: bool
    listed: Sequence[tuple[str, str]]
    who: str
    caching: str
    ends: datetime | None = None
    ended: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class OfferChange:
    """What a change of that would do, said before it is done. `typed` and `seen`, what was said, go with the yes."""

    act: str
    title: str
    verb: str
    effects: Sequence[str]
    typed: Sequence[tuple[str, str]]
    seen: str
    ends: bool = False
    problem: str = ""
