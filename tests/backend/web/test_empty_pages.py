"""Lists that hold nothing yet teach: what will stand there, and the next step, as a link or a button beside it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from features.actions.versions import create_feature
from features.runs.suggest import CUSTOMIZE
from tenants.actions import create_tenant, login_for
from tenants.actor import Actor
from tenants.system import system_actor
from tests.cast import GREET, Cast

from .conftest import BACKEND, Person, login, words

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
    ("vera", "/runs?feature=greet", "A viewer can look but not run", ""),
    ("vera", "/f/greet/mine?show=user", "No field comes from there yet", "?show=all"),
    ("vera", "/f/greet/timeline", "You see what was served then, and what was different from now.", "?at="),
    ("operator", "/vendor/rollouts", "No rollout yet", 'href="/vendor/rollouts/new"'),
    ("operator", "/vendor/approvals", "Nobody has asked for anything", 'href="/vendor/features"'),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["alice", "ada", "vera", "operator"])
def test_what_is_empty_says_what_will_be_there_and_what_to_do_next(at_desk: Sit, cast: Cast, kind: str) -> None:
    person = at_desk(getattr(cast, kind))
    for who, path, told, step in LISTS:
        if who == kind:
            page = person.see(path).partition("<main")[2]  # without the menu, which leads everywhere
            assert told in words(page) and step in page, path


def test_who_may_only_look_is_not_sent_to_do_anything(at_desk: Sit, cast: Cast) -> None:
    vera = at_desk(cast.vera)
    for path, verb in (
        ("/runs?feature=greet", "Use Greet"),
        ("/f/greet/mine?show=user", "change it"),
        ("/f/greet/timeline", "put it back"),
    ):
        assert verb not in words(vera.see(path).partition("<main")[2]), path


@pytest.mark.parametrize(("who", "page"), [("ada", "/org/usage"), ("operator", "/vendor/usage")])
def test_a_month_that_is_over_waits_for_no_run(at_desk: Sit, cast: Cast, who: str, page: str) -> None:
    before = timezone.now().replace(day=1) - timedelta(days=1)
    told = words(at_desk(getattr(cast, who)).see(f"{page}?month={before:%Y-%m}"))
    assert "No runs in" in told and "yet" not in told.partition("Where it goes")[2] and "if it goes on" not in told


def test_the_feature_behind_the_box_is_offered_to_nobody_as_a_batch(at_desk: Sit, cast: Cast) -> None:
    made = {"title": "Customize", "summary": "Is the box.", "behavior": GREET}
    create_feature(key=CUSTOMIZE, by=cast.operator, **made)
    assert "New batch of Greet" in (page := words(at_desk(cast.alice).see("/batches"))) and "Customize" not in page


# (path, what it says) where there is no feature and nobody has done anything.
BEGINNING = [
    ("/", "No feature has been published yet"),
    ("/batches", "As soon as the vendor publishes a feature you can run it so."),
    ("/org/audit", "Nothing has been done yet. Whatever somebody changes stands here"),
    ("/org/people", "owner@initech.example"),
]


def test_an_organisation_begins_with_words_on_every_page(committed: None) -> None:
    owner = login_for("owner@initech.example")
    create_tenant(slug="initech", name="Initech", owner=owner, by=system_actor("tests"))
    client = Client()
    client.force_login(login("owner@initech.example"), backend=BACKEND)
    for path, told in BEGINNING:
        assert told in words(client.get(path)), path
