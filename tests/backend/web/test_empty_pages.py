"""Lists that hold nothing yet teach: what will stand there, and the next step, as a link or a button beside it."""

from collections.abc import Callable

import pytest

from tenants.actor import Actor
from tests.cast import Cast

from .conftest import Person, words

Sit = Callable[[Actor], Person]
# (who, path, what it says, the next step as it stands in the page)
LISTS = [
    ("alice", "/", "Nothing yet. What you run is listed here", 'href="/f/greet"'),
    ("alice", "/f/greet", "The answer appears here", "?sample=0"),
    ("alice", "/f/greet/mine?show=user", "No field comes from there yet", "?show=all"),
    ("alice", "/f/greet/timeline", "Choose a moment", "?at="),
    ("alice", "/f/greet/upgrade", "Nothing is waiting", 'href="/f/greet/mine"'),
    ("alice", "/runs", "No runs yet", "Choose a feature"),
    ("alice", "/runs?feature=greet", "No runs yet", "Use Greet"),
    ("alice", "/runs?state=failed", "No run is like that", "Show all runs"),
    ("alice", "/batches", "No batch yet", "New batch of Greet"),
    ("alice", "/batches?feature=greet", "No batch yet", 'href="/f/greet/batches"'),
    ("alice", "/notices", "Nothing to tell you", "Go to the features"),
    ("alice", "/me/keys", "You have no key", "Make the key"),
    ("ada", "/org/conflicts", "Nothing to decide", "Go to the features"),
    ("ada", "/org/people?kind=users", "No user of your software has anything of their own yet", "Make a key for your software"),
    ("ada", "/org/people?show=stays", "Nobody stays on an older version", "Show everybody"),
    ("ada", "/org/usage", "What runs cost is listed here", "Choose a feature"),
    ("ada", "/org/usage", "Nothing stops the spending yet", 'href="/org/budgets"'),
    ("ada", "/org/budgets", "Nothing stops the spending yet", "Add the budget"),
    ("ada", "/org/provider-keys", "Calls are made with the vendor's keys", "Enter the key"),
    ("ada", "/org/webhooks", "Nobody is told yet", "Add the webhook"),
    ("ada", "/org/audit?verb=nothing", "Nothing like that was done", "Show everything"),
    ("ada", "/org/data", "None yet. An export holds", "Export everything"),
    ("ada", "/org/members", "Nobody has been invited yet", "Send the invitation"),
    ("ada", "/org/f/greet/upgrade", "Nothing is waiting", 'href="/org/f/greet"'),
    ("operator", "/vendor/rollouts", "No rollout yet", 'href="/vendor/rollouts/new"'),
    ("operator", "/vendor/approvals", "Nobody has asked for anything", 'href="/vendor/features"'),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["alice", "ada", "operator"])
def test_what_is_empty_says_what_will_be_there_and_what_to_do_next(at_desk: Sit, cast: Cast, kind: str) -> None:
    person = at_desk(getattr(cast, kind))
    for who, path, told, step in LISTS:
        if who == kind:
            page = person.see(path).partition("<main")[2]  # without the menu, which leads everywhere
            assert told in words(page) and step in page, path
