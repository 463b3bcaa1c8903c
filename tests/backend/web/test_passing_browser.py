"""Ada hands the organisation's changes to Alice alone, in real Chromium: she sees what that does while she chooses."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from features.actions.overrides import ANY, save_override
from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD
from .test_every_page import signed_in, wrong_with

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
CHANGES = {"vars.tone": "warm", "instructions.house": "Be brief."}


@pytest.fixture
def ada(stack: Stack) -> Iterator[tuple[Page, list[str]]]:
    """Ada in front of Chromium, and what it complains of."""
    person = login("ada@acme.example")
    person.set_password(PASSWORD)
    person.save(update_fields=["password"])
    save_override(stack.cast.greet, "tenant", {"set": CHANGES}, expected=ANY, by=stack.cast.ada)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield signed_in(browser, stack, "ada@acme.example", "light")
        browser.close()


def test_ada_chooses_what_alice_gets_and_sees_what_it_does_first(stack: Stack, ada: tuple[Page, list[str]]) -> None:
    page, said = ada
    alice = stack.cast.alice.acting_for()
    assert wrong_with(page, f"/org/people/{alice.key}?feature=greet&confirm=hand&keep=no", "light", said) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"/org/people/{alice.key}")
    page.get_by_role("link", name="Hand ours over").click()
    card = page.locator("#confirm")
    expect(card.get_by_role("button", name="Hand over 2 changes")).to_be_visible()
    card.get_by_label("House").uncheck()
    expect(card.get_by_role("button", name="Hand over 1 change")).to_be_visible()
    card.get_by_label("Only they have them").check()
    expect(card).to_contain_text("Everybody else at Acme")
    expect(page).to_have_url(re.compile("keep=no"))  # the choice has an address
    card.get_by_role("button", name="Hand over 1 change").click()
    expect(page.locator(".b-toast")).to_contain_text("1 change is Alice's own now.")
    expect(page.locator(".b-own")).to_contain_text("Tone")
    statement = "SELECT operations::json->0->>'field' FROM features_override WHERE subject_id = %s AND valid_to IS NULL"
    theirs = [tuple(row) for row in stack.rows(statement, alice.id)]
    assert theirs == [("vars.tone",)] and said == []
