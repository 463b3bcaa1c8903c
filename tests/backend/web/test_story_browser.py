"""The six steps of the product's story, clicked in real Chromium by Ada, Alice, Mallory and Olga."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from features.actions.catalog import FOLDER, load_folder
from tenants.system import system_actor
from tests.fakes.model import Answer
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, go, overhear, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
MESSAGE = "I was charged twice for March. Please refund one of them. Jana Novak"
EMAILS = {
    "ada": "ada@acme.example", "alice": "alice@acme.example", "mallory": "mallory@globex.example",
    "olga": "operator@bespoke.example",
}  # fmt: skip
FEATURES = {"Triage": "triage", "Summarize": "summarize", "Reply": "reply", "Extract": "extract"}


def obliging(request: dict[str, Any]) -> Answer:
    """A model that answers with the least that the output's schema allows."""
    return Answer(json.dumps(least(request["response_format"]["json_schema"]["schema"])))


def least(schema: Mapping[str, Any]) -> Any:
    """The smallest value of a schema, texts a word long."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: least(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [least(schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "string" if "format" not in schema:
            return "word".ljust(schema.get("minLength", 0), "s")
    return None


@pytest.fixture
def people(stack: Stack) -> Iterator[dict[str, Page]]:
    """Four people, each in a browser of their own; whatever a browser complains about fails the test."""
    list(load_folder(FOLDER, force=False, by=system_actor("tests")))
    stack.model.default = obliging
    for email in EMAILS.values():
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    complaints: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield {who: _seated(browser, stack, email, complaints) for who, email in EMAILS.items()}
        browser.close()
    assert complaints == []


def _seated(browser: Browser, stack: Stack, email: str, complaints: list[str]) -> Page:
    page = browser.new_context(base_url=stack.base_url, viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    overhear(page, complaints)
    sign_in(page, email)
    return page


def opened(page: Page, feature: str, tab: str = "") -> None:
    """Go to a feature by the menu, and to one of its tabs."""
    with page.expect_navigation(wait_until="load"):
        page.locator("#menu").get_by_role("link", name=re.compile(f"^{feature}")).click()
    if tab:
        with page.expect_navigation(wait_until="load"):
            page.locator(".b-tabs").get_by_role("link", name=re.compile(tab)).click()


def used(page: Page, feature: str) -> str:
    """Use a feature on the message; the digest on the receipt."""
    opened(page, feature)
    form = page.locator("form").filter(has=page.locator("textarea")).first
    form.locator("textarea").first.fill(MESSAGE)
    page.keyboard.press("Control+Enter")
    receipt = page.locator("#output .b-receipt .b-digest")
    expect(receipt).to_be_visible(timeout=30_000)
    return receipt.get_attribute("title") or ""


def chosen(page: Page, field: str, value: str) -> None:
    """Change a field with choices in the editor, and save it."""
    row = page.locator(f"#row-{field}")
    row.get_by_role("link", name="Edit").click()
    row.get_by_role("radio", name=value, exact=True).check()
    with saved(page):
        row.get_by_role("button", name="Save").click()


@contextmanager
def saved(page: Page) -> Iterator[None]:
    with page.expect_response(lambda answer: answer.request.method == "POST" and answer.ok):
        yield


def test_the_story_in_six_steps(people: dict[str, Page]) -> None:
    ada, alice, mallory, olga = (people[name] for name in ("ada", "alice", "mallory", "olga"))

    # 1. The same message, two customers, four features: one behavior.
    first = {key: used(alice, title) for title, key in FEATURES.items()}
    assert first == {key: used(mallory, title) for title, key in FEATURES.items()}

    # 2. Ada shapes Reply for all of Acme, Alice again for herself; the receipt says why.
    opened(ada, "Reply", "For all of Acme")
    chosen(ada, "vars-tone", "formal")
    opened(alice, "Reply", "Make it mine")
    expect(alice.locator("#row-vars-tone")).to_contain_text("formal")
    chosen(alice, "vars-tone", "warm")
    hers, acmes = used(alice, "Reply"), used(ada, "Reply")
    assert len({hers, acmes, first["reply"]}) == 3 and used(mallory, "Reply") == first["reply"]
    expect(alice.locator("#output .b-receipt")).to_contain_text("Your revision 1")
    expect(ada.locator("#output .b-receipt")).to_contain_text("Acme revision 1")
    expect(mallory.locator("#output .b-receipt")).not_to_contain_text("revision")

    # 3. Olga writes version 2, sees whom it reaches, and rolls it out.
    go(olga, "Reply")
    go(olga, "Write the next version")
    type_over(olga, "Never ask for a password", "Never, ever ask for a password")
    expect(olga.locator("#checked")).to_contain_text("1 difference")
    olga.get_by_label("What changes, for the people").fill("Firmer about passwords")
    with olga.expect_navigation(url="**/versions"):
        olga.get_by_role("button", name="Publish version 2").click()
    go(olga, "Start a rollout")
    go(olga, "See whom it reaches")
    olga.get_by_role("button", name="Work out the impact").click()
    expect(olga.get_by_role("heading", name="By organisation")).to_be_visible(timeout=30_000)
    go(olga, "Choose the steps")
    while olga.locator(".b-step-row").count() > 1:
        before = olga.locator(".b-step-row").count()
        olga.get_by_role("button", name="Remove step 1").click()
        expect(olga.locator(".b-step-row")).to_have_count(before - 1)
    with olga.expect_navigation(url="**/rollouts/*"):
        olga.get_by_role("button", name="Start the rollout of version 2").click()
    expect(olga.locator("#lead")).to_contain_text("Everyone who did not choose to stay is on version 2")
    assert used(mallory, "Reply") != first["reply"]
    on_two = {"ada": used(ada, "Reply"), "mallory": used(mallory, "Reply")}
    assert used(alice, "Reply") != hers

    # 4. Alice puts it back as it was: byte for byte, and nobody else moves.
    opened(alice, "Reply", "Timeline")
    alice.get_by_role("link", name="Wording").or_(
        alice.get_by_role("link", name=re.compile("Tone.*warm"))
    ).first.click()
    alice.get_by_role("link", name="Put it back as it was here").click()
    expect(alice.locator("#confirm")).to_contain_text("Exact")
    alice.locator("#confirm").get_by_role("button", name="Put it back").click()
    expect(alice.locator("#sides")).to_contain_text("Nobody else was changed")
    assert used(alice, "Reply") == hers
    assert {"ada": used(ada, "Reply"), "mallory": used(mallory, "Reply")} == on_two

    # 5. Acme stays on version 1; the vendor goes back to it, and whoever chose for themselves stays.
    opened(ada, "Reply", "For all of Acme")
    go(ada, "Timeline")
    ada.get_by_label("Version", exact=True).select_option("1")
    ada.get_by_role("button", name="Stay on it").click()
    ada.locator("#confirm").get_by_role("button", name=re.compile("Stay on version 1")).click()
    expect(ada.locator("#stay")).to_contain_text("version 1")
    assert used(ada, "Reply") == acmes and used(mallory, "Reply") == on_two["mallory"]
    olga.goto("/vendor/f/reply/versions")
    go(olga, "Make current")
    with olga.expect_navigation():
        olga.get_by_role("button", name=re.compile("version 1")).click()
    assert used(mallory, "Reply") == first["reply"] and used(alice, "Reply") == hers

    # 6. A feature that was not there a minute ago runs at once.
    go(olga, "Features and versions")
    go(olga, "New feature")
    expect(olga.locator("#checked")).to_contain_text("Fits together")
    with olga.expect_navigation(url="**/versions"):
        olga.get_by_role("button", name="Make the feature").click()
    mallory.goto("/")
    assert used(mallory, "Shorten")


def type_over(page: Page, old: str, new: str) -> None:
    """Find a text in the editor as people do, and type another over it."""
    code = page.locator(".cm-content")
    code.click()
    page.keyboard.press("Control+f")
    expect(page.locator(".cm-search input[name=search]")).to_be_focused()
    page.keyboard.type(old)
    page.keyboard.press("Enter")
    expect(page.locator(".cm-searchMatch-selected")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.insert_text(new)
