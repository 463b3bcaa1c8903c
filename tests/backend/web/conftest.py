"""People at the dashboard, as Django's test client drives them."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from tenants.actor import Actor
from tenants.models import User
from tests.cast import Cast

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
SLUGS = {"Ada": "acme", "Alice": "acme", "Bob": "acme", "Vera": "acme", "Gus": "globex", "Mallory": "globex"}


class Person:
    """Somebody signed in. `see` and `part` (as htmx asks) get a page, `send` posts a form."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def see(self, path: str, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, words(answer)[:300]
        return answer.content.decode()

    def part(self, path: str) -> Any:
        return self.client.get(path, headers={"HX-Request": "true"})

    def send(self, path: str, *, htmx: bool = True, **form: Any) -> Any:
        headers = {"HX-Request": "true"} if htmx else {}
        return self.client.post(path, {name.replace("__", "/"): value for name, value in form.items()}, headers=headers)


def login(email: str) -> User:
    """A login as the web process has it: on the app's connection."""
    return User.objects.get(email=email)


def words(answer: Any) -> str:
    """What a page says: its text that is shown, tags taken out and blanks made one."""
    html = answer if isinstance(answer, str) else answer.content.decode()
    html = re.sub(r"<(script|style|template)\b.*?</\1>|<p[^>]* hidden>.*?</p>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def at_desk(cast: Cast) -> Callable[[Actor], Person]:
    """Sit somebody down at the dashboard: `at_desk(cast.alice).see("/")`."""

    def sit(who: Actor) -> Person:
        client = Client(raise_request_exception=True)
        email = "operator@bespoke.example" if who.tenant is None else f"{who.name}@{SLUGS[who.name]}.example".lower()
        client.force_login(login(email), backend=BACKEND)
        return Person(client)

    return sit
