"""Nobody else's page writes in somebody's name: every unsafe address asks for the token, and for where the page is from.

The table of every address (tests/test_isolation.py) is walked, so that a new one is tried too.
"""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from tests.cast import Cast
from tests.test_isolation import RANDOM, TABLE, Row

from .conftest import BACKEND, login

SAFE = {"get", "head", "options"}
UNSAFE = [row for rows in TABLE.values() for row in rows if row.method not in SAFE]
EMAILS = ("ada@acme.example", "operator@bespoke.example")
ELSEWHERE = {"Origin": "https://evil.example", "Referer": "https://evil.example/page"}


def person(email: str) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(login(email), backend=BACKEND)
    return client


def send(client: Client, row: Row, **headers: str) -> Any:
    """A write as the browser of somebody signed in would send it."""
    path = re.sub(r"{\w+}", RANDOM, row.path)
    api = row.path.startswith("/api/")
    body: dict[str, Any] = {"data": row.body or {}}
    if api:
        body["content_type"] = "application/json"
    return getattr(client, row.method)(path, **body, secure="Referer" in headers, headers=headers)


def token(client: Client) -> str:
    """The token that a page gives to its own forms."""
    page = client.get("/accounts/logout/").content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize("email", EMAILS)
def test_no_address_writes_without_the_token(email: str, cast: Cast) -> None:
    client = person(email)
    assert len(UNSAFE) > 60
    wrong = [(row.method, row.path, a.status_code) for row in UNSAFE if (a := send(client, row)).status_code != 403]
    assert wrong == []


@pytest.mark.parametrize("email", EMAILS)
def test_no_address_writes_for_a_page_from_elsewhere_even_with_the_token(email: str, cast: Cast) -> None:
    client = person(email)
    found = token(client)
    for elsewhere in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Referer": ELSEWHERE["Referer"]}):
        given = {**elsewhere, "X-CSRFToken": found}
        wrong = [
            (r.method, r.path, a.status_code) for r in UNSAFE if (a := send(client, r, **given)).status_code != 403
        ]
        assert (elsewhere, wrong) == (elsewhere, [])


def test_with_the_token_of_its_own_page_a_write_goes_through(cast: Cast) -> None:
    """So that it is the token which the others lacked."""
    client = person("ada@acme.example")
    found = token(client)
    row = Row("put", "/api/v1/features/greet/pin/user", "", {"version": 1})
    assert send(client, row, **{"X-CSRFToken": found}).status_code == 200
    form = {"act": "unpin", "csrfmiddlewaretoken": found}
    assert client.post("/f/greet/timeline", form).status_code == 302


def test_pages_give_the_token_to_what_htmx_sends_and_to_no_other_host(cast: Cast) -> None:
    page = person("ada@acme.example").get("/f/greet/mine").content.decode()
    assert re.search(r"""<body[^>]* hx-headers='{"X-CSRFToken": "\w{64}"}'""", page)
    assert '"selfRequestsOnly": true' in page and '"allowEval": false' in page


def test_no_other_site_may_read_an_answer(cast: Cast) -> None:
    """No CORS anywhere: a browser shows an answer to no page from elsewhere."""
    client = person("ada@acme.example")
    for path in ("/api/v1/me", "/", "/api/v1/openapi.json", "/f/greet"):
        for method in ("get", "options"):
            answer = getattr(client, method)(path, headers={"Origin": "https://evil.example"})
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")], path


def test_who_is_who_is_asked_anew_with_every_request(cast: Cast) -> None:
    client = person("alice@acme.example")
    assert client.get("/").status_code == 200
    removed = person("ada@acme.example")
    row = Row("delete", f"/api/v1/members/{cast.alice.subject.id}", "")  # type: ignore[union-attr]
    assert send(removed, row, **{"X-CSRFToken": token(removed)}).status_code == 204
    assert client.get("/").status_code == 403
    assert client.get("/api/v1/me").status_code in (401, 403)


def test_a_session_ends_with_signing_out_and_with_a_login_that_is_closed(cast: Cast) -> None:
    client = person("alice@acme.example")
    kept = client.cookies["session" if "session" in client.cookies else next(iter(client.cookies))].value
    client.post("/accounts/logout/", {"csrfmiddlewaretoken": token(client)})
    again = Client()
    again.cookies[next(iter(person("bob@acme.example").cookies))] = kept
    assert again.get("/").status_code == 302
    bob = person("bob@acme.example")
    row = login("bob@acme.example")
    row.is_active = False
    row.save(update_fields=["is_active"])
    assert bob.get("/").status_code == 302


def test_signing_in_gives_a_new_session(cast: Cast, settings: Any) -> None:
    """One that somebody knows from before is worth nothing afterwards."""
    row = login("alice@acme.example")
    row.set_password("a long enough secret")
    row.save(update_fields=["password"])
    client = person("bob@acme.example")
    before = client.cookies[settings.SESSION_COOKIE_NAME].value
    client.post("/accounts/logout/", {"csrfmiddlewaretoken": token(client)})
    client.cookies[settings.SESSION_COOKIE_NAME] = before
    page = client.get("/accounts/login/").content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    form = {"login": row.email, "password": "a long enough secret", "csrfmiddlewaretoken": found[1]}
    assert client.post("/accounts/login/", form).status_code == 302
    assert client.cookies[settings.SESSION_COOKIE_NAME].value not in ("", before)
    again = Client()
    again.cookies[settings.SESSION_COOKIE_NAME] = before
    assert again.get("/").status_code == 302


def test_signing_in_stays_shut_while_nobody_can_count(cast: Cast, settings: Any) -> None:
    row = login("alice@acme.example")
    row.set_password("a long enough secret")
    row.save(update_fields=["password"])
    form = {"login": row.email, "password": "a long enough secret"}
    assert Client().post("/accounts/login/", form).status_code == 302
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9"}}
    assert Client(raise_request_exception=False).post("/accounts/login/", form).status_code == 503


def test_every_answer_may_be_framed_by_nobody(cast: Cast) -> None:
    for path in ("/", "/f/greet", "/accounts/login/", "/api/v1/me", "/api/v1/docs", "/nothing", "/errors/not-found"):
        answer = person("ada@acme.example").get(path)
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"], path
        assert answer["X-Frame-Options"] == "DENY", path


def test_a_key_in_an_address_is_no_key(cast: Cast) -> None:
    key = cast.key(cast.alice)
    for query in (f"key={key}", f"api_key={key}", f"access_token={key}", f"Authorization=Bearer%20{key}"):
        assert Client().get(f"/api/v1/me?{query}").status_code == 400  # nothing that /me knows


def test_no_cache_on_the_way_keeps_a_page(cast: Cast) -> None:
    """Pages with a password, a link that resets it or recovery codes, the browser's own neither."""
    row = login("alice@acme.example")
    row.set_password("a long enough secret")
    row.save(update_fields=["password"])
    client = Client()
    client.post("/accounts/login/", {"login": row.email, "password": "a long enough secret"})
    for path in ("/accounts/password/change/", "/accounts/password/reset/key/1-abc/", "/accounts/2fa/"):
        answer = client.get(path)
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True), path
    for path in ("/", "/me", "/runs", "/nothing", "/api/v1/me", "/errors/not-found"):
        assert {"private", "no-cache"} <= set(client.get(path)["Cache-Control"].split(", ")), path


@pytest.mark.parametrize("posted", [True, False])
def test_whose_session_ended_comes_back_to_the_page_that_they_were_at(posted: bool, cast: Cast) -> None:
    """A form of the page may be sent somewhere that is none, and htmx asks from the page that it names."""
    page = "http://testserver/f/greet?run=1"
    headers = {"Referer": page} if posted else {"HX-Request": "true", "HX-Current-URL": page}
    sent = Client().post(f"/runs/{RANDOM}/again", headers=headers)
    assert sent["Location" if posted else "HX-Redirect"] == f"/accounts/login/?next={quote('/f/greet?run=1')}"
    elsewhere = {name: value.replace("testserver", "evil.example") for name, value in headers.items()}
    away = Client().post(f"/runs/{RANDOM}/again", headers=elsewhere)
    assert "evil" not in away["Location" if posted else "HX-Redirect"]
