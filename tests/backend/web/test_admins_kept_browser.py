"""What admins and operators type is never lost, in Chromium: after a reload, and when somebody else saved meanwhile."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.processes import Stack

from .conftest import login
from .test_browser import ARGUMENTS, CHROMIUM, PASSWORD, overhear, sign_in
from .test_feel_browser import Held
from .vendor_story import tell

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]
ADA, OLGA = "ada@acme.example", "operator@bespoke.example"
STANDS_AGAIN = "What you had typed stands here again."


class Desks:
    """People in front of Chromium, each with a browser of their own. What it complains of fails the test."""

    def __init__(self, browser: Browser, stack: Stack) -> None:
        self._browser, self._stack = browser, stack
        self.complaints = list[str]()

    def seat(self, email: str) -> Page:
        page = self._browser.new_context(base_url=self._stack.base_url).new_page()
        page.set_default_timeout(15_000)
        overhear(page, self.complaints)
        sign_in(page, email)
        return page


@pytest.fixture
def desks(stack: Stack) -> Iterator[Desks]:
    tell(stack.cast)
    for email in (ADA, OLGA):
        person = login(email)
        person.set_password(PASSWORD)
        person.save(update_fields=["password"])
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        made = Desks(browser, stack)
        yield made
        browser.close()
    # A form that was refused is told as a failed load, as it should be.
    assert [one for one in made.complaints if "status of 412" not in one] == []


def test_a_policy_that_is_not_saved_stands_there_after_a_reload_until_it_is_taken_out(desks: Desks) -> None:
    ada = desks.seat(ADA)
    ada.goto("/org/settings")
    days = ada.get_by_label("Delete runs after so many days")
    days.fill("365")
    ada.get_by_label("People may change behavior for themselves").uncheck()
    expect(ada.get_by_text(STANDS_AGAIN)).to_have_count(0)
    ada.reload()
    expect(ada.get_by_text(STANDS_AGAIN)).to_be_visible()
    expect(days).to_have_value("365")
    expect(ada.get_by_label("People may change behavior for themselves")).not_to_be_checked()

    ada.get_by_role("button", name="Take it out").click()
    expect(days).to_have_value("")
    expect(ada.get_by_label("People may change behavior for themselves")).to_be_checked()
    ada.reload()
    expect(days).to_have_value("")

    days.fill("400")
    save = ada.get_by_role("button", name="Save the policy")
    save.click()
    expect(ada.locator(".b-toast")).to_contain_text("Saved.")
    expect(save).to_be_focused()
    ada.reload()
    expect(days).to_have_value("400")
    expect(ada.get_by_text(STANDS_AGAIN)).to_have_count(0)


def test_two_admins_do_not_undo_each_others_policy_and_are_asked_where_both_changed_the_same(desks: Desks) -> None:
    ada, other = desks.seat(ADA), desks.seat(ADA)
    runs, store = "Delete runs after so many days", "Keep what runs are given and what they answer"
    for page in (ada, other):
        page.goto("/org/settings")
    ada.get_by_label(runs).fill("400")
    ada.get_by_role("button", name="Save the policy").click()
    expect(ada.locator(".b-toast")).to_contain_text("Saved.")

    other.get_by_label(store).uncheck()
    other.get_by_role("button", name="Save the policy").click()
    expect(other.locator(".b-toast")).to_contain_text("Saved.")
    expect(other.get_by_label(runs)).to_have_value("400")
    expect(other.get_by_label(store)).not_to_be_checked()

    ada.get_by_label(runs).fill("30")  # she has not seen what was saved since, nor that it is off now
    other.get_by_label(runs).fill("90")
    assert saved(other) == 200
    assert saved(ada) == 412
    expect(ada.locator("#page")).to_contain_text("You saved “90 days” here while you were editing.")
    expect(ada.get_by_label(runs)).to_have_value("30")
    assert saved(ada) == 200
    ada.goto("/org/settings")
    expect(ada.get_by_label(runs)).to_have_value("30")
    expect(ada.get_by_label(store)).not_to_be_checked()


def saved(page: Page) -> int:
    """Save the policy; the status of the answer."""
    with page.expect_response(lambda answer: answer.request.method == "POST") as told:
        page.get_by_role("button", name="Save the policy").click()
    return told.value.status


def test_a_rule_that_was_changed_meanwhile_is_named_before_it_is_written_over(desks: Desks) -> None:
    ada, other = desks.seat(ADA), desks.seat(ADA)
    who = "Who may change it for themselves"
    for page in (ada, other):
        page.goto("/org/f/greet?edit=vars.tone")
    row = other.locator("#row-vars-tone")
    row.get_by_role("radio", name="warm").check()
    ada.get_by_label(who).select_option(label="Only admins")
    ada.locator("#row-vars-tone").get_by_role("button", name="Save").click()
    expect(ada.locator(".b-toast")).to_contain_text("Saved")
    row.get_by_role("button", name="Save").click()
    expect(row).to_contain_text(f"{who} was set to “Only admins”.")
    expect(row.get_by_role("radio", name="warm")).to_be_checked()


def test_a_rollout_that_was_not_started_keeps_its_steps(desks: Desks) -> None:
    olga = desks.seat(OLGA)
    olga.goto("/vendor/rollouts/new?feature=greet&to=2&tab=steps")
    olga.get_by_label("Message").fill("Slowly")
    adding = Held(olga, "/vendor/rollouts/new$", "POST")
    olga.get_by_role("button", name="Add a step").click()
    last = olga.get_by_role("group", name="Step 3").get_by_label("How many, or which")
    last.fill("9")  # before the answer is there
    adding.let_go()
    steps = olga.get_by_label("How many, or which")
    expect(steps).to_have_count(4)
    expect(steps.nth(3)).to_be_focused()
    olga.keyboard.type("9")
    steps.nth(2).fill("60")
    olga.reload()
    for place, told in enumerate(("5", "25", "60", "99")):
        expect(steps.nth(place)).to_have_value(told)
    expect(olga.get_by_label("Message")).to_have_value("Slowly")


def test_what_the_browser_itself_sends_is_kept_until_it_was_taken(desks: Desks) -> None:
    olga = desks.seat(OLGA)
    olga.goto("/vendor/tenants")
    name, slug = olga.get_by_label("Name", exact=True), olga.get_by_label("Short name")
    name.fill("Initech")
    olga.reload()
    expect(name).to_have_value("Initech")
    slug.fill("initech")
    olga.get_by_label(re.compile("e-mail")).fill("owner@initech.example")
    with olga.expect_navigation(wait_until="load"):
        olga.get_by_role("button", name="Make the organisation").click()
    olga.goto("/vendor/tenants")
    expect(name).to_have_value("")
    expect(olga.get_by_text(STANDS_AGAIN)).to_have_count(0)


@pytest.mark.parametrize(
    ("path", "opener", "title"),
    [
        ("/org/members", "Remove Bob", "Remove Bob from Acme?"),
        ("/org/keys", "Limits acme's", "Limits of “acme's software”"),
    ],
)
def test_what_an_admin_opens_takes_the_focus_and_gives_it_back_and_back_undoes_looking(
    desks: Desks, path: str, opener: str, title: str
) -> None:
    ada = desks.seat(ADA)
    ada.goto(path)
    link, asked = ada.get_by_role("link", name=opener), ada.get_by_role("region", name=title)
    link.press("Enter")
    expect(asked).to_be_focused()
    address = ada.url
    ada.get_by_role("link", name="Cancel").press("Enter")
    expect(link).to_be_focused()
    expect(asked).to_have_count(0)
    for way, shown, url in ((ada.go_back, 1, address), (ada.go_back, 0, path), (ada.go_forward, 1, address)):
        way()
        expect(asked).to_have_count(shown)
        expect(ada).to_have_url(url)


def test_on_a_phone_the_tab_that_is_open_is_in_view(desks: Desks) -> None:
    ada = desks.seat(ADA)
    ada.set_viewport_size({"width": 390, "height": 844})
    ada.goto("/org/access")
    expect(ada.locator(".b-tabs [aria-current]")).to_be_in_viewport(ratio=1)
