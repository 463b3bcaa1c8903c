"""One's own page: name and zone, sessions, leaving; second factors, and organisations that ask for them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.core.management import call_command
from django.test import Client

from backend.settings import secret_ring
from tenants.actions import require_mfa
from tenants.actor import Actor
from tests.cast import Cast
from tests.conftest import Knock

from .conftest import BACKEND, Person, login, words

Sit = Callable[[Actor], Person]
LOGIN, RESET = "/accounts/login/", "/accounts/password/reset/"
CODE, TOTP, CODES = "/accounts/2fa/authenticate/", "/accounts/2fa/totp/activate/", "/accounts/2fa/recovery-codes/"
PASSWORD = "a horse in the library"


def sign_in(email: str) -> tuple[Client, Any]:
    client = Client()
    return client, client.post(LOGIN, {"login": email, "password": PASSWORD})


def code_now(secret: str, step: int = 2) -> str:
    """A code that is good now (1) or a period from now (2), and stays so when a period ends meanwhile."""
    """The code of now; `step` 0 and 2 are those of half a minute before and after, which count as well."""
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[step]))


def set_up(client: Client) -> str:
    """Set a second factor up as a person does, who proves again who they are, and return its secret."""
    asked = client.get(TOTP)
    assert asked.status_code == 302 and asked["Location"].startswith("/accounts/reauthenticate/")
    page = client.post(asked["Location"], {"password": PASSWORD}, follow=True)
    assert page.status_code == 200, page
    found = re.search(r'id="authenticator_secret"[^>]*>([A-Z2-7]+)<', page.content.decode())
    assert found
    answer = client.post(TOTP, {"code": code_now(found[1], 1)})
    assert answer.status_code == 302, words(answer)
    return found[1]


@pytest.fixture
def alice(cast: Cast) -> Client:
    """Alice, who has just signed in with her password."""
    person = login("alice@acme.example")
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    client, answer = sign_in("alice@acme.example")
    assert answer.status_code == 302
    return client


def test_a_name_and_a_zone_are_kept_and_times_are_shown_in_it(alice: Client, at_desk: Sit, cast: Cast) -> None:
    person = Person(alice)
    answer = person.send("/me", htmx=False, act="profile", name="Alice M.", zone="Asia/Tokyo")
    assert answer.status_code == 302
    page = person.see("/me")
    assert "Alice M." in page and 'data-b-zone="Asia/Tokyo"' in page and "JST" in page
    assert "JST" not in at_desk(cast.bob).see("/me")


def test_a_zone_that_there_is_not_is_refused(at_desk: Sit, cast: Cast) -> None:
    refused = at_desk(cast.alice).send("/me", act="profile", name="A", zone="Moon/Base")
    assert refused.status_code == 422 and "That is no time zone." in words(refused)
    assert login("alice@acme.example").time_zone == ""


def test_sessions_are_listed_and_ended_everywhere_else(alice: Client, cast: Cast) -> None:
    other, _ = sign_in("alice@acme.example")
    stranger = Client()
    stranger.force_login(login("bob@acme.example"), backend=BACKEND)
    page = words(alice.get("/me"))
    assert page.count("127.0.0.1") == 2 and "this one" in page
    alice.post("/me", {"act": "end-sessions"})
    assert other.get("/").status_code == 302 and alice.get("/").status_code == stranger.get("/").status_code == 200
    assert words(alice.get("/me")).count("127.0.0.1") == 1


def test_a_new_password_ends_the_sessions_elsewhere(alice: Client, cast: Cast) -> None:
    other, _ = sign_in("alice@acme.example")
    new = "another horse in the library"
    form = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    answer = alice.post("/accounts/password/change/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/me")
    assert other.get("/").status_code == 302 and alice.get("/").status_code == 200


def test_whoever_leaves_is_asked_first_and_then_out(at_desk: Sit, cast: Cast) -> None:
    bob = at_desk(cast.bob)
    assert "Leave Acme?" in words(bob.see("/me?leave=yes"))
    bob.see("/")
    assert bob.send("/me", htmx=False, act="leave").status_code == 302
    bob.see("/", 403)
    refused = at_desk(cast.ada).send("/me", act="leave")
    assert refused.status_code == 409 and "needs an owner" in words(refused)


def test_whose_password_came_by_mail_sets_up_the_second_factor_that_is_asked_for(cast: Cast) -> None:
    """As the first operator and every organisation's first owner begin: made without a password, then a reset."""
    require_mfa(True, by=cast.ada)
    Client().post(RESET, {"email": "ada@acme.example"})
    found = re.search(r"http://[^/]+(/\S+)", str(mail.outbox[0].body))
    assert found
    form = Client().get(found[1], follow=True)
    form.client.post(form.redirect_chain[-1][0], {"password1": PASSWORD, "password2": PASSWORD})
    ada, _ = sign_in("ada@acme.example")
    assert ada.get("/")["Location"] == TOTP
    set_up(ada)
    assert ada.get("/").status_code == 200


def test_a_second_factor_is_asked_for_after_the_password(alice: Client, cast: Cast) -> None:
    secret = set_up(alice)
    client, answer = sign_in("alice@acme.example")
    assert answer["Location"].startswith(CODE)
    assert client.get("/").status_code == 302
    wrong = client.post(CODE, {"code": "000000"})
    assert wrong.status_code == 200 and client.get("/").status_code == 302
    assert client.post(CODE, {"code": code_now(secret)}).status_code == 302
    assert client.get("/").status_code == 200


def test_a_recovery_code_opens_once(alice: Client, cast: Cast) -> None:
    set_up(alice)
    code = re.findall(r"\b\d{8}\b", alice.get(CODES).content.decode())[0]
    outcomes = []
    for _ in range(2):
        client, _answer = sign_in("alice@acme.example")
        outcomes.append(client.post(CODE, {"code": code}).status_code)
    assert outcomes == [302, 200]


def test_codes_are_not_guessed(alice: Client, cast: Cast) -> None:
    set_up(alice)
    client, _ = sign_in("alice@acme.example")
    guesses = [client.post(CODE, {"code": f"{n:06}"}).status_code for n in range(7)]
    assert guesses == [200] * 5 + [429] * 2


def test_what_makes_codes_is_sealed_and_survives_a_new_key(alice: Client, cast: Cast, settings: Any) -> None:
    secret = set_up(alice)
    kept = [row.data for row in Authenticator.objects.all()]
    assert secret not in str(kept) and len(kept) == 2
    new = secret_ring([f"next:{'ab' * 32}"])
    settings.SECRET_RING = {**new, **settings.SECRET_RING}
    call_command("rotate_secrets")
    settings.SECRET_RING = new
    client, _ = sign_in("alice@acme.example")
    assert client.post(CODE, {"code": code_now(secret)}).status_code == 302


def test_an_organisation_asks_its_people_and_they_are_led_there_first(alice: Client, cast: Cast) -> None:
    key = Knock(cast.key(cast.alice), {})
    require_mfa(True, by=cast.ada)
    for path in ("/", "/f/greet", "/me", "/runs"):
        answer = alice.get(path)
        assert (answer.status_code, answer["Location"]) == (302, TOTP)
    assert alice.get("/", headers={"HX-Request": "true"})["HX-Redirect"] == TOTP
    assert alice.get("/api/v1/me").status_code == 403
    assert key.get("/me").status_code == 200
    assert "asks for a second factor" in words(alice.get(TOTP, follow=True))
    set_up(alice)
    assert alice.get("/").status_code == alice.get("/api/v1/me").status_code == 200


def test_other_organisations_ask_nobody(cast: Cast, at_desk: Sit) -> None:
    require_mfa(True, by=cast.gus)
    at_desk(cast.alice).see("/")


def test_it_is_part_of_the_policy(cast: Cast) -> None:
    ada, alice = Knock(cast.key(cast.ada), {}), Knock(cast.key(cast.alice), {})
    assert ada.patch("/tenant", {"policy": {"require_mfa": True}}).json()["policy"]["require_mfa"] is True
    assert ada.get("/audit").json()["items"][0]["detail"] == {"require_mfa": True}
    assert alice.patch("/tenant", {"policy": {"require_mfa": False}}).status_code == 403
    assert ada.patch("/tenant", {"policy": {"require_mfa": False, "users_may_pin": 9999}}).status_code == 422
    assert alice.get("/tenant").json()["policy"]["require_mfa"] is True


@pytest.mark.parametrize(
    "path",
    [
        LOGIN, RESET, f"{RESET}done/", "/accounts/password/change/", TOTP, "/accounts/reauthenticate/",
        "/accounts/logout/", "/accounts/2fa/", CODES, f"{CODES}generate/", "/accounts/2fa/totp/deactivate/",
    ],
)  # fmt: skip
def test_every_page_of_a_login_looks_like_ours(path: str, alice: Client, cast: Cast) -> None:
    if "2fa" in path and path != TOTP:
        set_up(alice)
    elif path == TOTP:
        alice.post(alice.get(TOTP)["Location"], {"password": PASSWORD})
    page = (Client() if path == LOGIN or path.startswith(RESET) else alice).get(path)
    html = page.content.decode()
    assert page.status_code == 200 and "b-door-card" in html and "b-door-title" in html
    assert "style=" not in html and "unsafe" not in page["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/accounts/email/", "/accounts/confirm-email/", "/accounts/2fa/webauthn/"])
def test_there_is_no_page_to_take_an_address_unproved_and_none_for_passkeys(path: str, alice: Client) -> None:
    assert alice.get(path).status_code == 404
