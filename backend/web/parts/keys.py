"""API keys, and what one can be made for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ScopeBox:
    """One thing that a key can be for."""

    key: str
    word: str
    means: str


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key without its secret: live, rotated (it ends soon, another has its place), revoked or ended.

    `requests` a minute and `runs` in flight are limits of its own, None where the organisation's count.
    """

    id: str
    name: str
    holder: str
    scopes: Sequence[str]
    created: datetime
    expires: datetime | None
    used: datetime | None
    state: str
    may_rotate: bool
    requests: int | None = None
    runs: int | None = None

    @property
    def live(self) -> bool:
        return self.state in ("live", "rotated")
