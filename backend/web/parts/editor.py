"""The editor: rows, the box that a row opens into, revisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from backend.web.comparing import Piece
from backend.web.forms import InputForm
from backend.web.slots import Slot

from .layer import Layer


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A stretch of a field's text and the layer that wrote it; `slots` is a template's as people read it."""

    layer: Layer
    text: str
    slots: Sequence[Slot] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class ExampleForms:
    """An example as two forms: what goes in, and what should come out."""

    given: InputForm
    wanted: InputForm

    @property
    def value(self) -> dict[str, Any]:
        return {"input": self.given.value, "output": self.wanted.value}

    @property
    def problems(self) -> bool:
        return bool(self.given.problems or self.wanted.problems)


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What somebody saved while one was editing: `told` says who and what, `touched` whether it was this field.

    `then` is what one began with, `theirs` and `mine` are told by their difference from it, `merged` is the text with
    both changes.
    """

    told: str
    touched: bool
    then: str = ""
    theirs: Sequence[Piece] = ()
    mine: Sequence[Piece] = ()
    merged: str | None = None


@dataclass(frozen=True, slots=True)
class EditBox:
    """A row opened in place. `mode` is set or append; `beneath` is what would be inherited without the change.

    `as_set` and `as_append` are what an untouched box holds in either mode, so that switching does not append a text
    to itself.
    """

    widget: Literal["text", "line", "choice", "flag", "number", "json", "example"]
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
    meanwhile: Meanwhile | None = None
    example: ExampleForms | None = None
    who_may: Sequence[Choice] = ()

    @property
    def templated(self) -> bool:
        """Whether the text has places that each run fills in."""
        return self.widget == "text" and ("{{" in self.text or "{%" in self.text)


@dataclass(frozen=True, slots=True)
class Row:
    """One field in the editor.

    `own` is the operation of the layer being edited ("" when it inherits), `below` and `below_layer` what lies beneath
    it. A `structured` value is JSON, folded under its `summary`. `locked` names who locked it, `suspended` says why an
    own change is inactive, `removed` that the field is gone, `left_out` that the organisation took it out for all.
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
    left_out: bool = False
    restricted: bool = False
    edit: EditBox | None = None

    @property
    def prose(self) -> bool:
        """Whether a structured value is told in words rather than as JSON."""
        return self.field.startswith(("examples.", "checks."))

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
class NewExample:
    """The box for an example that does not exist yet. `run` is the run that it was begun from."""

    forms: ExampleForms
    name: str = ""
    run: str = ""
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Promoting:
    """Which of one's own changes are to be everybody's; `keep` says that one keeps them as one's own as well."""

    fields: Sequence[Choice]
    keep: bool = True
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
    older_revisions: int = 0
    new: NewSection | None = None
    new_example: NewExample | None = None
    promoting: Promoting | None = None
    may_promote: bool = False
    may_edit: bool = True
    notice: str = ""
    kept: bool = False
