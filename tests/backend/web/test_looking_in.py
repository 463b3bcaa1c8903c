"""An operator looks into an organisation that lets support, in the dashboard: what is there, until when, and who tells."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.utils import timezone

from features.actions.overrides import ANY, save_operation
from features.actions.versions import publish
from features.runs.accept import accept
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import AuditEvent, Operator, VendorAuditEvent
from tenants.support import end_support, grant_support
from tests.cast import GREET, Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words
from .vendor_story import change

Sit = Callable[[Actor], Person]
LOOK = "/vendor/tenants/acme/look"


@pytest.fixture
def run(cast: Cast, model: FakeModel) -> str:
    """A run of Alice's that has ended, with her words in it, and one of Mallory's of Globex."""
    model.script(greeting("CANARY-OUTPUT"), greeting("CANARY-OUTPUT-GLOBEX"))
    change(cast, cast.alice, "user", {"set": {"vars.tone": "warm"}})
    made = accept(cast.greet, {"name": "CANARY-INPUT"}, by=cast.alice).run_id
    look()
    accept(cast.greet, {"name": "CANARY-GLOBEX"}, by=cast.mallory)
    look()
    return str(made)


@pytest.fixture
def sue(at_desk: Sit, cast: Cast) -> Person:
    """An operator with the role support alone."""
    Operator.objects.using(OPERATOR).update(roles=["support"])
    return at_desk(cast.operator)


def granted(cast: Cast) -> None:
    grant_support(hours=4, reason="Greetings sound odd", by=cast.ada)


def pages(run: str, cast: Cast) -> list[str]:
    alice = quote(cast.alice.acting_for().key)
    return [LOOK, f"{LOOK}/runs/{run}", f"{LOOK}/f/greet", f"{LOOK}/f/greet?user={alice}"]


def test_without_leave_each_page_says_how_the_organisation_gives_it(sue: Person, cast: Cast, run: str) -> None:
    for path in pages(run, cast):
        page = words(sue.see(path, 403))
        assert "Acme does not let support look now" in page and "under People, Access, Let support look" in page
        assert "CANARY" not in page
    assert "Look into Acme" not in words(sue.see("/vendor/tenants/acme"))
    sue.see("/vendor/tenants/nobody/look", 404)


def test_with_leave_support_finds_its_way_to_a_run_and_what_made_it(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    assert f'href="{LOOK}"' in sue.see("/vendor/tenants/acme")
    listed = sue.see(LOOK)
    assert "CANARY-INPUT" in words(listed) and f'href="{LOOK}/runs/{run}"' in listed and "GLOBEX" not in listed
    one = words(sue.see(f"{LOOK}/runs/{run}"))
    assert "CANARY-INPUT" in one and "CANARY-OUTPUT" in one and "Vendor version 1" in one and "their revision 1" in one
    alices = words(sue.see(pages(run, cast)[3]))
    assert "What one person is served of Greet" in alices and "Tone warm Theirs" in alices
    assert "Tone plain Vendor" in words(sue.see(f"{LOOK}/f/greet"))
    for path in pages(run, cast):
        assert "You look into Acme until" in words(sue.see(path))


def test_what_was_served_then_is_seen_beside_what_is_served_now(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    then = timezone.now().isoformat()
    path = pages(run, cast)[3]
    save_operation(cast.greet, "user", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.alice)
    assert "Tone formal Theirs" in words(sue.see(path))
    assert "Tone warm Theirs" in words(sue.see(f"{path}&at={quote(then)}"))
    sue.see(f"{path}&at=yesterday", 400)


def test_what_the_vendor_hides_from_customers_now_is_not_shown_of_then_either(
    sue: Person, cast: Cast, run: str
) -> None:
    granted(cast)
    then = quote(timezone.now().isoformat())
    assert "Never promise anything." in words(sue.see(f"{LOOK}/f/greet"))
    publish(
        cast.greet, behavior=GREET, rules={"instructions.safety": {"hidden": True}}, make_current=True, by=cast.operator
    )
    for path in (f"{LOOK}/f/greet", f"{LOOK}/f/greet?at={then}"):
        page = words(sue.see(path))
        assert "Never promise anything." not in page and "1 field is in force, but not shown to customers." in page


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("?feature=greet", True), ("?state=failed", False), ("?rating=none", True), ("?user={alice}", True),
        ("?user={bob}", False), ("?user=somebody-of-their-software", False),
    ],
)  # fmt: skip
def test_the_runs_are_narrowed_by_feature_state_rating_and_whose(
    query: str, there: bool, sue: Person, cast: Cast, run: str
) -> None:
    granted(cast)
    keys = {"alice": quote(cast.alice.acting_for().key), "bob": quote(cast.bob.acting_for().key)}
    page = sue.see(LOOK + query.format(**keys))
    assert (run in page) == there and ("No run is like that." in words(page)) != there


def test_nobody_of_another_organisation_is_found_there(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    mallory = quote(cast.mallory.acting_for().key)
    sue.see(f"{LOOK}?user={mallory}", 404)
    sue.see(f"{LOOK}/f/greet?user={mallory}", 404)
    sue.see(f"/vendor/tenants/globex/look/runs/{run}", 403)
    grant_support(hours=1, reason="Globex too", by=cast.gus)
    sue.see(f"/vendor/tenants/globex/look/runs/{run}", 404)


def test_every_look_is_in_both_audits_and_a_page_without_leave_in_none(sue: Person, cast: Cast, run: str) -> None:
    sue.see(LOOK, 403)
    assert looks(cast) == ([], [])
    granted(cast)
    for path in pages(run, cast)[:3]:
        sue.see(path)
    expected = [(cast.operator.label, path) for path in pages(run, cast)[:3]]
    assert looks(cast) == (expected, expected)


def looks(cast: Cast) -> tuple[list[Any], list[Any]]:
    """Who looked at which address, as Acme's audit has it and as the vendor's."""
    with cast.ada.present():
        theirs = list(AuditEvent.objects.filter(verb="support.read").order_by("sequence"))
    ours = VendorAuditEvent.objects.using(OPERATOR).filter(verb="support.read").order_by("sequence")
    return [(row.actor, row.detail["path"]) for row in theirs], [(row.actor, row.detail["path"]) for row in ours]


def test_it_ends_by_itself_and_when_the_organisation_ends_it(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    sue.see(LOOK)
    with time_machine.travel(timezone.now() + timedelta(hours=4, minutes=1), tick=False):
        sue.see(LOOK, 403)
    end_support(by=cast.ada)
    assert "CANARY" not in sue.see(f"{LOOK}/runs/{run}", 403)


def test_looking_changes_nothing_and_offers_nothing_that_would(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    for path in pages(run, cast):
        assert '<form method="post"' not in sue.see(path).split('id="main"')[1]
        assert sue.client.post(path, {"act": "rate", "verdict": "bad"}).status_code == 405


@pytest.mark.parametrize(("role", "may"), [("read", False), ("publish", False), ("support", True)])
def test_the_role_support_looks_and_no_other(role: str, may: bool, at_desk: Sit, cast: Cast, run: str) -> None:
    granted(cast)
    Operator.objects.using(OPERATOR).update(roles=[role])
    olga = at_desk(cast.operator)
    for path in pages(run, cast):
        assert ("CANARY" in olga.see(path, 200 if may else 403)) == (may and "/f/" not in path)
    assert ("Look into Acme" in words(olga.see("/vendor/tenants/acme"))) == may
    for who in (cast.ada, cast.alice, cast.mallory):
        at_desk(who).see(LOOK, 403)


def test_a_suspended_organisation_can_be_looked_into_too(sue: Person, cast: Cast, run: str) -> None:
    granted(cast)
    sue.send("/vendor/tenants/acme", act="state", state="suspended", reason="Unpaid")
    assert "CANARY-OUTPUT" in words(sue.see(f"{LOOK}/runs/{run}"))
