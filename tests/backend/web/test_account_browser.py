"""The pages of people and logins in real Chromium, on a desk and on a phone: nothing is refused, nothing runs over."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from playwright.sync_api import Page, expect, sync_playwright

from tenants.invitations import invite
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, overhear

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(params=["desk", "phone"])
def ada(stack: Stack, request: Any) -> Iterator[Page]:
    """Ada in front of Chromium; whatever it complains about fails the test."""
    person = login("ada@acme.example")
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        size = DESK if request.param == "desk" else PHONE
        scheme: Any = "light" if request.param == "desk" else "dark"
        page = browser.new_page(viewport=size, base_url=stack.base_url, color_scheme=scheme)  # type: ignore[arg-type]
        overhear(page, complaints)
        page.set_default_timeout(30_000)
        yield page
        browser.close()
    assert [said for said in complaints if "status of 4" not in said] == []


@pytest.fixture
def link(stack: Stack) -> str:
    """Where the mail leads by which Ada invites Zoe."""
    invite(email="zoe@acme.example", role="member", by=stack.cast.ada)
    found = re.search(r"/join/\S+", str(mail.outbox[-1].body))
    assert found
    return found[0]


def look(page: Page, path: str = "") -> None:
    """Open a page, or look at the present one: it fits its width."""
    if path:
        page.goto(path)
    page.wait_for_load_state("domcontentloaded")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), page.url


def code_now(secret: str, step: int) -> str:
    """A code that is good now (1) or a period from now (2), and stays so when a period ends meanwhile."""
    return format_hotp_value(hotp_value(secret, list(yield_hotp_counters_from_time())[step]))


def test_ada_invites_makes_a_key_and_locks_her_login(stack: Stack, ada: Page) -> None:
    look(ada, "/accounts/password/reset/")
    look(ada, "/accounts/login/")
    ada.get_by_label("Email").fill("ada@acme.example")
    ada.get_by_label("Password").fill(PASSWORD)
    ada.get_by_role("button", name="Sign in").click()
    expect(ada).to_have_url(re.compile("/$"))

    look(ada, "/org/members")
    ada.get_by_role("textbox", name="Email").fill("carl@acme.example")
    ada.get_by_role("button", name="Send the invitation").click()
    expect(ada.get_by_role("cell", name=re.compile("carl@acme.example by Ada"))).to_be_visible()
    ada.get_by_role("link", name="Remove Bob").click()
    expect(ada.get_by_role("heading", name="Remove Bob from Acme?")).to_be_visible()
    look(ada)

    look(ada, "/org/keys")
    ada.get_by_label("What it is for").fill("shop")
    ada.get_by_role("button", name="Make the key").click()
    expect(ada.get_by_label("The key", exact=True)).to_have_value(re.compile("^bsk_"))
    look(ada)
    look(ada, "/org/access")
    look(ada, "/org/people")
    look(ada, "/me/keys")
    look(ada, "/me")

    ada.get_by_role("link", name="Set up a second factor").click()
    look(ada)
    ada.get_by_label("Password").fill(PASSWORD)
    ada.get_by_role("button").filter(has_text="Confirm").click()
    secret = ada.locator("#authenticator_secret").input_value()
    assert ada.locator(".b-qr").evaluate("image => getComputedStyle(image).backgroundColor") == "rgb(255, 255, 255)"
    look(ada)
    ada.get_by_label("Code").fill(code_now(secret, 1))
    ada.get_by_role("button", name="Turn it on").click()
    expect(ada).to_have_url(re.compile("recovery-codes"))
    look(ada)
    look(ada, "/accounts/2fa/")
    look(ada, "/accounts/password/change/")
    look(ada, "/accounts/logout/")
    ada.get_by_role("button", name="Sign out").click()
    look(ada, "/accounts/login/")
    ada.get_by_label("Email").fill("ada@acme.example")
    ada.get_by_label("Password").fill(PASSWORD)
    ada.get_by_role("button", name="Sign in").click()
    expect(ada).to_have_url(re.compile("2fa/authenticate"))
    look(ada)
    ada.get_by_label("Code").fill(code_now(secret, 2))
    ada.get_by_role("button", name="Sign in").click()
    expect(ada).to_have_url(re.compile("/$"))


def test_zoe_comes_in_by_the_link_of_her_invitation(stack: Stack, link: str, ada: Page) -> None:
    zoe = ada  # who sits down where nobody has signed in yet
    look(zoe, link)
    zoe.get_by_label("Your name").fill("Zoe")
    zoe.get_by_label("Password").fill(PASSWORD)
    zoe.get_by_role("button", name="Join Acme").click()
    expect(zoe).to_have_url(f"{stack.base_url}/")
    look(zoe)
    zoe.goto(link)
    expect(zoe.get_by_text("This invitation is not known, has ended, or was used already.")).to_be_visible()
