"""Before and after one puts it back: the effect on one's last inputs, for how long and why, and undoing it."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from features.actions.pins import pin, pin_now
from features.runs.models import Preview
from tenants.actor import Actor
from tenants.subjects import tenant_itself
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

from .conftest import Person, words
from .test_timeline import digest_of, moments, publish_terse, stay_of, warm
from .test_using import ran

Sit = Callable[[Actor], Person]
PAGE, OURS = "/f/greet/timeline", "/org/f/greet/timeline"


def hidden(answer: Any, name: str) -> str:
    """What a form of the page would send."""
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.content.decode())
    assert found is not None
    return found[1].replace("&quot;", '"')


def test_it_says_for_how_long_and_why(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    then = moments(alice.see(PAGE))[1]
    asked = words(alice.part(f"{PAGE}?at={then}&confirm=restore"))
    assert "Stay there 7 days 30 days Until I undo it" in asked and "B A" in asked
    done = alice.send(PAGE, act="restore", at=then, until="7", reason=" It forgets the name. ")
    stay = stay_of(cast, cast.alice)
    assert stay is not None and stay.reason == "It forgets the name."
    assert stay.until is not None and abs(stay.until - timezone.now() - timedelta(days=7)) < timedelta(minutes=5)
    assert "It forgets the name." in words(done)


@pytest.mark.parametrize("act", ["pin", "restore"])
@pytest.mark.parametrize(("who", "page"), [("alice", PAGE), ("ada", OURS)])
def test_a_stay_ends_at_the_moment_that_one_types(who: str, page: str, act: str, at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    actor = getattr(cast, who)
    person = at_desk(actor)
    of_act = {"version": "1"} if act == "pin" else {"at": moments(person.see(page))[1]}
    assert "Or until optional, UTC" in words(person.part(f"{page}?{urlencode({'confirm': act, **of_act})}"))
    ends = timezone.now().replace(second=0, microsecond=0) + timedelta(days=400)
    done = person.send(page, act=act, until="7", ends=f"{ends:%Y-%m-%dT%H:%M}", **of_act)
    with actor.present():
        stay = pin_now(cast.greet, tenant_itself(actor.tenant_id) if page == OURS else actor.acting_for())
    assert done.status_code == 200 and stay is not None and stay.until == ends


@pytest.mark.parametrize(("ends", "told"), [("soon", "That is no moment"), ("2020-01-01T10:00", "a moment to come")])
@pytest.mark.parametrize("act", ["pin", "restore"])
def test_an_end_that_cannot_be_is_said_above_the_form_as_it_was_typed(
    act: str, ends: str, told: str, at_desk: Sit, cast: Cast
) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    of_act = {"version": "1"} if act == "pin" else {"at": moments(alice.see(PAGE))[1]}
    refused = alice.send(PAGE, act=act, until="", ends=ends, reason="I like it", **of_act)
    assert refused.status_code == 422 and told in words(refused) and "Or until" in words(refused)
    assert all(f'value="{typed}"' in refused.content.decode() for typed in (ends, "I like it"))
    assert stay_of(cast, cast.alice) is None


def test_one_click_undoes_it(at_desk: Sit, cast: Cast) -> None:
    warm(cast)
    publish_terse(cast)
    before = digest_of(cast, cast.alice)
    alice = at_desk(cast.alice)
    done = alice.send(PAGE, act="restore", at=moments(alice.see(PAGE))[2])
    assert digest_of(cast, cast.alice) != before
    undone = alice.send(PAGE, act="undo", former="", now=hidden(done, "now"))
    assert undone.status_code == 200 and digest_of(cast, cast.alice) == before
    assert stay_of(cast, cast.alice) is None and 'value="undo"' not in undone.content.decode()


def test_undoing_a_stay_brings_the_former_one_back(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    pin(cast.greet, "user", kind="base", version=1, reason="I like it", by=cast.alice)
    alice = at_desk(cast.alice)
    done = alice.send(PAGE, act="unpin")
    assert stay_of(cast, cast.alice) is None
    alice.send(PAGE, act="undo", former=hidden(done, "former"), now=hidden(done, "now"))
    stay = stay_of(cast, cast.alice)
    assert stay is not None and (stay.base, stay.reason) == (1, "I like it")


def test_what_has_moved_since_is_not_undone(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    done = alice.send(PAGE, act="pin", version="1")
    pin(cast.greet, "user", kind="base", version=2, by=cast.alice)
    late = alice.send(PAGE, act="undo", former="", now=hidden(done, "now"))
    stay = stay_of(cast, cast.alice)
    assert late.status_code == 412 and stay is not None and stay.base == 2


def test_somebody_elses_former_stay_cannot_be_taken(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    hers = pin(cast.greet, "user", kind="base", version=1, by=cast.alice).pin
    assert hers is not None
    refused = at_desk(cast.bob).send(PAGE, act="undo", former=str(hers.pk), now='"none"')
    assert refused.status_code == 404 and stay_of(cast, cast.bob) is None


def test_the_effect_on_her_last_inputs_is_shown_before_she_confirms(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    for name in ("Ann", "Ben"):
        ran(alice, cast.alice, name)
    publish_terse(cast)
    then = moments(alice.see(PAGE))[1]
    confirm = alice.part(f"{PAGE}?at={then}&confirm=restore")
    assert "See the effect on my last 10 inputs" in words(confirm)
    going = alice.send(PAGE, act="try", confirm="restore", at=then)
    assert going.status_code == 200 and "0 of 2 done" in words(going)
    with cast.alice.present():
        [preview] = Preview.objects.all()
    model.script(*[greeting("Hello"), greeting("Dearest")] * 2)
    look()
    where = re.search(r'hx-get="([^"]+preview=[^"]+)"', going.content.decode())
    assert where is not None and str(preview.id) in where[1]
    shown = words(alice.part(where[1].replace("&amp;", "&")))
    assert "2 would read differently" in shown and "Now removed Hello Then added Dearest" in shown
    assert "Put it back" in shown and stay_of(cast, cast.alice) is None
    at_desk(cast.bob).see(f"{PAGE}?at={then}&confirm=restore&preview={preview.id}", 404)


def test_without_inputs_there_is_no_effect_to_show_and_it_says_so(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    refused = alice.send(PAGE, act="try", confirm="pin", version="1")
    assert refused.status_code == 422 and "You have no runs of greet yet" in words(refused)
    assert "Stay on version 1 of Greet?" in words(refused)
    assert alice.send(PAGE, act="try", confirm="nothing").status_code == 400
