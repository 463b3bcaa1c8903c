"""If-Match and If-None-Match at the doors of what is replaced (RFC 9110, 13): nobody writes over what they did not see.

The ETag is a digest of what a write replaces, as GET shows it; what else an answer holds (what is spent, when a key was
last used) does not change it. The doors of overrides and pins, whose ETag is the revision, see to it themselves.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from features.find import find_feature
from features.validity import bump_vendor
from tenants.errors import ApprovalNeeded, Stale

from .door import WRITES, Door, expected_of

_MOVED = "Somebody changed this first, or it is not what you have seen. GET it again, and send the ETag that comes."
_THERE = "There is one already: GET it, and send its ETag in If-Match."


class Conditional(Door):
    """A door with a `get` that shows the `state` which its writes replace, and a `hold` that keeps it until COMMIT."""

    conditional = True
    state: ClassVar[tuple[str, ...]]  # of what GET answers
    optional = False  # whether there may be none yet: a state of nulls

    def hold(self, *arguments: Any, **named: Any) -> None:
        """Take the lock that every writer of this state takes, within the actor's transaction."""
        raise NotImplementedError

    def initial(self, request: Request, *arguments: Any, **named: Any) -> None:
        super().initial(request, *arguments, **named)
        method = (request.method or "").lower()
        write = getattr(self, method, None) if request.method in WRITES else None  # without one it is a 405
        if write is not None and ("If-Match" in request.headers or "If-None-Match" in request.headers):
            vars(self)[method] = partial(self._if_so, write)

    def _if_so(self, write: Callable[..., Response], request: Request, **named: Any) -> Response:
        """Compare and write in one transaction. Raises Stale, and keeps what asking another operator has written."""
        expected, asked = expected_of(request), None
        self.get(request, **named)  # type: ignore[attr-defined]  # may they see it, and is it there?
        with self.actor.present():
            self.hold(**named)
            shown = self.get(request, **named).data  # type: ignore[attr-defined]
            if expected.nothing and not (self.optional and all(shown[name] is None for name in self.state)):
                raise Stale(_THERE)
            if expected.etag is not None and expected.etag != self._etag(shown):
                raise Stale(_MOVED)
            try:
                return write(request, **named)
            except ApprovalNeeded as needed:
                asked = needed
        raise asked

    def finalize_response(self, request: Request, response: Any, *arguments: Any, **named: Any) -> Any:
        shown = getattr(response, "data", None) or {}
        if response.status_code == 200 and set(self.state) <= set(shown) and not shown.get("dry_run"):
            response.headers["ETag"] = self._etag(shown)
        return super().finalize_response(request, response, *arguments, **named)

    def _etag(self, shown: dict[str, Any]) -> str:
        digest = sha256(JSONRenderer().render([shown[name] for name in self.state])).hexdigest()
        return f'"{digest[:32]}"'


class OfFeature(Conditional):
    """Such a door of something that operators say of a feature."""

    def hold(self, **named: Any) -> None:
        bump_vendor(find_feature(named["feature"], self.actor).id)


def held(rows: QuerySet[Any], pk: UUID) -> None:
    """Hold a row until COMMIT; a missing one is GET's to tell."""
    list(rows.select_for_update(no_key=True).filter(pk=pk).values_list("pk"))
