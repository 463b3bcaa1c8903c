"""The box "say what you want changed": the wish, what came of it, and what it would do to one's last inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.web.comparing import Piece

from .runs import Failure, ReceiptLine
from .upgrade import Trial


@dataclass(frozen=True, slots=True)
class SuggestedLine:
    """One proposed operation. `kind` is set, append or remove; `why` says what forbids it, and then it has no box.

    `mode` and `text` are what the editor's own box would hold for it, for who wants to change it first.
    """

    id: str
    field: str
    title: str
    kind: str
    pieces: Sequence[Piece] = ()
    why: Sequence[str] = ()
    ticked: bool = True
    mode: str = "set"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Suggesting:
    """The box. `state` is empty before anything was asked, then working, ready, nothing, failed, saved or undone.

    `waits`: no worker has begun with it yet.
    `id` is the suggestion's run, `etag` the revision that it stands on, `problem` what is wrong beside the box, and
    `undo` the revision to go back to after it was saved (0: there was none). `ticked` are the query's `op=` of what is
    ticked, so that a trial can be looked at again under its address.
    """

    may: bool = False
    state: str = ""
    waits: bool = False
    id: str = ""
    request: str = ""
    reason: str = ""
    lines: Sequence[SuggestedLine] = ()
    refused: Sequence[SuggestedLine] = ()
    etag: str = ""
    problem: str = ""
    failed: Failure | None = None
    receipt: ReceiptLine | None = None
    asked: datetime | None = None
    trial: Trial | None = None
    saved: int = 0
    undo: int = 0
    ticked: str = ""

    @property
    def chosen(self) -> int:
        """How many changes would be saved."""
        return sum(line.ticked for line in self.lines)
