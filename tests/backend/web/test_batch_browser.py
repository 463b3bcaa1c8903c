"""A batch in real Chromium, against real processes: dropped, looked over, started, watched to its end, another cancelled."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from features.actions.versions import publish
from tests.cast import GREET
from tests.fakes.model import Answer
from tests.processes import Stack

from .test_browser import CHROMIUM, alice, sign_in  # noqa: F401 (a fixture)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's Chromium at /usr/bin/chromium"),
]


@pytest.fixture
def held(stack: Stack) -> Iterator[threading.Event]:
    """The model answers nothing before it is told to, and is waited for."""
    patient = {**GREET, "limits": {**GREET["limits"], "timeout_seconds": 60}}
    publish(stack.cast.greet, behavior=patient, make_current=True, by=stack.cast.operator)
    stack.cast.key(stack.cast.alice)  # beside a browser no statement can be made in this thread
    go = threading.Event()
    stack.model.default = lambda asked: Answer('{"greeting": "Hello there"}', hold=go, after=3)
    yield go
    go.set()


def test_alice_runs_a_sheet_and_takes_the_answers(
    stack: Stack,
    held: threading.Event,
    alice: Page,  # noqa: F811
    tmp_path: Path,
) -> None:
    sheet = tmp_path / "people.csv"
    sheet.write_text("name,key\nAnn,t-1\n" + "x" * 300 + ",t-2\nEve,t-3\n")
    sign_in(alice)
    alice.goto("/f/greet")
    alice.get_by_role("link", name="Many at once").click()

    # What she drops is looked over by itself, and nothing has started.
    alice.locator("input[type=file]").set_input_files(sheet)
    panel = alice.locator("#looked")
    expect(panel).to_contain_text("2 items are ready")
    expect(panel).to_contain_text("Line 3")
    expect(panel).to_contain_text(re.compile(r"EUR if every answer were as long as it may be"))
    assert stack.rows("SELECT count(*) FROM runs_batch")[0][0] == 0

    # She starts it, and it goes on before her eyes.
    panel.get_by_role("button", name="Run 2 items").click()
    expect(alice).to_have_url(re.compile(r"/batches/[0-9a-f-]{36}$"))
    progress = alice.locator("#progress")
    expect(progress).to_contain_text("1 of 3 have ended")
    expect(alice.locator("#items")).to_contain_text("Name: must have at most 200 characters")
    held.set()
    expect(progress).to_contain_text("3 of 3 have ended")
    expect(progress).to_contain_text("Done")
    expect(alice.locator("#say")).to_have_text("The batch has ended.")
    with alice.expect_download() as coming:
        alice.get_by_role("link", name="Results as a sheet").click()
    text = Path(coming.value.path()).read_text()
    assert [line.split(",")[:4] for line in text.splitlines()[1:]] == [
        ["1", "t-1", "succeeded", "Hello there"], ["2", "t-2", "refused", ""], ["3", "t-3", "succeeded", "Hello there"],
    ]  # fmt: skip

    # From an item to its run, and back to all batches.
    alice.get_by_role("link", name="Answered").click()
    alice.get_by_role("link", name="Item 1").click()
    expect(alice.locator("#output")).to_contain_text("Hello there")
    alice.goto("/batches")
    expect(alice.locator("main")).to_contain_text("3 of 3 have ended, 1 without an answer")


def test_alice_cancels_a_batch_after_she_has_read_what_that_does(
    stack: Stack,
    held: threading.Event,
    alice: Page,  # noqa: F811
) -> None:
    items = [{"input": {"name": f"N{n}"}} for n in range(40)]
    batch = stack.knock("alice").post("/features/greet/batches", items).json()
    sign_in(alice)
    alice.goto(f"/batches/{batch['id']}")
    alice.get_by_role("link", name="Cancel", exact=True).click()
    expect(alice.locator("#confirm")).to_contain_text("never run")
    alice.get_by_role("button", name="Cancel the batch").click()
    expect(alice.locator(".b-toast")).to_contain_text("Cancelled. What was answered by then is kept.")
    expect(alice.locator("#progress")).to_contain_text("40 of 40 have ended")
    expect(alice.locator("#progress")).to_contain_text("Cancelled")
