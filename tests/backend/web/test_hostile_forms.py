"""Whatever is sent in whichever field of whichever form of whichever page: an answer for people, and never a bug's."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import cycle

import pytest
from django.core import mail
from django.test import Client

from tests.cast import Cast
from tests.test_isolation import TABLE, Alice, _filled, alice  # noqa: F401  # a fixture

from .conftest import BACKEND, login, words

WHO = {"ada": "ada@acme.example", "vendor": "operator@bespoke.example"}
HOSTILE = ["x" * 5000, "a\0b", "9" * 40, "a\r\nBcc: eve@evil.example"]
KEPT = {"csrfmiddlewaretoken", "act"}
LEAVING = ("/accounts/logout/", "/switch")  # after which nobody is there who asks


@dataclass
class Form:
    """A form that writes, as a page has it."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Forms(HTMLParser):
    """The forms of a page that are posted, and those that htmx posts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            posted = given.get("method", "").lower() == "post" or "hx-post" in given
            self._open = Form(given.get("hx-post") or given.get("action", "")) if posted else None
            if self._open:
                self.found.append(self._open)
        elif self._open and tag in ("input", "select", "textarea", "button") and given.get("name"):
            self._open.fields.setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def person(who: str) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(login(WHO[who]), backend=BACKEND)
    return client


def forms_of(client: Client, ids: dict[str, str]) -> dict[tuple[str, str, frozenset[str]], Form]:
    """Every form that somebody is shown anywhere, one of each kind."""
    found: dict[tuple[str, str, frozenset[str]], Form] = {}
    paths = {row.path for rows in TABLE.values() for row in rows if row.method == "get" and "/api/" not in row.path}
    for path in sorted(_filled(path, ids) for path in paths):
        page = client.get(path)
        if page.status_code != 200 or page.streaming or "html" not in page["Content-Type"]:
            continue
        reader = Forms()
        reader.feed(page.content.decode())
        for form in reader.found:
            form.action = form.action or path
            key = (form.action.split("?")[0], form.fields.get("act", ""), frozenset(form.fields))
            found.setdefault(key, form)
    return found


@pytest.mark.parametrize("who", WHO)
def test_no_field_of_any_form_breaks_anything(who: str, alice: Alice) -> None:  # noqa: F811
    client, broken, sent, hostile = person(who), [], 0, cycle(HOSTILE)
    for form in forms_of(client, alice.ids).values():
        if form.action.startswith(LEAVING) or form.fields.get("act") == "leave":
            continue
        for name in sorted(form.fields.keys() - KEPT):
            text = next(hostile)
            answer = client.post(form.action, {**form.fields, name: text})
            sent += 1
            if answer.status_code >= 500 and answer.status_code != 503:
                broken.append((form.action, form.fields.get("act"), name, text[:30], answer.status_code))
    assert broken == []
    assert sent > 20


@pytest.mark.parametrize(
    "address", ["", "carl", "a\r\nBcc: eve@evil.example", "x" * 300 + "@acme.example", "carl@acme"]
)
def test_what_is_no_address_is_not_invited(address: str, cast: Cast) -> None:
    answer = person("ada").post("/org/members", {"act": "invite", "email": address, "role": "member"})
    assert answer.status_code == 422 and "no e-mail address" in words(answer)
    assert mail.outbox == []


@pytest.mark.parametrize("path", ["/", "/me", "/runs", "/f/greet"])
def test_what_cannot_be_kept_is_refused_in_words(path: str, cast: Cast) -> None:
    for answer in (person("ada").get(f"{path}?anything=a%00b"), person("ada").post(path, {"name": "a\0b"})):
        assert answer.status_code in (400, 405) and (answer.status_code == 405 or "U+0000" in words(answer))


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12", "0001-01-01", "9" * 40]
)
def test_no_moment_in_an_address_breaks_a_page(text: str, cast: Cast) -> None:
    asked = "&".join(f"{name}={text.replace('+', '%2B')}" for name in ("at", "before", "from", "to", "since", "until"))
    for who, paths in (
        ("ada", ("/f/greet/timeline", "/org/f/greet/timeline", "/runs", "/org/audit")),
        ("vendor", ("/vendor/audit",)),
    ):
        for path in paths:
            assert person(who).get(f"{path}?{asked}").status_code in (200, 400, 404), path
    for who, path in (("ada", "/org/usage"), ("ada", "/org/usage.csv"), ("vendor", "/vendor/tenants")):
        assert person(who).get(f"{path}?month={text.replace('+', '%2B')}").status_code in (200, 400, 404), path
