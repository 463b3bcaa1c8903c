"""Alice's day in real Chromium, against real web and worker processes: greet, watch, make it hers, put it back."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.fakes.model import Answer, greeting
from tests.processes import Stack

from .conftest import login

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PASSWORD = "a long enough secret"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def alice(stack: Stack) -> Iterator[Page]:
    """Alice in front of Chromium. What the browser complains about, a refused script or style included, fails the test."""
    person = login("alice@acme.example")
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=stack.base_url)
        overhear(page, complaints)
        page.on(
            "requestfailed", lambda asked: complaints.append(f"{asked.url} {asked.failure}") if _lost(asked) else None
        )
        page.set_default_timeout(15_000)
        yield page
        browser.close()
    assert complaints == [], "\n".join(complaints)


def _lost(request: Any) -> bool:
    """A request that failed, other than those which the browser itself gives up when their page is left."""
    return not request.url.endswith("/events") and request.failure != "net::ERR_ABORTED"


def test_alice_greets_makes_it_hers_and_puts_it_back(stack: Stack, alice: Page) -> None:
    sign_in(alice)
    go(alice, "Greet")

    # She runs it, and sees the answer come in before it is complete.
    on = threading.Event()
    long = "Hello Ann, what a pleasure " + "and joy " * 8 + "to see you here."
    stack.model.script(Answer(f'{{"greeting": "{long}"}}', hold=on, after=6))
    alice.get_by_label("Name").fill("Ann")
    alice.keyboard.press("Control+Enter")
    output = alice.locator("#output")
    expect(output.locator("[data-b-pointer='/greeting']")).to_contain_text("Hello Ann, what")
    expect(output).to_have_attribute("aria-busy", "true")
    expect(output.locator("[data-b-progress]")).to_contain_text("Writing")
    on.set()
    expect(output).to_contain_text("to see you here.")
    receipt = output.locator(".b-receipt")
    expect(receipt).to_contain_text("Vendor version 1")
    expect(receipt).not_to_contain_text("Your revision")
    first = digest(alice)
    assert stack.model.requests[-1]["messages"][0]["content"].count("plain") == 1

    # She makes the tone hers: the draft survives leaving the page, the save does not stay a draft.
    go(alice, "Make it mine")
    row = alice.locator("#row-vars-tone")
    row.focus()
    alice.keyboard.press("Enter")
    row.get_by_role("radio", name="warm").check()
    alice.reload()
    expect(alice.locator("[data-b-drafts]")).to_contain_text("1 change is not saved yet.")
    row.get_by_role("link", name="Edit").click()
    expect(row.get_by_role("radio", name="warm")).to_be_checked()
    row.get_by_role("button", name="Save").click()
    expect(alice.locator(".b-toast")).to_contain_text("Saved as revision 1. Nobody else was changed.")
    expect(row).to_contain_text("The vendor has plain.")
    expect(alice.locator("[data-b-drafts]")).to_be_hidden()

    # The next answer says on its receipt that hers was used.
    go(alice, "Use")
    stack.model.script(greeting("Dearest Ann <script>document.title = 'taken'</script>"))
    alice.get_by_label("Name").fill("Ann")
    alice.get_by_role("button", name=re.compile("Run")).click()
    expect(receipt).to_contain_text("Your revision 1")
    expect(output).to_contain_text("<script>document.title = 'taken'</script>")
    assert "taken" not in alice.title() and digest(alice) != first
    assert stack.model.requests[-1]["messages"][0]["content"].count("warm") == 1
    alice.get_by_role("button", name="Not right").click()
    expect(alice.get_by_role("button", name="Not right")).to_have_attribute("aria-pressed", "true")

    # She puts it back as it was before, and has the first behavior again, byte for byte.
    go(alice, "Timeline")
    alice.get_by_role("link", name="Version 1 published").click()
    expect(alice.locator("#moment")).to_contain_text("1 field was different from now")
    alice.get_by_role("link", name="Put it back as it was here").click()
    expect(alice.locator("#confirm")).to_contain_text("Exact")
    alice.get_by_role("button", name="Put it back").click()
    expect(alice.locator("#sides")).to_contain_text("Greet is back to behavior A. Nobody else was changed.")
    expect(alice.locator("#stay")).to_contain_text("You stay as it was, with version 1")
    go(alice, "Use")
    alice.get_by_label("Name").fill("Ann")
    alice.keyboard.press("Control+Enter")
    expect(receipt).to_contain_text("pinned")
    assert digest(alice) == first
    verbs = [
        row[0]
        for row in stack.rows(
            "SELECT verb FROM tenants_auditevent WHERE actor = %s ORDER BY at", stack.cast.alice.label
        )
    ]
    assert verbs == ["override.user", "run.rate", "pin.user"]


def test_alice_stops_an_answer_that_she_does_not_want(stack: Stack, alice: Page) -> None:
    sign_in(alice)
    slow = Answer(f'{{"greeting": "Hello {"and hello " * 12}"}}', hold=threading.Event(), after=3)
    stack.model.script(slow)
    alice.goto("/f/greet")
    alice.get_by_label("Name").fill("Ann")
    alice.keyboard.press("Control+Enter")
    expect(alice.locator("[data-b-progress]")).to_contain_text("Writing")
    alice.get_by_role("button", name="Stop").click()
    expect(alice.locator("#output")).to_contain_text("This run was stopped")
    expect(alice.get_by_role("button", name=re.compile("Run"))).to_be_enabled()
    assert slow.closed.wait(30)


LANDS_ON = {"operator@bespoke.example": "Features and versions"}  # others see their features first


def sign_in(page: Page, email: str = "alice@acme.example") -> None:
    """As people do: by typing."""
    page.goto("/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name=LANDS_ON.get(email, "Features"), level=1)).to_be_visible()


def overhear(page: Page, said: list[str]) -> None:
    """Add to `said` what the browser complains of from now on."""
    page.on("console", lambda told: said.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))


def go(page: Page, name: str) -> None:
    """Follow a link to another page, and wait until its scripts listen."""
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("link", name=re.compile(f"^{name}")).first.click()


def digest(page: Page) -> str:
    """The whole digest on the receipt in view."""
    return page.locator("#output .b-receipt .b-digest").get_attribute("title") or ""
