"""What all doors of the API share: who asks, what is read, how lists are paged, what a writer last saw."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.actors import READS, known_of
from features.actions.overrides import ANY, Expected
from features.find import find_feature
from features.resolve import serve_known, serve_warm
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Malformed, NotFound, Stale

from .asking import refuse_encoded, refuse_nul
from .counting import count, with_limits
from .fields import Strict, read_time
from .idempotency import answered_once, idempotency_key
from .problems import other_method
from .queries import refuse_unknown

LIMIT, MOST = 50, 200
WRITES = ("PUT", "PATCH", "DELETE")
PRIVATE = "private, no-cache"  # one caller's, and asked for anew each time
_NO_CURSOR = "That is no cursor of this list: use `next` of the page before."
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


class Door(APIView):
    """A DRF view whose caller is an Actor. What is posted with an Idempotency-Key is done once."""

    once_itself = False  # whether `post` sees to that
    conditional = False  # whether its writes read If-Match

    def initial(self, request: Request, *arguments: Any, **named: Any) -> None:
        refuse_nul(request._request)
        refuse_encoded(request._request)
        super().initial(request, *arguments, **named)
        count(request._request, self.actor)
        refuse_unknown(request._request)
        if not self.conditional and request.headers.get("If-Match", "*").strip() != "*" and request.method not in READS:
            raise Stale(
                "There is no ETag here that If-Match could name: what is asked does not replace what others "
                "write. Leave If-Match out."
            )
        post = getattr(self, "post", None)
        if request.method == "POST" and post and idempotency_key(request._request) and not self.once_itself:
            vars(self)["post"] = partial(self._once, post)

    def _once(self, post: Callable[..., Response], request: Request, **named: Any) -> HttpResponseBase:
        return answered_once(request._request, self.actor, request.data, lambda: post(request, **named))

    def finalize_response(self, request: Request, response: Any, *arguments: Any, **named: Any) -> Any:
        response = super().finalize_response(request, response, *arguments, **named)
        response.headers.setdefault("Cache-Control", PRIVATE)
        return with_limits(response, request._request)

    def http_method_not_allowed(self, request: HttpRequest, *arguments: Any, **named: Any) -> Response:
        raise other_method(self.allowed_methods)

    @property
    def actor(self) -> Actor:
        """Who asks."""
        actor: Actor = self.request.user  # type: ignore[assignment]
        return actor

    def now_served(self, feature: str) -> Served:
        """What the caller is served of a feature: by what authenticating has read, or read now. Raises NotFound."""
        actor, known = self.actor, known_of(self.request._request)
        served = serve_known(known, actor.tenant_id, actor.acting_for()) if known else None
        if served is not None:
            return served
        found = find_feature(feature, actor)
        with actor.present():
            return serve_warm(found, actor.tenant_id, actor.acting_for())

    def read(self, serializer: type[Strict]) -> dict[str, Any]:
        """Return the body as the serializer reads it. Raises Malformed (400) and ValidationError (422)."""
        bound = serializer(data=self.request.data)
        bound.is_valid(raise_exception=True)
        return dict(bound.validated_data)


def shown_once(told: dict[str, Any], text: str) -> Response:
    """Answer a key that was just made, with its text, which no cache may keep."""
    return Response({**told, "key": text}, status=201, headers={"Cache-Control": "no-store"})


def page(
    request: Request, rows: QuerySet[Any], as_json: Callable[[Any], Any], *, actor: Actor, by: str = "id"
) -> Response:
    """Answer one page of a list, newest first: {"items", "next"}; `next` is the cursor of the page after, or null."""
    return paged(request, rows, lambda seen: [as_json(row) for row in seen], actor=actor, by=by)


def paged(
    request: Request, rows: QuerySet[Any], as_json: Callable[[list[Any]], list[Any]], *, actor: Actor, by: str = "id"
) -> Response:
    """As `page`, where the rows of a page are told together."""
    limit, cursor = _limit(request), request.query_params.get("cursor")
    rows = rows.order_by(f"-{by}")
    if cursor:
        rows = rows.filter(**{f"{by}__lt": _cursor(cursor, by)})
    with actor.present():
        seen = list(rows[: limit + 1])
        items = as_json(seen[:limit])
    more = str(getattr(seen[limit - 1], by)) if len(seen) > limit else None
    return Response({"items": items, "next": more})


def page_of(request: Request, items: list[dict[str, Any]], shown: Callable[[dict[str, Any]], bool]) -> Response:
    """As `page`, of a list that is worked out as a whole and whose items have ids; `shown` says which are asked for."""
    limit, cursor = _limit(request), request.query_params.get("cursor")
    ids = [item["id"] for item in items]
    if cursor and cursor not in ids:
        raise Malformed(_NO_CURSOR)
    left = [item for item in items[ids.index(cursor) + 1 if cursor else 0 :] if shown(item)]
    more = left[limit - 1]["id"] if len(left) > limit else None
    return Response({"items": left[:limit], "next": more})


def _limit(request: Request) -> int:
    limit = whole(request.query_params.get("limit"), LIMIT)
    if not 1 <= limit <= MOST:
        raise Malformed(f"limit is a whole number from 1 to {MOST}.")
    return limit


def expected_of(request: Request, *, required: bool = False) -> Expected:
    """Read If-Match and If-None-Match (RFC 9110, 13.1). Raises Malformed for neither where one is required."""
    match, none = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if none is not None:
        if none.strip() != "*":
            raise Malformed("If-None-Match is `*` here: it says that there is nothing yet.")
        return Expected(nothing=True)
    if match is not None:
        if match.strip() == "*":
            return ANY
        tag = _ETAG.fullmatch(match.strip())
        if tag is None:
            raise Malformed('If-Match is one ETag, such as "3".')
        return Expected(etag=tag[1])
    if required:
        raise Malformed("Send If-Match with the ETag that you last saw, or If-None-Match: * the first time.")
    return ANY


def moment(text: str | None, name: str = "at") -> datetime | None:
    """Read an RFC 3339 time. Raises Malformed for anything else, a time without zone included."""
    if text is None:
        return None
    at = read_time(re.sub(r" (\d\d:\d\d)$", r"+\1", text))  # an unescaped + arrives as a space
    if at is None:
        raise Malformed(f"{name} is an RFC 3339 time with its zone, such as 2026-03-03T09:30:00Z.")
    return at


def flag(request: Request | HttpRequest, name: str) -> bool:
    """Read a query parameter that is true or false. Raises Malformed for anything else."""
    value = request.GET.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise Malformed(f"{name} is true or false.")
    return value in ("true", "1")


def found(rows: QuerySet[Any], pk: UUID, actor: Actor) -> Any:
    """Return the row with this id that the actor sees; NotFound says the same of a missing one and another's."""
    with actor.present():
        row = rows.filter(pk=pk).first()
    if row is None:
        raise NotFound
    return row


def whole(text: str | None, default: int) -> int:
    """Read a whole number of at most nine digits; -1 for anything else."""
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1


def _cursor(text: str, by: str) -> Any:
    try:
        return UUID(text) if by == "id" else _number(text)
    except ValueError:
        raise Malformed(_NO_CURSOR) from None


def _number(text: str) -> int:
    number = whole(text, -1)
    if number < 0:
        raise ValueError(text)
    return number
