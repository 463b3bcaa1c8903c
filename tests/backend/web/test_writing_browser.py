"""Olga writes a feature in the form, in real Chromium: from nothing to published, over to the text and back."""

import re

import pytest
from playwright.sync_api import Page, expect

from .test_browser import CHROMIUM
from .test_vendor_browser import olga  # noqa: F401  # a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


def test_olga_writes_a_feature_in_the_form_and_switches_to_yaml_and_back(olga: Page) -> None:  # noqa: F811
    olga.goto("/vendor/features/new")
    olga.get_by_role("link", name="Form", exact=True).click()
    olga.get_by_label("Key", exact=True).fill("condense")
    olga.locator("[name='in/feature/title']").fill("Condense")

    # One more section, without a mouse: added, named, written, moved up.
    sections = olga.locator("#part-in-instructions")
    sections.get_by_role("button", name="Add section").focus()
    olga.keyboard.press("Enter")
    olga.keyboard.type("tone")
    olga.keyboard.press("Tab")
    olga.keyboard.type("Write in a {{ vars.tone }} tone.")
    added = sections.locator("[data-b-row]").nth(1)
    checked = olga.locator("#checked")
    expect(checked).to_contain_text("1 problem")
    expect(added.locator(".b-problems")).to_contain_text("vars.tone")  # beside it: there is no such value yet
    olga.keyboard.press("Alt+ArrowUp")
    expect(sections.locator("[name$='/name']").first).to_have_value("tone")
    values = olga.locator("#part-in-vars")
    values.get_by_role("button", name="Add value").click()
    values.get_by_label("Name", exact=True).fill("tone")
    values.get_by_label("Value").fill("plain")
    expect(checked).to_contain_text("Fits together")
    expect(sections.locator(".b-problems")).to_have_count(0)
    values.get_by_text("Title, and who may change it").click()
    values.get_by_label("Who may change it").select_option("Nobody")

    # Enter in a line sends nothing; what is typed is still there after a reload, and goes along to the text and back.
    values.get_by_label("Value").press("Tab")
    olga.get_by_label("Key", exact=True).press("Enter")
    expect(checked).to_contain_text("Fits together")
    olga.reload()
    expect(olga.locator("#part-in-vars").get_by_label("Value")).to_have_value("plain")
    olga.get_by_role("link", name="YAML").click()
    text = olga.locator(".cm-content")
    expect(text).to_contain_text("feature: condense")
    expect(olga.locator("#text")).to_have_value(re.compile("vars.tone:\n    edit: locked"))
    assert "as=form" not in olga.url
    text.press("Control+End")
    olga.keyboard.type("titles: {vars.tone: {label: How it sounds}}\n")
    expect(checked).to_contain_text("Fits together")
    olga.get_by_label("What changes").fill("Shortens what is long")
    olga.reload()
    expect(olga.locator("#text")).to_have_value(re.compile("How it sounds"))
    expect(olga.get_by_label("What changes")).to_have_value("Shortens what is long")
    olga.get_by_role("link", name="Form", exact=True).click()
    expect(olga.locator("#part-in-vars")).to_contain_text("How it sounds · Nobody")
    expect(olga.locator("[name='in/instructions/0/name']")).to_have_value("tone")
    assert "as=form" in olga.url

    # Another property of the input is drawn in the samples at once.
    schema = olga.locator("[name='in/input']")
    wider = schema.input_value().replace("properties:\n", "properties:\n  mood: {type: string, maxLength: 20}\n")
    schema.fill(wider)
    schema.press("Tab")
    olga.locator("#part-in-samples > summary").click()
    expect(olga.locator("[name='in/samples/0/input/mood']")).to_be_visible()

    olga.get_by_role("button", name="Make the feature").click()
    expect(olga.get_by_text("Condense is there, and runs.")).to_be_visible()
    olga.goto("/vendor/features/new?as=form")
    expect(olga.get_by_label("Key", exact=True)).to_have_value("shorten")  # nothing is kept of what was published
