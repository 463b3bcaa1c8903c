"""Alice with a keyboard alone: Use and Make it mine from signing in to an example of her own, without a pointer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from features.actions.catalog import FOLDER, load_file, read_file
from tenants.system import system_actor
from tests.fakes.model import greeting
from tests.processes import Stack

from .test_browser import CHROMIUM, PASSWORD, alice  # noqa: F401  # alice is a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
PATIENCE = 20_000  # ms that a worker may take on a busy machine
STOPS = 120  # of the Tab key, after which something is out of reach

# What has the focus: its name as a screen reader has it (near enough), and whether somebody who looks can see it there.
FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body || at === document.documentElement) return {name: "", lost: true};
  const label = at.labels?.length ? [...at.labels].map((one) => one.innerText).join(" ") : "";
  const by = (at.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.innerText ?? "").join(" ");
  const name = [at.getAttribute("aria-label"), by, label, at.innerText, at.id].find((words) => words?.trim()) ?? "";
  const drawn = [at, at.nextElementSibling, at.closest("label")].filter(Boolean).some((part) =>
    [getComputedStyle(part), getComputedStyle(part, "::after")].some((style) =>
      (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || (part === at && at.matches("input, textarea, select") && style.boxShadow !== "none")));
  const box = (at.closest("label") ?? at).getBoundingClientRect();
  const place = (at.closest(".b-field, .b-event") ?? at).getBoundingClientRect(); // a row is read as one
  const card = at.closest(".b-card, .b-menu, .b-tabs, .b-head");
  return {
    name: name.trim().replace(/\\s+/g, " "), tag: at.tagName.toLowerCase(), id: at.id, lost: false, seen: drawn,
    inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    card: card ? [...document.querySelectorAll(".b-card, .b-menu, .b-tabs, .b-head")].indexOf(card) : -1,
    top: place.top + scrollY, bottom: place.bottom + scrollY,
  };
}"""


def focus(page: Page) -> dict[str, Any]:
    """What has the focus now: it is somewhere, drawn, and in view (to which a page may take a moment to scroll)."""
    at = page.evaluate(FOCUS)
    assert not at["lost"], f"the focus is lost on {page.url}"
    assert at["seen"], f"nobody sees that the focus is on {at}"
    if not at["inView"]:
        expect(page.locator(":focus")).to_be_in_viewport()
    return dict(at)


def tab_to(page: Page, name: str, key: str = "Tab") -> dict[str, Any]:
    """Press Tab until what is called so has the focus. Each stop on the way can be seen, and none goes back up its card."""
    before = dict[str, Any]()
    passed = list[str]()
    while len(passed) < STOPS:
        page.keyboard.press(key)
        at = focus(page)
        passed.append(at["name"][:40])
        if key == "Tab" and before and before["card"] == at["card"] >= 0:
            assert at["bottom"] > before["top"], f"{at} comes after {before}, and stands above it"
        if re.search(name, at["name"]):
            return at
        before = at
    raise AssertionError(f"no way to {name}: {passed}")


@pytest.fixture
def offered(stack: Stack) -> Iterator[Stack]:
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))
    yield stack


def typed_in(page: Page) -> None:
    """Sign in by typing: the first box has the focus already."""
    page.goto("/")
    page.wait_for_load_state("load")
    if not re.search("Email", focus(page)["name"]):
        tab_to(page, "Email")
    page.keyboard.type("alice@acme.example")
    tab_to(page, "^Password")
    page.keyboard.type(PASSWORD)
    pressed(page, "Enter")


def pressed(page: Page, key: str) -> None:
    """Press a key that leads to another page."""
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press(key)


def test_alice_uses_and_shapes_a_feature_with_keys_alone(offered: Stack, alice: Page) -> None:  # noqa: F811
    stack, keys = offered, alice.keyboard
    typed_in(alice)

    # The first stop of a page leads past the menu; the menu leads to the feature.
    keys.press("Tab")
    assert focus(alice)["name"] == "Skip to the page"
    keys.press("Enter")
    assert alice.evaluate("document.activeElement.id") == "main"
    tab_to(alice, "^Greet", "Shift+Tab")
    pressed(alice, "Enter")
    expect(alice).to_have_url(re.compile("/f/greet$"))

    # The form, and the run: while it goes on she can stop it, and when it is over run it again.
    tab_to(alice, "^Name")
    keys.type("Ann")
    stack.model.script(greeting("Hello Ann"))
    tab_to(alice, "^Run")
    keys.press("Enter")
    expect(alice.locator("#output .b-receipt-base")).to_be_visible(timeout=PATIENCE)
    assert focus(alice)["name"].startswith("Run")

    # The output comes next: the thumbs keep the focus, the correction takes it and gives it back.
    tab_to(alice, "^Not right")
    keys.press("Enter")
    expect(alice.get_by_role("button", name="Not right")).to_have_attribute("aria-pressed", "true")
    assert focus(alice)["name"] == "Not right"
    tab_to(alice, "^Correct it")
    keys.press("Enter")
    expect(alice.locator("#correct")).to_be_visible()
    assert focus(alice)["name"].startswith("Greeting")
    keys.press("Control+a")
    keys.type("Dear Ann")
    expect(alice.locator("#change")).to_contain_text("Dear")
    assert focus(alice)["name"].startswith("Greeting")
    tab_to(alice, "^Save correction")
    keys.press("Enter")
    expect(alice.locator("#output")).to_contain_text("As it should read")
    assert focus(alice)["name"] == "Correct it again"

    # Make it mine: a row opens by Enter, Escape closes it and keeps the draft, Ctrl+Enter saves.
    tab_to(alice, "^Make it mine", "Shift+Tab")
    pressed(alice, "Enter")
    tab_to(alice, "^Role")
    keys.press("Enter")
    box = alice.locator("#row-instructions-role textarea")
    expect(box).to_be_focused()
    keys.type(" Be brief.")
    keys.press("Escape")
    expect(box).to_have_count(0)
    assert focus(alice)["id"] == "row-instructions-role"
    keys.press("Enter")
    expect(box).to_be_focused()
    expect(box).to_have_value(re.compile("Be brief"))
    keys.press("Control+Enter")
    expect(alice.locator("#row-instructions-role")).to_contain_text("The vendor has")
    assert focus(alice)["id"] == "row-instructions-role"
    tab_to(alice, "^Inherit again")
    keys.press("Enter")
    expect(alice.locator("#row-instructions-role")).not_to_contain_text("Be brief")
    assert focus(alice)["id"] == "row-instructions-role"

    # An example of her own.
    tab_to(alice, "^Add an example")
    keys.press("Enter")
    expect(alice.locator("#row-new")).to_be_visible()
    assert focus(alice)["id"] == "new-name"
    tab_to(alice, "^Name$")
    keys.type("Zoe")
    tab_to(alice, "^Greeting")
    keys.type("Hello Zoe")
    tab_to(alice, "^Add the example")
    keys.press("Enter")
    expect(alice.locator("#row-examples-zoe")).to_be_visible()
    assert focus(alice)["name"] == "Add an example"


def test_what_opens_over_a_page_keeps_the_focus_until_it_closes(offered: Stack, alice: Page) -> None:  # noqa: F811
    """The menu and the box of a phone: Tab goes round within, Escape closes, and the focus is back on what opened it."""
    alice.set_viewport_size({"width": 390, "height": 844})
    typed_in(alice)
    alice.goto("/f/greet/mine")
    for opener, part in (("^Menu", "#menu"), ("^Say what you want changed", "#suggestion")):
        tab_to(alice, opener)
        alice.keyboard.press("Enter")
        expect(alice.locator(f"{part} :focus")).to_have_count(1)
        for _stop in range(25):
            alice.keyboard.press("Tab")
            inside = "part => document.activeElement === document.body || !!document.activeElement.closest(part)"
            assert alice.evaluate(inside, part), alice.evaluate(FOCUS)
        alice.keyboard.press("Escape")
        assert re.search(opener, focus(alice)["name"])
