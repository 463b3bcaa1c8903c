"""The organisation's own timeline, and the picture that both timelines draw."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin
from features.actions.versions import set_current
from features.resolve import serve_warm
from features.runs.models import Run
from tenants.actor import Actor
from tenants.subjects import tenant_itself
from tests.cast import Cast
from tests.fakes.model import FakeModel
from tests.working import look

from .conftest import Person, words
from .test_timeline import digest_of, moments, publish_terse, warm
from .test_upgrading import held

Sit = Callable[[Actor], Person]
PATH = "/org/f/greet/timeline"


def ours(cast: Cast) -> str:
    with cast.ada.present():
        return serve_warm(cast.greet, cast.ada.tenant_id, tenant_itself(cast.ada.tenant_id)).digest


def french(cast: Cast) -> None:
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)


def lane(page: str, kind: str) -> str:
    """What one lane of the picture says, in time order."""
    return words(page.split(f'<table class="b-lane b-lane-{kind}"', 1)[1].split("</table>", 1)[0].split(">", 1)[1])


def test_ada_sees_what_acme_was_served_and_when(at_desk: Sit, cast: Cast) -> None:
    french(cast)
    warm(cast)
    publish_terse(cast)
    page = words(at_desk(cast.ada).see(PATH))
    assert "Acme was served" in page and "Version 2 reached Acme The vendor: Terser B C" in page
    assert "Language: French You, revision 1 A B" in page
    assert "Tone: warm" not in page, "what one of its people changes is not the organisation's"


def test_the_timeline_of_the_organisation_is_for_its_admins(at_desk: Sit, cast: Cast) -> None:
    for who in (cast.alice, cast.vera):
        at_desk(who).see(PATH, 403)
        assert at_desk(who).send(PATH, act="unpin").status_code == 403


def test_ada_puts_it_back_for_everyone_who_has_not_chosen_otherwise(at_desk: Sit, cast: Cast) -> None:
    french(cast)
    before, mine, theirs = ours(cast), digest_of(cast, cast.bob), digest_of(cast, cast.mallory)
    publish_terse(cast)
    pin(cast.greet, "user", kind="base", version=2, by=cast.alice)
    alices = digest_of(cast, cast.alice)
    ada = at_desk(cast.ada)
    then = moments(ada.see(PATH))[1]
    asked = words(ada.part(f"{PATH}?at={then}&confirm=restore"))
    assert "It reaches everyone at Acme who has not chosen otherwise." in asked and "Exact" in asked
    assert ours(cast) != before  # only rehearsed
    done = words(ada.send(PATH, act="restore", at=then))
    assert "Greet is back to behavior B. It reaches everyone at Acme" in done
    assert (ours(cast), digest_of(cast, cast.bob)) == (before, mine)
    assert digest_of(cast, cast.alice) == alices and digest_of(cast, cast.mallory) != theirs
    assert "Acme stays as it was, with version 1" in done


def test_ada_stays_and_follows_again(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    ada = at_desk(cast.ada)
    assert "Until we undo it" in words(ada.part(f"{PATH}?confirm=pin&version=1"))
    assert "Acme stays on version 1 of Greet." in words(ada.send(PATH, act="pin", version="1"))
    done = words(ada.send(PATH, act="unpin"))
    assert "Acme follows the vendor again, at version 2 of Greet." in done


def test_the_picture_has_a_lane_for_each_layer(at_desk: Sit, cast: Cast) -> None:
    french(cast)
    warm(cast)
    publish_terse(cast)
    page = at_desk(cast.alice).see("/f/greet/timeline")
    assert "D, now" in lane(page, "served") and "Version 2" in lane(page, "base")
    assert "Revision 1" in lane(page, "tenant") and "Revision 1" in lane(page, "user")
    assert lane(page, "stay") == ""
    widths = [sum(map(int, re.findall(r'colspan="(\d+)"', table))) for table in page.split("<table")[1:6]]
    assert widths == [112] * 5


def test_a_hold_is_in_the_lane_of_pins_and_holds(at_desk: Sit, cast: Cast) -> None:
    held(cast)
    page = at_desk(cast.alice).see("/f/greet/timeline")
    assert "Held on v2" in lane(page, "stay") and "Version 3" in lane(page, "base")
    assert "You are still on version 2 Version 3 waits for a decision." in words(page)
    set_current(cast.greet, 2, by=cast.operator)
    assert "Was held on v2" in lane(at_desk(cast.alice).see("/f/greet/timeline"), "stay")


def test_a_stay_is_in_it_too(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    publish_terse(cast)
    page = at_desk(cast.alice).see("/f/greet/timeline")
    assert "Stays on v1" in lane(page, "stay") and "Version 2" in lane(page, "base")


def test_a_chosen_moment_is_marked_in_the_picture(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    then = moments(alice.see("/f/greet/timeline"))[-1]
    page = alice.see(f"/f/greet/timeline?at={then}")
    assert 'class="b-segment-of b-chosen"' in page and "b-cursor-at" in page


def test_runs_are_counted_and_those_not_right_marked(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    alice.send("/f/greet", in__name="Ann")
    look()
    with cast.alice.present():
        run = Run.objects.get()
    alice.send(f"/runs/{run.id}/rate", verdict="bad")
    page = alice.see("/f/greet/timeline")
    assert "1 run, 1 not right</title>" in page and "b-bar-bad" in page
    assert "b-bar-runs" not in at_desk(cast.bob).see("/f/greet/timeline")
    assert "1 run, 1 not right</title>" in at_desk(cast.ada).see(PATH), "the organisation's picture counts everybody's"


def test_how_far_back_is_in_the_address(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert 'aria-current="true">Week' in alice.see("/f/greet/timeline?span=week")
    assert 'aria-current="true">4 weeks' in alice.see("/f/greet/timeline?span=nonsense")


def test_a_moment_before_anything_is_not_there(at_desk: Sit, cast: Cast) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=9000)).isoformat().replace("+00:00", "Z")
    assert "served nothing at that moment" in words(at_desk(cast.ada).see(f"{PATH}?at={long_ago}", 404))
