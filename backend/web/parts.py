"""What the templates are given: frozen values that views make out of domain objects. No template reaches further."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .comparing import Piece
from .rendering import Node
from .words import initials, short_digest

Layer = Literal["base", "tenant", "user"]


# The shell


@dataclass(frozen=True, slots=True)
class MenuFeature:
    key: str
    title: str
    staying: bool = False


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

    @property
    def initials(self) -> str:
        return initials(self.person)


@dataclass(frozen=True, slots=True)
class Head:
    """A feature as its pages are headed.

    `mine` counts the fields that the person has changed, `ours` those that come from their organisation, and `shared`
    all that the organisation has changed, whether or not the person has something else.
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


# Runs


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
class OriginRow:
    """One field of "Why this answer?": its title, which layer decided it and by which version or revision."""

    title: str
    layer: Layer
    number: int
    text: str


# Make it mine


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A stretch of a field's text and the layer that wrote it."""

    layer: Layer
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class EditBox:
    """A row opened in place. `mode` is set or append; `beneath` is what would be inherited without the change.

    `as_set` and `as_append` are what an untouched box holds in either mode, so that switching does not append a text
    to itself.
    """

    widget: Literal["text", "line", "choice", "flag", "number", "json"]
    text: str
    as_set: str = ""
    as_append: str = ""
    mode: Literal["set", "append"] = "set"
    may_append: bool = False
    may_remove: bool = False
    options: Sequence[Choice] = ()
    max_chars: int | None = None
    min: float | None = None
    max: float | None = None
    beneath: str | None = None
    beneath_layer: Layer = "base"
    problems: Sequence[str] = ()
    stale: str = ""
    who_may: Sequence[Choice] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One field in the editor.

    `own` is the operation of the layer being edited ("" when it inherits), `below` and `below_layer` what lies beneath
    it. A `structured` value is JSON, folded under its `summary`. `locked` names who locked it, `suspended` says why an
    own change is inactive, `removed` that the field is gone.
    """

    field: str
    title: str
    layer: Layer
    paragraphs: Sequence[Paragraph]
    help: str = ""
    structured: bool = False
    summary: str = ""
    own: Literal["", "set", "append", "remove"] = ""
    below: str | None = None
    below_layer: Layer = "base"
    may_edit: bool = True
    locked: str = ""
    who_can: str = ""
    hidden: bool = False
    suspended: str = ""
    removed: bool = False
    restricted: bool = False
    edit: EditBox | None = None

    @property
    def id(self) -> str:
        return "row-" + self.field.replace(".", "-")


@dataclass(frozen=True, slots=True)
class RowGroup:
    key: str
    title: str
    rows: Sequence[Row]
    hint: str = ""
    may_add: bool = False


@dataclass(frozen=True, slots=True)
class NewSection:
    """The box for a section that does not exist yet, with what was typed into it."""

    name: str = ""
    text: str = ""
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RevisionLine:
    number: int
    saved: datetime
    by: str
    message: str
    current: bool


@dataclass(frozen=True, slots=True)
class Editor:
    """The editor of one layer. `etag` is what a save names, `show` the filter by origin, `kept` a stay as it was."""

    layer: Layer
    etag: str
    groups: Sequence[RowGroup]
    counts: Sequence[tuple[str, int]]
    show: str = "all"
    revision: int | None = None
    saved: datetime | None = None
    revisions: Sequence[RevisionLine] = ()
    new: NewSection | None = None
    may_edit: bool = True
    notice: str = ""
    kept: bool = False


# Timeline


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

    `act` and `fields` are posted back. `answer` is exact, substituted or cannot; `until` are the ends to choose from.
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

    @property
    def short_before(self) -> str:
        return short_digest(self.before)

    @property
    def short_after(self) -> str:
        return short_digest(self.after)


@dataclass(frozen=True, slots=True)
class Stay:
    """Whether the subject stays on something: kind is "" (follows), base or snapshot.

    With `of_tenant` it is the organisation that stays, and the person with it unless they choose for themselves.
    """

    version: int
    current: int
    kind: Literal["", "base", "snapshot"] = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
    reason: str = ""
    versions: Sequence[int] = ()
    may_pin: bool = True
    forbidden: str = ""
    of_tenant: bool = False


# Home and the vendor's list


@dataclass(frozen=True, slots=True)
class Card:
    """A feature on the home page; `stays` says that a pin of the person or their organisation decides its version."""

    feature: Head
    version: int
    runs: int
    stays: bool = False


@dataclass(frozen=True, slots=True)
class VendorFeature:
    key: str
    title: str
    summary: str
    current: int
    versions: Sequence["VendorVersion"]


@dataclass(frozen=True, slots=True)
class VendorVersion:
    number: int
    published: datetime
    by: str
    message: str
    digest: str
    current: bool

    @property
    def short(self) -> str:
        return short_digest(self.digest)
