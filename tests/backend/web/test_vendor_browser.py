"""Olga's rollout in real Chromium, against real web and worker processes: charts under the policy, parts that renew."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from features.actions.rollouts import pause
from tests.cast import GREET
from tests.outside import until
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, overhear, sign_in
from .vendor_story import begin, measure, tell

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def rollout(stack: Stack) -> str:
    """A rollout that was measured and is paused, so that nothing measures it anew; its address."""
    tell(stack.cast)
    row = begin(stack.cast)
    pause(row, why="Lunch", by=stack.cast.operator)
    measure(row, "pins_away", [0.0005 * n for n in range(1, 40)], sample=531)
    measure(row, "failed_checks", [None], sample=38)
    return f"/vendor/rollouts/{row.id}"


@pytest.fixture
def olga(stack: Stack) -> Iterator[Page]:
    """Olga in front of Chromium. What the browser complains about, a refused script or style included, fails the test."""
    person = login("operator@bespoke.example")
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=stack.base_url)
        overhear(page, complaints)
        page.set_default_timeout(15_000)
        sign_in(page, "operator@bespoke.example")
        yield page
        browser.close()
    # A form that was refused is told as a failed load, as it should be.
    assert [told for told in complaints if "status of 422" not in told] == []


def test_guards_are_drawn_and_parts_renew_but_never_under_the_cursor(stack: Stack, rollout: str, olga: Page) -> None:
    olga.goto(rollout)
    expect(olga.locator(".b-chart canvas")).to_have_count(4)
    until(lambda: red(olga, "pins_away") and blue(olga, "pins_away"), "the line is drawn")
    until(lambda: red(olga, "failed_checks"), "the limit is drawn")
    assert not blue(olga, "failed_checks")  # too few runs for a line
    olga.locator("#guard-pins_away .b-chart").hover()
    expect(olga.locator("#told-pins_away")).to_contain_text(re.compile(r"^\d\d:\d\d: \d(\.\d)?%, \d+ people$"))

    # While she reads a table and rests on a card, somebody else ends it: the rest of the page says so, these stay.
    olga.locator("#guard-pins_away summary").click()
    olga.locator("#places").hover()
    assert (
        stack.knock("operator")
        .post(f"{rollout.replace('/vendor', '')}/rollback", {"why": "Two complaints"})
        .status_code
        == 200
    )
    expect(olga.locator("#lead")).to_contain_text("Rolled back: everyone is on the version that they had before.")
    expect(olga.locator("#warning")).to_contain_text("Two complaints")
    expect(olga.locator("#verbs").get_by_role("button")).to_have_count(0)
    expect(olga.locator("#guard-pins_away details")).to_have_attribute("open", "")
    expect(olga.locator("#places")).to_have_attribute("data-b-waits", "yes")
    expect(olga.locator("#poll")).not_to_have_attribute("hx-trigger", re.compile("."))
    expect(olga.locator(".b-chart canvas")).to_have_count(4)


def test_olga_reads_whom_it_reaches_and_starts_it(stack: Stack, olga: Page) -> None:
    behavior = {**GREET, "prompt": "Greet {{ input.name | fence }}"}
    published = stack.knock("operator").post("/features/greet/versions", {"behavior": behavior, "publish": "none"})
    assert published.status_code == 201
    olga.goto("/vendor/f/greet/versions")
    olga.get_by_role("link", name="Start a rollout").click()
    olga.get_by_role("link", name="See whom it reaches").click()
    olga.get_by_role("button", name="Work out the impact").click()
    expect(olga.get_by_role("heading", name="By organisation")).to_be_visible()  # the worker has come to its end
    expect(olga.locator("#impact")).not_to_have_attribute("hx-trigger", re.compile("."))
    olga.get_by_role("link", name="Choose the steps").click()
    olga.get_by_role("button", name="Add a step").click()
    expect(olga.locator(".b-step-row")).to_have_count(4)
    olga.get_by_role("button", name="Remove step 1").click()
    expect(olga.locator(".b-step-row")).to_have_count(3)
    olga.get_by_label("How many, or which").nth(1).fill("10")
    olga.get_by_role("button", name="Start the rollout of version 2").click()
    expect(olga.get_by_text("It was not started.")).to_be_visible()
    expect(olga.get_by_role("group", name="Step 2")).to_contain_text("steps only grow")
    olga.get_by_label("How many, or which").nth(1).fill("60")
    olga.get_by_role("button", name="Start the rollout of version 2").click()
    expect(olga.locator("#lead")).to_contain_text("Step 1 of 3")


def red(page: Page, guard: str) -> bool:
    return pixels(page, guard, "red")


def blue(page: Page, guard: str) -> bool:
    return pixels(page, guard, "blue")


def pixels(page: Page, guard: str, like: str) -> bool:
    """Whether a guard's chart has any pixel of a colour."""
    return bool(
        page.evaluate(
            """([guard, like]) => {
            const drawn = document.querySelector(`#guard-${guard} canvas`);
            const copy = Object.assign(document.createElement("canvas"), { width: drawn.width, height: drawn.height });
            const context = copy.getContext("2d", { willReadFrequently: true });
            context.drawImage(drawn, 0, 0);
            const { data } = context.getImageData(0, 0, copy.width, copy.height);
            const tests = { red: (r, g, b) => r > 180 && b < 120 && g < 120, blue: (r, g, b) => b > 150 && r < 90 };
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && tests[like](data[i], data[i + 1], data[i + 2])) return true;
            return false;
        }""",
            [guard, like],
        )
    )
