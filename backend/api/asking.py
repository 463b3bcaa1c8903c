"""How DRF learns who asks and reads what they send; apart from the doors, since its settings import these first."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from backend.actors import actor_of
from features.engine import Json, check_json, loads
from tenants.actor import Actor
from tenants.errors import Invalid, Malformed, TooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from rest_framework.views import APIView

MOST_BYTES = 2 * 1024 * 1024


class ActorAuthentication(BaseAuthentication):
    """A key, or the dashboard's session, which on writes must bring its CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        actor = actor_of(request._request)
        if actor is None:
            return None
        if "Authorization" not in request.headers:
            SessionAuthentication().enforce_csrf(request)
        return actor, None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Known(BasePermission):
    """Somebody asks. What they may do, the actions say."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(request.user, Actor)


class StrictJSONParser(BaseParser):
    """JSON as the engine reads it."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return read_json(stream)


def read_json(stream: Any) -> Json:
    """Read a body: UTF-8, no duplicate keys, no NaN; nothing at all is an empty object.

    Raises TooLarge (counted while reading, since a chunked body announces no size), Malformed, and Invalid with a
    pointer for what RFC 8785 or PostgreSQL cannot hold.
    """
    text = stream.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise TooLarge(f"A request has at most {MOST_BYTES} bytes.")
    body = loads(text) if text.strip() else {}
    wrong = check_json(body)
    if wrong:
        raise Invalid("The request holds something that cannot be kept.", errors=wrong)
    return body


def refuse_encoded(request: HttpRequest) -> None:
    """Raise UnsupportedMedia for a body that is compressed or otherwise encoded (RFC 9110, 8.4 and 12.5.3)."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        told = "Send the body as it is: no Content-Encoding is read here."
        raise UnsupportedMedia(told, headers={"Accept-Encoding": "identity"})


def refuse_nul(request: HttpRequest) -> None:
    """Raise Malformed for U+0000 in an address: PostgreSQL holds none, so nothing is called so."""
    if "\0" in request.path or any("\0" in value for values in request.GET.lists() for value in values[1]):
        raise Malformed("An address holds no U+0000.")
