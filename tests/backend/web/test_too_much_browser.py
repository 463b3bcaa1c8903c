"""Names as long as they may be, without a blank, in other scripts; many fields and features: every width holds them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from features.actions.versions import create_feature
from features.runs.accept import accept
from tenants.actions import add_member
from tests.cast import GREET
from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD
from .test_every_page import EMAILS, WIDTHS, signed_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
RIGHT_TO_LEFT = "هذا نص طويل من اليمين إلى اليسار" * 3


def nested(depth: int) -> dict[str, Any]:
    """An object in an object in an object, each with a long title and description."""
    if depth == 0:
        return {"type": "string", "title": f"Leaf {LONG}", "maxLength": 300}
    inner = {"inner": nested(depth - 1)}
    told = {"title": f"Level {depth} {'Z' * 64}", "description": "D" * 120}
    return {"type": "object", "additionalProperties": False, "properties": inner, **told}


def much() -> dict[str, Any]:
    """Forty fields, some of them four deep, and an output of long names as a table."""
    kinds: list[Mapping[str, Any]] = [
        {"type": "string", "title": "T" * 100, "maxLength": 200}, {"enum": ["one", "W" * 120]}, nested(3), {"type": "boolean"},
    ]  # fmt: skip
    properties = {f"f{n}": kinds[n % 4] for n in range(40)}
    row = {
        "type": "object",
        "properties": {"url": {"type": "string"}},
        "required": ["url"],
        "additionalProperties": False,
    }
    output = {
        "type": "object", "required": ["text", "rows"], "additionalProperties": False,
        "properties": {"text": {"type": "string", "title": "G" * 100}, "rows": {"type": "array", "items": row}},
    }  # fmt: skip
    taken = {"type": "object", "properties": properties, "required": ["f0"], "additionalProperties": False}
    return {
        **GREET, "input": taken, "output": output, "prompt": "{{ input.f0 | fence }}", "examples": {}, "checks": {}
    }  # fmt: skip


@pytest.fixture
def crowded(stack: Stack) -> dict[str, list[str]]:
    """Pages that show all of it, by who looks at them."""
    cast = stack.cast
    made = {"summary": "S" * 300, "rules": {"vars.tone": {"choices": ["plain", "W" * 80]}}, "by": cast.operator}
    feature, _ = create_feature(key="much", title="F" * 100, behavior=much(), **made)
    for n in range(30):
        create_feature(key=f"f{n}", title=f"{RIGHT_TO_LEFT[:100]}", behavior=GREET, by=cast.operator)
    add_member(email=f"{'p' * 60}@{'a' * 60}.example", role="member", name=LONG * 2, by=cast.ada)
    stack.model.default = lambda _: Answer(
        json.dumps({"text": RIGHT_TO_LEFT + "w" * 400, "rows": [{"url": "u" * 300}]})
    )
    run = accept(feature, {"f0": "y" * 200}, by=cast.alice).run_id
    until(lambda: stack.waiting() == 0, "the run has ended", 30)
    for email in EMAILS.values():
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    return {
        "alice": [
            "/", "/f/much", "/f/much/mine", "/f/much/timeline", "/f/much/batches", "/batches", "/runs", f"/runs/{run}"
        ],
        "ada": ["/org/people", "/org/members", "/org/usage", "/org/f/much"],
        "operator": ["/vendor/features", "/vendor/f/much/versions?show=1", "/vendor/f/much/availability"],
    }  # fmt: skip


@pytest.fixture
def chromium(crowded: object) -> Any:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def test_nothing_is_too_long_for_a_page(stack: Stack, crowded: dict[str, list[str]], chromium: Browser) -> None:
    wide = []
    for who, paths in crowded.items():
        page, said = signed_in(chromium, stack, EMAILS[who], "light")
        for path in paths:
            page.goto(path, wait_until="load")
            wide += [f"{path} at {width}: {px} px" for width in WIDTHS if (px := width_at(page, width)) > width]
        assert who != "ada" or in_reach(page)
        assert who != "alice" or from_the_right(page)
        assert said == []
        page.context.close()
    assert wide == []


def width_at(page: Page, width: int) -> int:
    """How wide a page is in a window of a width."""
    page.set_viewport_size({"width": width, "height": 900})
    return int(page.evaluate("document.documentElement.scrollWidth"))


def in_reach(page: Page) -> bool:
    """Whether a menu of many features shows the one that is open, and what stands below them."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/f/much")
    menu = page.locator("#menu")
    for part in (menu.get_by_role("link", name="People"), menu.locator("[aria-current]")):
        expect(part).to_be_in_viewport()
    return True


def from_the_right(page: Page) -> bool:
    """Whether the last line of an answer in Arabic stands where Arabic lines begin. The page is that of its run."""
    return bool(
        page.locator("#output .b-paragraph").first.evaluate(
            "(text) => { const all = document.createRange(); all.selectNodeContents(text);"
            " const last = [...all.getClientRects()].at(-1), box = text.getBoundingClientRect();"
            " return box.right - last.right < 2 && last.left - box.left > 2 }"
        )
    )
