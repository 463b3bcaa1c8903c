"""In real Chromium: a change said in words, tried, accepted, undone; an answer corrected; drafts that outlive a reload."""

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from features.actions.catalog import FOLDER, load_file, read_file
from tenants.system import system_actor
from tests.fakes.model import Answer, greeting
from tests.processes import Stack

from .test_browser import CHROMIUM, alice, go, sign_in  # noqa: F401  # alice is a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
PATIENCE = 20_000  # ms that a worker may take on a busy machine
PROPOSAL = Answer(
    json.dumps(
        {
            "reason": "The tone is a field of its own.",
            "operations": [
                {"field": "vars.tone", "kind": "set", "value": "warm"},
                {"field": "instructions.role", "kind": "append", "value": "Be brief."},
                {"field": "instructions.safety", "kind": "set", "value": "Promise everything."},
            ],
        }
    )
)


@pytest.fixture
def offered(stack: Stack) -> Iterator[Stack]:
    load_file(read_file(FOLDER / "customize.yaml"), force=False, by=system_actor("tests"))
    yield stack


def ran(page: Page, stack: Stack, name: str, answer: Answer) -> None:
    stack.model.script(answer)
    page.get_by_label("Name").fill(name)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#output .b-receipt-base")).to_be_visible(timeout=PATIENCE)


def test_alice_reads_a_template_as_words_and_edits_it_as_it_is_written(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    alice.goto("/f/greet/mine")
    row = alice.locator("#row-instructions-tone")
    expect(row.locator(".b-field-text")).to_have_text("Write in a Tone tone.")
    expect(row.locator(".b-slot")).to_have_attribute("title", "{{ vars.tone }}")
    row.press("Enter")
    box = row.get_by_role("textbox")
    expect(box).to_have_value("Write in a {{ vars.tone }} tone.")
    expect(row).to_contain_text("What stands in double braces is filled in for each run")


def test_alice_says_what_she_wants_changed(offered: Stack, alice: Page) -> None:  # noqa: F811
    stack = offered
    sign_in(alice)
    go(alice, "Greet")
    ran(alice, stack, "Ann", greeting("Hello Ann"))
    go(alice, "Make it mine")

    # What she types outlives a reload, and is asked with Ctrl Enter.
    wish = alice.get_by_label("What you want changed", exact=True)
    wish.fill("Be warmer, and brief")
    alice.reload()
    expect(wish).to_have_value("Be warmer, and brief")
    stack.model.script(PROPOSAL)
    wish.press("Control+Enter")
    box = alice.locator("#suggestion")
    expect(box).to_contain_text("Proposed: 2 changes", timeout=PATIENCE)
    expect(box).to_contain_text("Not allowed")
    expect(alice).to_have_url(re.compile(r"/mine\?suggest="))

    # She unticks one, sees her last input both ways, and accepts the other.
    box.get_by_role("checkbox", name=re.compile("Role")).uncheck()
    accept = box.get_by_role("button", name=re.compile("Accept"))
    expect(accept).to_have_text("Accept 1 changeSaving…", use_inner_text=False)
    stack.model.script(greeting("Hello Ann"), greeting("Dearest Ann"))
    box.get_by_role("button", name="Try it first").click()
    expect(box.locator("#trial")).to_contain_text("would read differently", timeout=PATIENCE)
    accept.click()
    expect(box).to_contain_text("Saved as revision 1. Nobody else was changed.")
    expect(alice.locator("#row-vars-tone")).to_contain_text("The vendor has plain.")
    expect(alice.locator("#row-instructions-role")).not_to_contain_text("Be brief.")

    box.get_by_role("button", name="Undo").click()
    expect(box).to_contain_text("It is as it was before.")
    expect(alice.locator("#row-vars-tone")).to_contain_text("plain")


def test_on_a_phone_the_box_is_a_line_that_opens_to_a_sheet(offered: Stack, alice: Page) -> None:  # noqa: F811
    alice.set_viewport_size({"width": 390, "height": 844})
    sign_in(alice)
    alice.goto("/f/greet/mine")
    wish = alice.get_by_label("What you want changed", exact=True)
    expect(wish).to_be_hidden()
    alice.get_by_role("button", name="Say what you want changed").click()
    expect(wish).to_be_focused()
    alice.keyboard.press("Escape")
    expect(wish).to_be_hidden()
    expect(alice.get_by_role("button", name="Say what you want changed")).to_be_focused()


def test_alice_corrects_an_answer_and_keeps_it_as_an_example(offered: Stack, alice: Page) -> None:  # noqa: F811
    stack = offered
    sign_in(alice)
    go(alice, "Greet")
    ran(alice, stack, "Ann", greeting("Hello Ann"))
    alice.get_by_role("link", name="Correct it").click()
    text = alice.locator("#correct").get_by_label("Greeting")
    text.fill("Dear Ann")
    expect(alice.locator("#change")).to_contain_text("Dear")
    alice.reload()
    alice.get_by_role("link", name="Correct it").click()
    expect(text).to_have_value("Dear Ann")
    alice.get_by_role("button", name="Save correction").click()
    expect(alice.locator(".b-toast")).to_contain_text("is an example of yours")
    expect(alice.locator("#output")).to_contain_text("As it should read")
    expect(alice.locator("#before")).to_contain_text("Corrected")
    go(alice, "Make it mine")
    expect(alice.locator("#row-examples-ann")).to_contain_text("Ann → Dear Ann")


def test_what_is_typed_into_the_form_outlives_a_reload_and_a_clearing(stack: Stack, alice: Page) -> None:  # noqa: F811
    sign_in(alice)
    go(alice, "Greet")
    name = alice.get_by_label("Name")
    name.fill("Ann of Porto")
    alice.reload()
    expect(name).to_have_value("Ann of Porto")
    alice.get_by_role("button", name="Clear").click()
    expect(name).to_have_value("")
    alice.get_by_role("button", name="Undo").click()
    expect(name).to_have_value("Ann of Porto")
    held: Any = threading.Event()
    stack.model.script(Answer('{"greeting": "Hello"}', hold=held))
    alice.keyboard.press("Control+Enter")
    expect(alice.locator("#output")).to_have_attribute("aria-busy", "true")
    held.set()
    expect(alice.locator("#output .b-receipt-base")).to_be_visible(timeout=PATIENCE)
    alice.goto("/f/greet")
    expect(name).to_have_value("")
