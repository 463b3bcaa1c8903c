"""How DRF learns who asks and reads what they send; apart from the doors, since its settings import these first."""

from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from backend.actors import actor_of
from features.engine import loads
from tenants.actor import Actor

if TYPE_CHECKING:
    from rest_framework.views import APIView


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
    """JSON as the engine reads it: UTF-8, no duplicate keys, no NaN."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        text = stream.read()
        return loads(text) if text.strip() else {}
