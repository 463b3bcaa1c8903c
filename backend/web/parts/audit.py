"""The audit as its page shows it, exports and erasures."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditLine:
    """An event: who did what to what, and its details in words. `who` filters by its author.

    `did` and `name` say what was done and to what; `verb`, `target` and `given` are for whoever looks closer.
    """

    sequence: int
    at: datetime
    by: str
    who: str
    verb: str
    did: str
    target: str
    name: str
    detail: str
    given: str
    digest: str


@dataclass(frozen=True, slots=True)
class JobLine:
    """An export or an erasure. `state` is queued, running, done, failed or expired; `told` what it came to.

    `name` is the organisation's that was erased whole.
    """

    id: str
    state: str
    by: str
    asked: datetime
    told: str
    ends: datetime | None = None
    name: str = ""

    @property
    def going(self) -> bool:
        return self.state in ("queued", "running")
