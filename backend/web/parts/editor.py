"""The editor: rows, the box that a row opens into, revisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .layer import Layer


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
    new: NewSection | None = None
    promoting: Promoting | None = None
    may_promote: bool = False
    may_edit: bool = True
    notice: str = ""
    kept: bool = False
