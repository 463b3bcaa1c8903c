"""Where else somebody is signed in, and signing out there; what their next page is to tell them."""

from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.internal.flows.sessions import end_other_sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.http import HttpRequest

from tenants.models import User

# What a browser's name is read from, in the order in which they claim to be each other.
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")


class _Cookie(CookieStorage):
    """Named as the session's cookie is: for this host alone where there is TLS, and apart on every port."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.cookie_name = settings.SESSION_COOKIE_NAME.replace("session", "messages")


class Messages(FallbackStorage):
    """What the next page tells, in a cookie; what is too long for one, in the session."""

    storage_classes = (_Cookie, SessionStorage)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One browser in which a person is signed in."""

    browser: str
    address: str
    since: datetime
    here: bool


def sessions_of(request: HttpRequest, user: User) -> list[SignedIn]:
    """Every session of a person that still counts, this one first and then the newest."""
    here = request.session.session_key
    rows = UserSession.objects.purge_and_list(user)
    found = [SignedIn(_browser(r.user_agent), r.ip, r.created_at, r.session_key == here) for r in rows]
    return sorted(found, key=lambda one: (one.here, one.since), reverse=True)


def end_others(request: HttpRequest, user: User) -> None:
    """Sign a person out everywhere but here, at once."""
    end_other_sessions(request, user)


def _browser(agent: str) -> str:
    """ "Firefox, Linux" of a User-Agent, or what it says when it is none of the usual ones."""
    name = next((_NAMES.get(word, word) for word in _BROWSERS if f"{word}/" in agent), "")
    system = next((word for word in _SYSTEMS if word in agent), "")
    return ", ".join(part for part in (name, system) if part) or agent[:60]
