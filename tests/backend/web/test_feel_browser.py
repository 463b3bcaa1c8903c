"""How the dashboard feels in Chromium: what takes long shows it, nothing is written twice, and Back undoes looking."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.fakes.model import greeting
from tests.processes import Stack

from .test_browser import CHROMIUM, alice, go, sign_in  # noqa: F401  # alice is a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
PATIENCE = 20_000  # ms that a worker may take on a busy machine
MUCH = 3_500  # ms, on the page's own clock

NOTE = """() => document.addEventListener("submit", () => setTimeout(() =>
  sessionStorage.setItem("said", document.querySelector(".b-again-form button").innerText)))"""


class Held:
    """Requests whose answers are held back until they are let go; and how many were sent."""

    def __init__(self, page: Page, pattern: str, method: str) -> None:
        self.routes, self.sent, self.holds = list[Route](), 0, True
        self._method, self._pattern = method, re.compile(pattern)
        page.route(self._pattern, self._hold)
        page.on("request", self._count)

    def _hold(self, route: Route) -> None:
        if self.holds and route.request.method == self._method:
            self.routes.append(route)
        else:
            route.continue_()

    def _count(self, request: Request) -> None:
        self.sent += request.method == self._method and bool(self._pattern.search(request.url))

    def let_go(self) -> None:
        self.holds = False  # what has been sent and is not here yet goes on as well
        for route in self.routes:
            route.continue_()
        self.routes.clear()


def boxes(page: Page) -> Any:
    """Where everything of the editor stands, to the half pixel."""
    return page.evaluate(
        "() => [...document.querySelectorAll('#editor, #editor *')].map((part) => {"
        " const box = part.getBoundingClientRect();"
        " return [part.localName, ...[box.x, box.y, box.width, box.height].map((n) => Math.round(n * 2) / 2)].join(' ') })"
    )


def test_what_is_looked_for_stands_as_a_skeleton_of_the_same_size_until_it_is_there(
    stack: Stack,
    alice: Page,  # noqa: F811
) -> None:
    sign_in(alice)
    alice.clock.install()
    alice.goto("/f/greet/mine")
    editor, title = alice.locator("#editor"), alice.locator("#row-vars-tone .b-field-title")
    held = Held(alice, r"\?show=base", "GET")
    before = boxes(alice)
    alice.get_by_role("link", name=re.compile("^Vendor")).click()
    expect(editor).not_to_have_class(re.compile("b-skeleton"))  # what answers at once does not flicker
    alice.clock.run_for(200)
    expect(editor).to_have_class(re.compile("b-skeleton"))
    expect(title).to_have_css("color", "rgba(0, 0, 0, 0)")
    assert boxes(alice) == before
    slow = alice.locator("[data-b-slow]")
    expect(slow).to_be_hidden()
    alice.clock.run_for(MUCH)
    expect(slow).to_contain_text(re.compile(r"Still working on it\. [34] s so far"))
    held.let_go()
    expect(alice).to_have_url(re.compile("show=base"))
    expect(editor).not_to_have_class(re.compile("b-skeleton"))
    expect(slow).to_be_hidden()


def test_a_button_says_that_it_works_and_a_double_click_writes_once(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)

    # htmx sends it: a field that is saved.
    alice.goto("/f/greet/mine?edit=vars.tone")
    row = alice.locator("#row-vars-tone")
    row.get_by_role("radio", name="warm").check()
    saving = Held(alice, r"/f/greet/mine", "POST")
    save = row.locator("button.btn-primary")
    save.dblclick()
    expect(save).to_have_text("Saving…", use_inner_text=True)
    saving.let_go()
    expect(alice.locator(".b-toast")).to_contain_text("Saved as revision 1.")
    assert saving.sent == 1

    # The browser sends it: a run that is asked once more.
    go(alice, "Use")
    stack.model.script(greeting("Hello Ann"), greeting("Hello again"))
    alice.get_by_label("Name").fill("Ann")
    alice.get_by_role("button", name=re.compile("^Run")).dblclick()
    expect(alice.locator("#output .b-receipt-base")).to_be_visible(timeout=PATIENCE)
    go(alice, "Why this answer")
    again = Held(alice, r"/again$", "POST")
    alice.evaluate(NOTE)  # a page that is being left answers no question
    alice.locator(".b-again-form button").dblclick()
    with alice.expect_navigation():
        again.let_go()
    assert again.sent == 1
    assert alice.evaluate("sessionStorage.getItem('said')") == "Starting…"
    assert stack.rows("SELECT count(*) FROM runs_run WHERE feature_id = %s", str(stack.cast.greet.pk)) == [(2,)]


def test_every_choice_has_an_address_and_back_undoes_it(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    here = alice.locator("main [aria-current=true]")

    alice.goto("/f/greet/mine")
    alice.get_by_role("link", name=re.compile("^Yours")).click()
    expect(alice).to_have_url(re.compile(r"\?show=user$"))
    back(alice, "/f/greet/mine")
    expect(here).to_have_text(re.compile("All"))
    expect(alice.locator("#row-vars-tone")).to_be_visible()
    expect(alice.locator("#menu")).to_be_visible()

    alice.goto("/f/greet/timeline")
    alice.get_by_role("link", name="Version 1 published").click()
    expect(alice.locator("#moment")).to_contain_text("behavior", ignore_case=True)
    address = alice.url
    back(alice, "/f/greet/timeline")
    expect(alice.locator("#moment")).to_contain_text("Choose a moment")
    alice.goto(address)
    expect(alice.locator("#moment")).not_to_contain_text("Choose a moment")

    alice.goto("/runs")
    alice.get_by_label("State").select_option("failed")
    expect(alice).to_have_url(re.compile("state=failed"))
    expect(alice.locator("#lines")).to_contain_text("No run is like that")
    back(alice, "/runs")
    expect(alice.locator("#lines")).to_contain_text("No runs yet")
    expect(alice.get_by_label("State")).to_have_value("")


def back(page: Page, path: str) -> None:
    """Go back, to a page that is whole again."""
    with page.expect_navigation(url=re.compile(f"{path}$"), wait_until="load"):
        page.evaluate("history.back()")
