"""`make screenshots`: the pictures of the README and of docs/dashboard.md, taken in Chromium into docs/screenshots.

Its clock is moved to PICTURED, so that the month which they show is the same on any day.
"""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.processes import Stack

from .conftest import login
from .picture_story import MESSAGES, Month, answering
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, overhear, sign_in

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
PEOPLE = {"alice": "alice@acme.example", "ada": "ada@acme.example", "olga": "operator@bespoke.example"}
SIZE = {"width": 1440, "height": 900}
QUALITY = 82  # of WebP, which keeps a page of text under 100 kB
HEAVIEST, ALL = 120_000, 1_000_000  # bytes: one picture, all together

pytestmark = [
    pytest.mark.browser,
    pytest.mark.screenshots,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@dataclass(frozen=True)
class Picture:
    """One picture: who looks at what, and what they do before it is taken."""

    name: str
    who: str
    path: str
    act: Callable[[Page], None] = lambda _page: None
    schemes: tuple[str, ...] = ("light",)


def answered(page: Page) -> None:
    page.get_by_label("Customer message").fill(MESSAGES[0]["message"])
    page.get_by_label("Customer's name").fill(MESSAGES[0]["customer_name"])
    for number, fact in enumerate(MESSAGES[0]["facts"]):
        if number:
            page.get_by_role("button", name="Add one more").click()
        page.locator("[data-b-list] input").nth(number).fill(fact)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#output .b-receipt-base")).to_be_visible(timeout=30_000)


def suggested(page: Page) -> None:
    page.get_by_label("What you want changed", exact=True).fill("Sign with my name")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#suggestion")).to_contain_text("Proposed: 1 change", timeout=30_000)


def chosen(page: Page) -> None:
    page.locator(".b-event a").nth(3).click()
    expect(page.locator("#moment .b-card-head")).to_be_visible()


PICTURES = [
    Picture("features", "alice", "/"),
    Picture("use", "alice", "/f/reply", answered, ("light", "dark")),
    Picture("mine", "alice", "/f/reply/mine", suggested),
    Picture("timeline", "alice", "/f/reply/timeline", chosen, ("light", "dark")),
    Picture("upgrade", "alice", "/f/reply/upgrade"),
    Picture("people", "ada", "/org/people"),
    Picture("usage", "ada", "/org/usage"),
    Picture("rollout", "olga", "/vendor/rollouts/{rollout}"),
    Picture("impact", "olga", "/vendor/rollouts/{rollout}?tab=impact"),
]


def test_the_pictures_are_taken_and_are_light(stack: Stack) -> None:
    assert f"{datetime.now(UTC):%Y-%m-%d}" == os.environ.get("PICTURED", "")[:10], "Take them by `make screenshots`."
    stack.model.default = answering
    month = Month(stack)
    month.tell()
    stack.web.stop()  # what it remembers is of before the month was spread
    stack.start()
    for email in PEOPLE.values():
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        for who, email in PEOPLE.items():
            for scheme in ("light", "dark"):
                taken = [one for one in PICTURES if one.who == who and scheme in one.schemes]
                if taken:
                    shoot(browser.new_context(base_url=stack.base_url, viewport=SIZE, color_scheme=scheme, reduced_motion="reduce"), email, taken, scheme, str(month.rollout.id))  # type: ignore[arg-type]  # fmt: skip
        browser.close()
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.webp")}
    assert len(sizes) == sum(len(one.schemes) for one in PICTURES)
    assert max(sizes.values()) <= HEAVIEST and sum(sizes.values()) <= ALL, sizes


def shoot(context: Any, email: str, pictures: list[Picture], scheme: str, rollout: str) -> None:
    """Sign somebody in and take their pictures."""
    page, said = context.new_page(), list[str]()
    page.set_default_timeout(30_000)
    overhear(page, said)
    sign_in(page, email)
    for one in pictures:
        page.goto(one.path.format(rollout=rollout), wait_until="load")
        one.act(page)
        page.evaluate("document.querySelectorAll('[data-b-toast]').forEach((toast) => toast.remove())")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        page.wait_for_load_state("networkidle")
        data = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        name = one.name if scheme == "light" else f"{one.name}-{scheme}"
        (FOLDER / f"{name}.webp").write_bytes(base64.b64decode(data["data"]))
    assert said == []
    context.close()
