"""Members, and who is asked to become one."""

from dataclasses import dataclass
from datetime import datetime

from backend.web.words import initials


@dataclass(frozen=True, slots=True)
class MemberLine:
    """Somebody in the organisation; `may_change` says whether the person looking may give another role or remove."""

    id: str
    name: str
    email: str
    role: str
    role_word: str
    since: datetime
    you: bool
    may_change: bool
    last_owner: bool

    @property
    def initials(self) -> str:
        return initials(self.name)


@dataclass(frozen=True, slots=True)
class InvitationLine:
    """Somebody who was asked to come: open, accepted, revoked or expired."""

    id: str
    email: str
    role_word: str
    host: str
    state: str
    sent: datetime
    expires: datetime

    @property
    def open(self) -> bool:
        return self.state == "open"

    @property
    def unanswered(self) -> bool:
        return self.state in ("open", "expired")
