"""What operators did by the API alone, clicked in real Chromium: an end, an impact, a key, a look into Acme, a rollout."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.model import greeting
from tests.outside import Knock
from tests.processes import Stack

from .test_browser import CHROMIUM
from .test_vendor_browser import olga  # noqa: F401  # the operator in front of Chromium
from .vendor_story import tell

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def told(stack: Stack) -> Iterator[Stack]:
    """A second version under people who have changed and pinned things."""
    tell(stack.cast)
    yield stack


def test_olga_reads_what_a_change_would_do_and_then_does_it(told: Stack, olga: Page) -> None:  # noqa: F811
    olga.goto("/vendor/features")
    olga.get_by_role("link", name="Everybody").click()
    olga.get_by_label("Listed organisations alone").check()
    olga.get_by_label("Put on the list").fill("acme")
    olga.get_by_role("button", name="See what it would do").first.click()
    expect(olga.get_by_role("heading", name="Change who has Greet?")).to_be_visible()
    expect(olga.locator("#confirm")).to_contain_text("Who loses it and uses it: Globex")
    olga.get_by_role("button", name="Change who has it").click()
    expect(olga.get_by_text("organisations have it: Acme.")).to_be_visible()

    hours = olga.get_by_label("How long")
    expect(hours).to_be_hidden()
    olga.get_by_label("For a time of its own").check()
    hours.fill("2")
    olga.get_by_role("button", name="See what it would do").nth(1).click()
    olga.get_by_role("button", name="Change it", exact=True).click()
    expect(olga.get_by_text("given again for 2 h.")).to_be_visible()

    olga.get_by_label("It ends at").fill("2099-01-01T00:00")
    olga.get_by_label("What people are told").fill("Use greet-2.")
    olga.get_by_role("button", name="See what it would do").nth(2).click()
    expect(olga.locator("#confirm")).to_contain_text("Who uses it: Acme")
    olga.get_by_role("button", name="Retire it").click()
    expect(olga.get_by_text("It ends on 1 Jan 2099, 00:00, for everybody.")).to_be_visible()
    kept = told.rows("SELECT listed_only, cache_seconds, retiring FROM features_feature WHERE key = 'greet'")
    assert kept == [(True, 7200, "Use greet-2.")]


def test_olga_asks_whom_a_part_would_reach_and_finds_it_again(told: Stack, olga: Page) -> None:  # noqa: F811
    olga.goto("/vendor/f/greet/versions")
    olga.get_by_role("link", name="Impacts").click()
    expect(olga.get_by_label("Per cent")).to_be_hidden()
    olga.get_by_label("If", exact=True).select_option("percent")
    olga.get_by_label("Per cent").fill("100")
    olga.get_by_role("button", name="Work out the impact").click()
    expect(olga.get_by_role("heading", name="By organisation")).to_be_visible()  # the worker has come to its end
    expect(olga.locator("#impact")).not_to_have_attribute("hx-trigger", re.compile("."))
    address = olga.url
    olga.get_by_role("link", name="Impacts of Greet").click()
    olga.get_by_role("link", name="Version 1 to 2").click()
    expect(olga).to_have_url(address)
    olga.get_by_role("link", name="Globex").click()
    expect(olga.get_by_text("Mallory", exact=True)).to_be_visible()


def test_olga_makes_a_key_rotates_and_revokes_it(stack: Stack, olga: Page) -> None:  # noqa: F811
    olga.get_by_role("link", name="Olga").click()
    olga.get_by_role("link", name="Your keys").click()
    olga.get_by_label("What it is for").fill("release job")
    olga.get_by_role("button", name="Make the key").click()
    key = Knock(stack.base_url, olga.get_by_label("The key").input_value())
    assert key.get("/tenants").status_code == 200
    row = olga.get_by_role("row", name="release job")
    row.get_by_role("link", name="Rotate").click()
    olga.get_by_role("button", name="Make the new key").click()
    expect(olga.get_by_text("The old one works too, and ends")).to_be_visible()
    newer = Knock(stack.base_url, olga.get_by_label("The key").input_value())
    assert [one.get("/me").status_code for one in (key, newer)] == [200, 200]
    row.filter(has_not_text="rotated").get_by_role("link", name="Revoke").click()
    olga.get_by_role("button", name="Revoke “release job”").click()
    expect(olga.get_by_text("“release job” is revoked.")).to_be_visible()
    expect(olga.get_by_label("The key")).to_have_count(0)
    assert [one.get("/me").status_code for one in (key, newer)] == [200, 401]


@pytest.fixture
def knocks(stack: Stack) -> dict[str, Knock]:
    """How Alice and Ada knock at the API; made before Chromium starts, in whose thread no statement may be made."""
    return {who: stack.knock(who) for who in ("alice", "ada")}


def test_olga_looks_into_acme_while_it_lets_her(
    stack: Stack,
    knocks: dict[str, Knock],
    olga: Page,  # noqa: F811
) -> None:
    stack.model.script(greeting("Hello Ann"))
    assert knocks["alice"].run("Ann").status_code == 200
    olga.goto("/vendor/tenants/acme")
    expect(olga.get_by_text("It has never let support look.")).to_be_visible()
    given = knocks["ada"].post("/support-access", {"hours": 4, "reason": "Greetings sound odd"})
    assert given.status_code == 201
    olga.reload()
    olga.get_by_role("link", name="Look into Acme").click()
    expect(olga.locator("#looking-in")).to_contain_text("You look into Acme until")
    olga.get_by_role("link", name="Ann").click()
    expect(olga.get_by_text("Hello Ann")).to_be_visible()
    olga.get_by_role("link", name="and now").click()
    expect(olga.get_by_role("heading", name="What one person is served of Greet")).to_be_visible()
    olga.get_by_role("link", name="Stop looking").click()
    expect(olga).to_have_url(re.compile("/vendor/tenants/acme$"))


def test_olga_chooses_what_to_roll_out(told: Stack, olga: Page) -> None:  # noqa: F811
    olga.goto("/vendor/rollouts")
    olga.get_by_role("link", name="Choose a feature and a version").click()
    olga.get_by_role("link", name="Version 2").click()
    expect(olga.get_by_role("heading", name="Greet, version 1 to 2")).to_be_visible()
    expect(olga.get_by_role("link", name="See whom it reaches")).to_be_visible()
