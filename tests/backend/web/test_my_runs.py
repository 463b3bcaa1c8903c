"""My runs: found by words, feature, state, rating and day; two of them side by side."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from features.actions.overrides import ANY, save_operation
from features.actions.versions import publish
from features.runs.finish import rate
from features.runs.models import State
from tenants.actor import Actor
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import Answer, FakeModel, greeting

from .conftest import Person, words
from .test_using import ran

Sit = Callable[[Actor], Person]


def found(person: Person, query: str) -> list[str]:
    """Which of the names the list shows."""
    page = words(person.part(f"/runs?{query}"))
    return [name for name in ("Ann", "Ben", "Zoë") if name in page]


def test_words_are_found_in_what_went_in_and_came_out_whatever_their_case(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.script(greeting('He said "good (very) morning"'), greeting("Adieu"), greeting("Salut"))
    alice = at_desk(cast.alice)
    for name in ("Ann", "Ben", "Zoë"):
        ran(alice, cast.alice, name)
    assert found(alice, "q=ADIEU") == ["Ben"] and found(alice, "q=zoë") == ["Zoë"]
    assert found(alice, 'q="good (very)') == ["Ann"] and found(alice, "q=%25") == []
    assert found(alice, "q=greeting") == [], "the name of a property is no text"
    assert found(alice, "q=g.*d") == [], "words are taken literally"
    assert "No run is like that" in words(alice.part("/runs?q=nowhere"))
    assert found(at_desk(cast.bob), "q=Ann") == []


def test_runs_are_narrowed_by_feature_state_rating_and_day(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting(), greeting(), Answer("no"), Answer("no"))
    alice = at_desk(cast.alice)
    ann, ben = (ran(alice, cast.alice, name) for name in ("Ann", "Ben"))
    assert ran(alice, cast.alice, "Zoë").state == State.FAILED
    rate(ann, {"verdict": "bad"}, by=cast.alice)
    rate(ben, {"verdict": "bad", "correction": {"greeting": "Hi"}}, by=cast.alice)
    assert found(alice, "state=failed") == ["Zoë"] and found(alice, "state=succeeded") == ["Ann", "Ben"]
    assert found(alice, "rating=bad") == ["Ann"] and found(alice, "rating=corrected") == ["Ben"]
    assert found(alice, "rating=none") == ["Zoë"] and found(alice, "rating=good") == []
    today, tomorrow = timezone.localdate(), timezone.localdate() + timedelta(days=1)
    assert found(alice, f"since={today}&until={today}&feature=greet") == ["Ann", "Ben", "Zoë"]
    assert found(alice, f"since={tomorrow}") == [] and found(alice, f"until={today - timedelta(days=1)}") == []
    assert found(alice, "state=succeeded&rating=bad&q=ann") == ["Ann"]
    for wrong in ("state=lost", "rating=5", "since=today", "until=0000-00-00"):
        assert alice.part(f"/runs?{wrong}").status_code == 400
    assert alice.part("/runs?feature=nothing").status_code == 404


def test_a_search_can_be_sent_to_somebody_as_its_address(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    page = at_desk(cast.alice).see("/runs?q=a%22b&state=failed&since=2026-01-02")
    assert 'value="a&quot;b"' in page and '<option value="failed" selected>' in page and 'value="2026-01-02"' in page


def test_two_runs_side_by_side_say_what_is_the_same_and_what_differs(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    model.script(greeting("Hello Ann"), greeting("Dearest Ann"))
    alice = at_desk(cast.alice)
    first = ran(alice, cast.alice)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    second = ran(alice, cast.alice)
    chosen = alice.client.get(f"/runs/compare?run={second.id}&run={first.id}")
    assert chosen["Location"] == f"/runs/compare?a={first.id}&b={second.id}", "the older one first"
    page = words(alice.see(chosen["Location"]))
    assert "The same input, answered by two behaviors." in page and "Your revision 1" in page
    assert "removed Hello" in page and "added Dearest" in page
    assert "Behavior Tone removed plain added warm" in page
    assert f"?a={second.id}&amp;b={first.id}" in alice.see(chosen["Location"])
    assert alice.client.get(f"/runs/compare?run={first.id}").status_code == 400
    at_desk(cast.bob).see(chosen["Location"], 404)


def test_of_a_hidden_field_only_that_it_differs_is_said(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    first = ran(alice, cast.alice)
    behavior = {**GREET, "instructions": {**GREET["instructions"], "role": "You know of the cheese."}}
    rules = {**GREET_RULES, "instructions.role": {"hidden": True}}
    publish(cast.greet, behavior=behavior, rules=rules, make_current=True, by=cast.operator)
    second = ran(alice, cast.alice)
    page = alice.see(f"/runs/compare?a={first.id}&b={second.id}")
    assert "cheese" not in page and "You greet people" not in page
    assert "Role Different, but not shown to customers." in words(page)


def test_an_admin_looks_at_anothers_runs_and_finds_them_by_their_words(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    ada, alice = at_desk(cast.ada), cast.alice.acting_for().key
    run, _own = ran(at_desk(cast.alice), cast.alice, "Ann"), ran(ada, cast.ada, "Bea")
    assert f'href="/runs?user={alice.replace(":", "%3A")}"' in ada.see(f"/org/people/{alice}")
    page = ada.see(f"/runs?user={alice}")
    assert "Runs of Alice" in words(page) and "Ann" in words(page) and "Bea" not in words(page)
    assert f"/runs/{run.id}" in page and "Ann" in words(ada.see(f"/runs/{run.id}"))
    assert "Ann" in words(ada.see(f"/runs?user={alice}&q=ann"))
    nothing = ada.see(f"/runs?user={alice}&q=bea")
    assert "No run is like that" in words(nothing) and f"?user={alice.replace(':', '%3A')}" in nothing
    assert "No runs yet" in words(ada.see(f"/runs?user={cast.bob.acting_for().key}"))
    for who, status in ((cast.bob, 403), (cast.vera, 403), (cast.alice, 403), (cast.gus, 404)):
        at_desk(who).see(f"/runs?user={alice}", status)
