"""The inbox as a page: what waits, read marks, the count in the menu."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from features.actions.overrides import ANY, save_operation
from features.runs.budgets import add_budget, period_began
from features.runs.models import Budget, BudgetUse
from tenants.actions import create_key
from tenants.actor import Actor
from tenants.isolation import NOBODY
from tests.cast import Cast

from .conftest import Person, words
from .test_upgrading import change, first, held, vendor_moves

Sit = Callable[[Actor], Person]


def mark(page: str) -> str:
    """The address that marks the page's first notice as read."""
    found = re.search(r'action="(/notices/[0-9a-f-]+/read)"', page)
    assert found is not None
    return found[1]


def test_an_empty_inbox_says_what_will_be_there(at_desk: Sit, cast: Cast) -> None:
    page = words(at_desk(cast.alice).see("/notices"))
    assert "Nothing to tell you" in page and "All 0 Unread 0" in page


def test_a_hold_is_in_her_inbox_and_leads_to_where_it_is_decided(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    page = alice.see("/notices")
    assert "Greet stays on version 2 until it is decided" in words(page) and 'href="/f/greet/upgrade"' in page
    assert words(alice.part("/notices/count")) == "1 unread"
    assert "until it is decided" not in words(at_desk(cast.bob).see("/notices"))


def test_many_notices_come_in_pages_and_each_is_marked_where_it_stands(at_desk: Sit, cast: Cast) -> None:
    soon = timezone.now() + timedelta(days=2)
    for n in range(53):
        create_key(kind="service", name=f"key no. {n}", expires_at=soon + timedelta(minutes=n), by=cast.ada)
    ada = at_desk(cast.ada)
    page = words(ada.see("/notices"))
    assert "All 53 Unread 53" in page and "no. 52" in page and "no. 2”" not in page and "Show older ones" in page
    rest = ada.see("/notices?show=all&after=50")
    assert "no. 2”" in words(rest) and "no. 3”" not in words(rest) and "Show older ones" not in rest
    done = words(ada.send(mark(rest), show="all", after="50"))
    assert "All 53 Unread 52" in done and "no. 0”" in done and "no. 52" not in done


def test_marking_as_read_takes_it_out_of_the_count_and_not_of_the_list(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    done = alice.send(mark(alice.see("/notices")))
    assert "All 1 Unread 0" in words(done) and done["HX-Trigger"] == "notices-read"
    assert words(alice.part("/notices/count")) == ""
    assert "All read" in words(alice.part("/notices?show=unread"))
    assert "stays on version 2" in words(alice.see("/notices"))


def test_without_htmx_marking_goes_back_to_the_inbox(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    alice = at_desk(cast.alice)
    assert alice.send(mark(alice.see("/notices")), htmx=False)["Location"] == "/notices"


def test_what_was_decided_is_gone_by_itself(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    save_operation(cast.greet, "user", "instructions.role", None, expected=ANY, by=cast.alice)
    assert "Nothing to tell you" in words(at_desk(cast.alice).see("/notices"))


def test_the_organisations_notices_are_for_its_admins(at_desk: Sit, cast: Cast) -> None:
    first(cast)
    change(cast, cast.ada, "tenant")
    vendor_moves(cast)
    ada, alice = at_desk(cast.ada), at_desk(cast.alice)
    page = ada.see("/notices")
    assert "for all of Acme" in words(page) and 'href="/org/f/greet/upgrade"' in page
    told = alice.see("/notices")
    assert "Ada can decide it for everybody." in words(told) and "/org/f/greet" not in told


def test_nobody_marks_what_is_in_somebody_elses_inbox(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    address = mark(at_desk(cast.alice).see("/notices"))
    for who in (cast.bob, cast.mallory):
        assert at_desk(who).send(address).status_code == 404
    assert words(at_desk(cast.alice).part("/notices/count")) == "1 unread"


def test_what_concerns_no_one_feature_is_there_too(at_desk: Sit, cast: Cast) -> None:
    add_budget(period="month", soft=0, hard=None, by=cast.ada)
    add_budget(period="day", soft=0, hard=None, feature=cast.greet, by=cast.ada)
    with cast.ada.present():
        for budget in Budget.objects.all():
            use = {"subject": NOBODY, "began": period_began(budget.period, timezone.now()), "soft_at": timezone.now()}
            BudgetUse.objects.create(tenant_id=cast.ada.tenant_id, budget=budget, **use)
    page = words(at_desk(cast.ada).see("/notices"))
    assert "Your organisation's budget of this month has reached 0 EUR" in page
    assert "for all of Acme, " in page and "Greet, for all of Acme, " in page
    assert "has reached" not in words(at_desk(cast.alice).see("/notices"))


def test_an_operator_has_no_inbox_here(at_desk: Sit, cast: Cast) -> None:
    assert at_desk(cast.operator).client.get("/notices")["Location"] == "/vendor/features"
