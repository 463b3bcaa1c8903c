"""Everything a caller may be told, whatever the protocol.

AppError 400
├─ Malformed 400          not what this door reads: broken JSON, an unknown field, a bad header
├─ Unauthenticated 401    no key or session, or one that no longer counts
├─ OverBudget 402         a budget is spent; wait for its window or ask who can raise it
├─ Forbidden 403          your role does not allow this
├─ ApprovalNeeded 403     it takes a second operator, who is asked now
├─ Suspended 403          your organisation is suspended or closed: nothing runs or changes in it
├─ NotFound 404           missing, or another tenant's: word for word the same
├─ Conflict 409           the state of things does not allow it now
├─ Stale 412              somebody saved first
├─ TooLarge 413           more than this door takes
├─ UnsupportedMedia 415   not a content type that this door reads
├─ Invalid 422            readable, but it breaks a schema or a rule; every violation is named
├─ TooMany 429            slow down; Retry-After says for how long
└─ Unavailable 503        a part we stand on is away; Retry-After says when to ask again
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One violation: where in what the caller sent (RFC 6901 pointer), which rule, and what to do."""

    pointer: str
    rule: str
    message: str


class AppError(Exception):
    """An answer that is not the one asked for. Doors translate it once (RFC 9457 in the API)."""

    status = 400
    type = "bad-request"
    title = "The request cannot be carried out"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(self.detail)

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the RFC 9457 problem details of this error."""
        body: dict[str, Any] = {
            "type": f"/errors/{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request": request_id,
            **self.extra,
        }
        if self.errors:
            body["errors"] = [asdict(problem) for problem in self.errors]
        return body


class Malformed(AppError):
    status, type, title = 400, "malformed", "The request cannot be read"


class Unauthenticated(AppError):
    status, type, title = 401, "unauthenticated", "Who is asking is not known"


class OverBudget(AppError):
    status, type, title = 402, "over-budget", "A budget is spent"


class Forbidden(AppError):
    status, type, title = 403, "forbidden", "Your role does not allow this"


class ApprovalNeeded(AppError):
    status, type, title = 403, "approval-needed", "This takes a second operator"


class Suspended(AppError):
    status, type, title = 403, "suspended", "Your organisation is not active"


class NotFound(AppError):
    status, type, title = 404, "not-found", "There is nothing here"


class Conflict(AppError):
    status, type, title = 409, "conflict", "The state of things does not allow this now"


class Stale(AppError):
    status, type, title = 412, "stale", "Somebody saved first"


class TooLarge(AppError):
    status, type, title = 413, "too-large", "The request is too large"


class UnsupportedMedia(AppError):
    status, type, title = 415, "unsupported-media", "This content type is not read here"


class Invalid(AppError):
    status, type, title = 422, "invalid", "The request breaks a schema or a rule"


class TooMany(AppError):
    status, type, title = 429, "too-many", "Too many requests"


class Unavailable(AppError):
    status, type, title = 503, "unavailable", "A part that is needed is away"
