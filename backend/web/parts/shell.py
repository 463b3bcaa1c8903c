"""The menu around every page, a feature's head, the cards of home."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.web.words import initials


@dataclass(frozen=True, slots=True)
class MenuFeature:
    key: str
    title: str
    staying: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class MenuTenant:
    """An organisation that the person is in; `id` is what the switcher posts."""

    id: str
    name: str
    here: bool


@dataclass(frozen=True, slots=True)
class Shell:
    """What stands around every page. `tenant` is empty for an operator."""

    person: str
    role: str
    tenant: str
    features: Sequence[MenuFeature] = ()
    tenants: Sequence[MenuTenant] = ()
    operator: bool = False
    admin: bool = False
    standstill: str = ""  # suspended or closed: nothing runs or changes
    why: str = ""  # that is so, in the vendor's words

    @property
    def initials(self) -> str:
        return initials(self.person)


@dataclass(frozen=True, slots=True)
class Head:
    """A feature as its pages are headed.

    `mine` counts the fields that the person has changed, `ours` those that come from their organisation, and `shared`
    all that the organisation has changed, whether or not the person has something else. `waiting` is the version that
    a stay or a hold keeps from them, with `held` because of whose changes (`held_by`) on which fields. `ends` is when
    the vendor retires it, and `retiring` what it says of that.
    """

    key: str
    title: str
    summary: str
    verb: str = ""
    icon: str = ""
    mine: int = 0
    ours: int = 0
    shared: int = 0
    staying: bool = False
    waiting: int = 0
    held: bool = False
    held_by: str = ""
    held_fields: str = ""
    version: int = 0
    ends: datetime | None = None
    ended: bool = False
    retiring: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A feature on the home page; `stays` says that a pin of the person or their organisation decides its version."""

    feature: Head
    version: int
    runs: int
    stays: bool = False
