"""In real Chromium: whatever somebody has typed outlives a reload, and nothing else takes them out of what they do."""

import re

import pytest
from playwright.sync_api import Page, expect

from features.actions.catalog import FOLDER, load_file, read_file
from features.actions.targets import add_target
from tenants.system import system_actor
from tests.fakes.model import greeting
from tests.processes import Stack

from .test_browser import CHROMIUM, alice, go, sign_in  # noqa: F401  # alice is a fixture
from .test_upgrading import held

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
PATIENCE = 20_000  # ms that a worker may take on a busy machine
LONG = "You greet people as old friends, and mind what they told you last time. " * 12


@pytest.fixture
def behind(stack: Stack) -> Stack:
    """Alice is held back by a change of hers."""
    held(stack.cast)
    return stack


@pytest.fixture
def replying(stack: Stack) -> Stack:
    """A feature that takes a text, and so has more tools than the cast's own, which asks for a name."""
    system = system_actor("tests")
    add_target(alias="standard", provider="demo", model="m", input_price=1, output_price=1, by=system)
    load_file(read_file(FOLDER / "reply.yaml"), force=False, by=system)
    return stack


def test_a_decision_outlives_a_reload_until_it_is_made(behind: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    alice.goto("/f/greet/upgrade")
    own = alice.locator("textarea[name='v:instructions.role']")
    alice.get_by_label("Edit the text").check()
    own.fill(LONG)
    alice.reload()
    expect(alice.get_by_label("Edit the text")).to_be_checked()
    expect(own).to_have_value(LONG)
    take = alice.locator("#decision .btn-primary")
    take.click()
    expect(alice.locator("#decision")).to_contain_text("You move to version")
    take.click()
    expect(alice.locator(".b-toast")).to_be_visible()
    assert kept(alice) == []


def test_a_reason_outlives_a_reload_until_it_is_given(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    alice.goto("/f/greet/timeline?confirm=pin&version=1")
    why = alice.get_by_label("Why")
    why.fill("We wait for the audit")
    alice.reload()
    expect(why).to_have_value("We wait for the audit")
    alice.get_by_role("button", name="Stay on version 1").click()
    expect(alice.locator("#sides")).to_contain_text("We wait for the audit")
    assert kept(alice) == []


def test_a_note_on_an_answer_outlives_a_reload_until_it_is_saved(stack: Stack, alice: Page) -> None:  # noqa: F811
    stack.model.script(greeting("Hello Ann"))
    sign_in(alice)
    go(alice, "Greet")
    alice.get_by_label("Name").fill("Ann")
    alice.keyboard.press("Control+Enter")
    expect(alice.locator("#output .b-receipt-base")).to_be_visible(timeout=PATIENCE)
    go(alice, "Why this answer")
    alice.get_by_role("button", name="Not right").click()
    note = alice.get_by_label("What is not right")
    note.fill("It forgot her title")
    alice.reload()
    expect(note).to_have_value("It forgot her title")
    with alice.expect_response(re.compile("/rate$")):
        alice.get_by_role("button", name="Save the note").click()
    alice.wait_for_function("() => !Object.keys(localStorage).some((name) => name.startsWith('b-keep:'))")
    alice.reload()
    expect(note).to_have_value("It forgot her title")


def test_a_window_that_is_made_narrower_leaves_somebody_where_they_type(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    go(alice, "Greet")
    alice.get_by_label("Name").fill("An")
    alice.set_viewport_size({"width": 600, "height": 900})
    expect(alice.get_by_role("button", name="Menu", exact=True)).to_be_visible()
    alice.keyboard.type("n")
    expect(alice.get_by_label("Name")).to_have_value("Ann")


def test_a_page_of_which_a_file_was_taken_is_not_waiting_for_anything(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    alice.clock.install()
    alice.goto("/f/greet/batches")
    with alice.expect_download():
        alice.get_by_role("link", name="Download an empty sheet").click()
    alice.clock.run_for(5_000)
    expect(alice.locator("[data-b-slow]")).to_be_hidden()
    expect(alice.locator("body")).not_to_have_class(re.compile("b-leaving"))


def test_a_form_with_every_tool_fits_its_card(replying: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    for width in (1440, 390):
        alice.set_viewport_size({"width": width, "height": 844})
        alice.goto("/f/reply")
        wide, room = alice.locator(".b-input").evaluate("(card) => [card.scrollWidth, card.clientWidth]")
        assert wide <= room, width


def test_a_document_outlives_a_reload_and_a_trial_until_it_is_saved(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    alice.goto("/f/greet/try")
    document, mine = alice.locator("[name=text]"), "set: {vars.tone: warm}  # as Ann likes it"
    document.fill(mine)
    alice.locator("[name=inputs]").fill('{"name": "Ann"}')
    alice.reload()
    expect(document).to_have_value(mine)
    alice.get_by_role("button", name="Try it").click()
    expect(alice).to_have_url(re.compile("preview="))
    alice.reload()
    expect(document).to_have_value(mine)
    alice.get_by_role("button", name="Save the changes").click()
    expect(alice.locator(".b-toast")).to_contain_text("Saved")
    alice.goto("/f/greet/try")
    expect(document).to_have_value(re.compile("vars.tone: warm"))
    expect(document).not_to_have_value(re.compile("as Ann likes it"))  # as it is kept by the server from then on


def kept(page: Page) -> list[str]:
    """What is kept on this device."""
    names: list[str] = page.evaluate("() => Object.keys(localStorage).filter((name) => name.startsWith('b-keep:'))")
    return names
