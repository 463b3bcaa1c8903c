"""A page that renews itself, while the server is away for some requests: it goes on by itself, and says nothing untrue."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.fakes.model import Answer
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def alice(stack: Stack) -> Iterator[Page]:
    """Alice in front of Chromium, which may complain of answers that fail."""
    for email in ("alice@acme.example", "bob@acme.example"):
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    stack.cast.key(stack.cast.alice)  # beside a browser no statement can be made in this thread
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=stack.base_url).new_page()
        page.set_default_timeout(15_000)
        yield page
        browser.close()


class Away:
    """The server as it is while its database is away, for requests to an address: so many, then it is back."""

    def __init__(self, page: Page, pattern: str, most: int) -> None:
        self.left = most
        page.route(pattern, self._answer)

    def _answer(self, route: Route) -> None:
        if self.left:
            self.left -= 1
            route.fulfill(status=503, body="The database is away.")
        else:
            route.continue_()


def test_a_batch_goes_on_before_her_eyes_when_the_server_was_away(stack: Stack, alice: Page) -> None:
    go = threading.Event()
    stack.model.default = lambda _: Answer('{"greeting": "Hello there"}', hold=go, after=3)
    batch = stack.knock("alice").post("/features/greet/batches", [{"input": {"name": "Ann"}}]).json()
    sign_in(alice)
    alice.goto(f"/batches/{batch['id']}")
    expect(alice.locator("#progress")).to_contain_text("0 of 1 have ended")
    away = Away(alice, f"**/batches/{batch['id']}*", 2)
    go.set()
    expect(alice.locator("#progress")).to_contain_text("1 of 1 have ended")
    assert away.left == 0
    expect(alice.locator("[data-b-trouble]")).to_be_hidden()  # she did nothing that failed


def test_an_answer_comes_when_the_server_was_away_while_it_was_written(stack: Stack, alice: Page) -> None:
    sign_in(alice)
    alice.goto("/f/greet")
    events, final = Away(alice, "**/events", 1), Away(alice, "**/f/greet?run=*", 2)
    alice.get_by_label("Name").fill("Ann")
    alice.keyboard.press("Control+Enter")
    expect(alice.locator("#output .b-receipt-base")).to_be_visible(timeout=20_000)
    assert (events.left, final.left) == (0, 0)
    expect(alice.locator("[data-b-trouble]")).to_be_hidden()


def test_who_signs_in_anew_in_another_tab_sends_what_was_typed_in_the_first(stack: Stack, alice: Page) -> None:
    sign_in(alice)
    alice.goto("/f/greet/mine?edit=instructions.role")
    row = alice.locator("#row-instructions-role")
    row.locator("textarea").fill("You greet people by their first name.")
    other = alice.context.new_page()
    other.goto("/accounts/logout/")
    other.get_by_role("button", name="Sign out").click()
    sign_in(other)
    row.get_by_role("button", name="Save").click()
    bar = alice.locator("[data-b-outdated]")
    expect(bar).to_contain_text("You have signed in anew")
    expect(row.locator("textarea")).to_have_value("You greet people by their first name.")
    row.get_by_role("button", name="Save").click()
    expect(alice.locator(".b-toast")).to_contain_text("Saved as revision 1.")


def test_nobody_sends_what_somebody_else_had_typed(stack: Stack, alice: Page) -> None:
    sign_in(alice)
    alice.goto("/f/greet")
    alice.get_by_label("Name").fill("Ann")
    other = alice.context.new_page()
    other.goto("/accounts/logout/")
    other.get_by_role("button", name="Sign out").click()
    sign_in(other, "bob@acme.example")
    for _time in range(2):
        alice.get_by_role("button", name="Run").click()
        expect(alice.locator("[data-b-outdated]")).to_contain_text("not signed in here any more")
        alice.locator("[data-b-outdated]").get_by_role("button", name="Close").click()
    assert stack.rows("SELECT count(*) FROM runs_run WHERE feature_id = %s", str(stack.cast.greet.pk)) == [(0,)]
