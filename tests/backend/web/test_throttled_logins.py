"""Guessing passwords: counted by address and by account, for all processes together, and shut while nothing counts."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client

from tenants.valkey import client as valkey
from tests.cast import Cast

from .conftest import BACKEND, login, words

LOGIN, RESET = "/accounts/login/", "/accounts/password/reset/"


def guess(number: int = 0, email: str = "", **headers: str) -> int:
    """One guess by somebody new at the door, and its status: 200 says that it was wrong."""
    form = {"login": email or f"nobody{number}@acme.example", "password": "wrong"}
    return Client().post(LOGIN, form, headers=headers).status_code


def test_one_address_has_ten_wrong_guesses_a_minute(cast: Cast) -> None:
    assert [guess(n) for n in range(12)] == [200] * 10 + [429] * 2


def test_another_address_in_a_header_is_no_other_address(cast: Cast) -> None:
    assert [guess(n, X_Forwarded_For=f"10.0.0.{n}") for n in range(12)] == [200] * 10 + [429] * 2


def test_behind_a_proxy_only_what_the_proxy_wrote_counts(cast: Cast, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert [guess(n, X_Forwarded_For=f"10.0.0.{n}, 192.0.2.1") for n in range(12)] == [200] * 10 + [429] * 2
    assert guess(99, X_Forwarded_For="192.0.2.1, 192.0.2.2") == 200


def test_one_account_has_five_wrong_guesses_from_anywhere(cast: Cast, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    found = [guess(email="alice@acme.example", X_Forwarded_For=f"192.0.2.{n}") for n in range(7)]
    assert found == [200] * 5 + [429] * 2


def test_the_count_is_one_for_all_processes(cast: Cast) -> None:
    guess()
    assert any(b"allauth" in key for key in valkey.keys("*"))


def test_while_nothing_can_be_counted_nobody_signs_in(cast: Cast, settings: Any) -> None:
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    answer = Client().post(LOGIN, {"login": "alice@acme.example", "password": "wrong"})
    assert answer.status_code == 503
    assert "again" in answer.content.decode()


def refused(path: str = LOGIN, **form: str) -> Any:
    """The answer to one guess too many."""
    answer = Client().post(path, {"login": "alice@acme.example", "password": "wrong", **form})
    assert answer.status_code == 429
    return answer


def test_whoever_guessed_too_often_is_told_what_to_do(cast: Cast) -> None:
    for _ in range(5):
        guess(email="alice@acme.example")
    page = words(refused())
    assert "Wait 5 minutes" in page and "Too many requests" in page


def test_whoever_guessed_too_often_is_told_when_the_next_guess_is_let_in(cast: Cast) -> None:
    with time_machine.travel(datetime(2026, 11, 27, tzinfo=UTC), tick=False) as clock:
        for _ in range(5):
            guess(email="alice@acme.example")
            clock.shift(10)
        assert refused()["Retry-After"] == "250"  # the first of five was fifty seconds ago
        clock.shift(200)
        again = refused()
        assert again["Retry-After"] == "50" and "Wait 1 minute," in words(again)
        clock.shift(49.5)
        assert refused()["Retry-After"] == "1"
        clock.shift(0.5)
        assert guess(email="alice@acme.example") == 200
        assert refused()["Retry-After"] == "10"


def test_the_limit_that_refuses_is_the_one_whose_seconds_are_told(cast: Cast) -> None:
    with time_machine.travel(datetime(2026, 11, 27, tzinfo=UTC), tick=False) as clock:
        for number in range(10):
            guess(number)
        clock.shift(20)
        assert refused()["Retry-After"] == "40"  # of the address, whoever is asked for
        clock.shift(40)
        for _ in range(3):
            Client().post(RESET, {"email": "alice@acme.example"})
        clock.shift(100)
        assert refused(RESET, email="alice@acme.example")["Retry-After"] == "200"


def test_the_right_password_does_not_help_while_an_account_is_guessed_at(cast: Cast) -> None:
    person = login("alice@acme.example")
    person.set_password("a horse in the library")
    person.save()
    for _ in range(5):
        guess(email=person.email)
    form = {"login": person.email, "password": "a horse in the library"}
    assert Client().post(LOGIN, form).status_code == 429


def test_signing_in_uses_up_no_guess(cast: Cast) -> None:
    person = login("alice@acme.example")
    person.set_password("a horse in the library")
    person.save()
    form = {"login": person.email, "password": "a horse in the library"}
    assert [Client().post(LOGIN, form).status_code for _ in range(12)] == [302] * 12


def test_a_wrong_guess_says_the_same_of_every_address(cast: Cast) -> None:
    pages = [
        words(Client().post(LOGIN, {"login": email, "password": "wrong"}))
        for email in ("alice@acme.example", "nobody@acme.example")
    ]
    assert pages[0] == pages[1] and "is not right" in pages[0]


def test_a_reset_says_the_same_of_every_address_and_only_its_owner_gets_a_link(cast: Cast) -> None:
    answers = [Client().post(RESET, {"email": email}) for email in ("alice@acme.example", "nobody@acme.example")]
    assert [(a.status_code, a["Location"]) for a in answers] == [(302, "/accounts/password/reset/done/")] * 2
    known, unknown = mail.outbox
    assert (known.to, unknown.to) == (["alice@acme.example"], ["nobody@acme.example"])
    assert "/accounts/password/reset/key/" in str(known.body)
    assert "/accounts/password/reset/key/" not in str(unknown.body)
    assert "/signup" not in str(unknown.body) and "ask an admin of your organisation" in str(unknown.body)


def test_resets_are_throttled_for_an_account_and_for_an_address(cast: Cast) -> None:
    resets = [Client().post(RESET, {"email": "alice@acme.example"}).status_code for _ in range(4)]
    assert resets == [302] * 3 + [429]
    others = [Client().post(RESET, {"email": f"nobody{n}@acme.example"}).status_code for n in range(10)]
    assert others == [302] * 6 + [429] * 4
    assert len(mail.outbox) == 9


@pytest.mark.parametrize("password", ["short", "password1234", "123456789012", "alice@acme.example"])
def test_a_reset_takes_no_weak_password(password: str, cast: Cast) -> None:
    Client().post(RESET, {"email": "alice@acme.example"})
    found = re.search(r"http://[^/]+(/\S+)", str(mail.outbox[0].body))
    assert found
    client = Client()
    form = client.get(found[1], follow=True).redirect_chain[-1][0]
    refused = client.post(form, {"password1": password, "password2": password})
    assert refused.status_code == 200 and "b-problems" in refused.content.decode()
    assert not login("alice@acme.example").check_password(password)


def test_a_reset_opens_the_login_and_ends_its_sessions_elsewhere(cast: Cast) -> None:
    elsewhere = Client()
    elsewhere.force_login(login("alice@acme.example"), backend=BACKEND)
    Client().post(RESET, {"email": "alice@acme.example"})
    found = re.search(r"http://[^/]+(/\S+)", str(mail.outbox[0].body))
    assert found
    client = Client()
    form = client.get(found[1], follow=True).redirect_chain[-1][0]
    done = client.post(form, {"password1": "a horse in the library", "password2": "a horse in the library"})
    assert done.status_code == 302 and login("alice@acme.example").check_password("a horse in the library")
    assert elsewhere.get("/").status_code == 302
    again = client.get(found[1], follow=True)
    assert "password1" not in again.content.decode()  # the link is used up


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "testserver:1337"])
def test_a_reset_leads_to_our_own_address_whatever_host_was_asked_for(host: str, cast: Cast, settings: Any) -> None:
    """Else whoever asks for somebody's reset chooses where the link takes its secret."""
    settings.BASE_URL = "https://bespoke.example"
    for email in ("alice@acme.example", "nobody@acme.example"):
        Client().post(RESET, {"email": email}, headers={"Host": host, "X-Forwarded-Host": "evil.example"})
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        assert re.findall(r"https?://[^/\s]+", str(message.body)) == ["https://bespoke.example"]
        assert host not in f"{message.subject} {message.body}" and "evil" not in str(message.body)
