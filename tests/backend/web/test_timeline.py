"""The timeline: what happened, letters for behaviors, going back, staying, following again."""

from collections.abc import Callable
from typing import Any

from features.actions.overrides import ANY, save_operation
from features.actions.pins import pin, pin_now
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.models import Pin
from features.resolve import forget, serve_warm
from features.runs.models import Run
from tenants.actor import Actor
from tests.cast import GREET, Cast
from tests.fakes.model import FakeModel
from tests.working import look

from .conftest import Person, words
from .test_every_page import counted

Sit = Callable[[Actor], Person]
TERSE: dict[str, Any] = {**GREET, "instructions": {**GREET["instructions"], "role": "You greet people tersely."}}


def digest_of(cast: Cast, who: Actor) -> str:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for()).digest


def stay_of(cast: Cast, who: Actor) -> Pin | None:
    with who.present():
        return pin_now(cast.greet, who.acting_for())


def moments(page: str) -> list[str]:
    """The moments that the events link to, newest first."""
    return list(dict.fromkeys(part.split('"', 1)[0] for part in page.split('href="?at=')[1:]))


def warm(cast: Cast, tone: str = "warm") -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": tone}, expected=ANY, by=cast.alice)


def publish_terse(cast: Cast) -> None:
    publish(cast.greet, behavior=TERSE, message="Terser", make_current=True, by=cast.operator)


def test_what_happened_is_told_newest_first_with_letters(at_desk: Sit, cast: Cast) -> None:
    warm(cast)
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    publish_terse(cast)
    page = words(at_desk(cast.alice).see("/f/greet/timeline"))
    told = [
        "Version 2 reached you The vendor: Terser C D",
        "Language: French Ada, revision 1 B C",
        "Tone: warm You, revision 1 A B",
        "Version 1 published The vendor A",
    ]
    places = [page.index(line) for line in told]
    assert places == sorted(places)


def test_the_same_behavior_has_the_same_letter_again(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    set_current(cast.greet, 1, by=cast.operator)
    page = words(at_desk(cast.alice).see("/f/greet/timeline"))
    assert "The vendor went back to version 1 The vendor B A" in page


def test_a_chosen_moment_says_what_was_different(at_desk: Sit, cast: Cast) -> None:
    publish_terse(cast)
    alice = at_desk(cast.alice)
    first = moments(alice.see("/f/greet/timeline"))[-1]
    page = words(alice.part(f"/f/greet/timeline?at={first}"))
    assert "1 field was different from now" in page and "Put it back as it was here" in page
    assert "You greet removed people tersely. added people." in page
    now = moments(alice.see("/f/greet/timeline"))[0]
    assert "This is what you have now." in words(alice.see(f"/f/greet/timeline?at={now}"))


def test_alice_puts_it_back_byte_for_byte_and_nobody_else_is_changed(at_desk: Sit, cast: Cast) -> None:
    warm(cast)
    before = digest_of(cast, cast.alice)
    publish_terse(cast)
    others = {who.name: digest_of(cast, who) for who in (cast.ada, cast.bob, cast.gus, cast.mallory)}
    alice = at_desk(cast.alice)
    then = moments(alice.see("/f/greet/timeline"))[1]
    asked = alice.part(f"/f/greet/timeline?at={then}&confirm=restore")
    assert "Exact You get that behavior again, byte for byte" in words(asked)
    assert "Version 2 waits for you." in words(asked) and before in asked.content.decode()
    assert stay_of(cast, cast.alice) is None  # only rehearsed
    done = alice.send("/f/greet/timeline", act="restore", at=then)
    assert "Greet is back to behavior B. Nobody else was changed." in words(done)
    assert done["HX-Push-Url"] == "/f/greet/timeline"
    assert digest_of(cast, cast.alice) == before
    assert {who.name: digest_of(cast, who) for who in (cast.ada, cast.bob, cast.gus, cast.mallory)} == others
    assert "You stay as it was, with version 1" in words(done) and "Take version 2" in words(done)
    assert "Version 1, you stay on it" in words(alice.see("/"))


def test_alice_goes_back_to_what_a_run_was_served(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    alice.send("/f/greet", in__name="Ann")
    look()
    with cast.alice.present():
        run = Run.objects.get()
    warm(cast)
    page = words(alice.see(f"/f/greet/timeline?run={run.id}"))
    assert "As this run was served" in page and "Tone removed warm added plain" in page
    assert "Your own changes wait; they are kept." in words(
        alice.see(f"/f/greet/timeline?run={run.id}&confirm=restore")
    )
    assert alice.send("/f/greet/timeline", act="restore", run=str(run.id)).status_code == 200
    assert digest_of(cast, cast.alice) == run.receipt["digest"]


def test_alice_takes_the_new_version_after_all(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    publish_terse(cast)
    asked = words(alice.part("/f/greet/timeline?confirm=unpin"))
    assert "Follow the vendor again, at version 2 of Greet?" in asked and "1 field changes" in asked
    done = words(alice.send("/f/greet/timeline", act="unpin"))
    assert "You follow the vendor again, at version 2 of Greet." in done and "Follows the vendor again You" in done
    assert stay_of(cast, cast.alice) is None


def test_alice_stays_on_a_version_for_a_week(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    publish_terse(cast)
    asked = words(alice.part("/f/greet/timeline?confirm=pin&version=1"))
    assert "Stay on version 1 of Greet?" in asked and "7 days 30 days Until I undo it" in asked
    done = words(alice.send("/f/greet/timeline", act="pin", version="1", until="7"))
    kept = stay_of(cast, cast.alice)
    assert kept is not None and kept.until is not None and (kept.until - kept.created_at).days in (6, 7)
    assert "You stay on version 1 of Greet." in done and "Version 2 is current." in done


def test_a_policy_of_days_is_named_before_one_stays(at_desk: Sit, cast: Cast) -> None:
    set_policy(users_may_pin=10, by=cast.ada)
    asked = words(at_desk(cast.alice).part("/f/greet/timeline?confirm=pin&version=1"))
    assert "7 days 10 days Acme allows 10 days at most, until" in asked and "Until I undo it" not in asked


def test_where_the_policy_forbids_it_the_page_says_who_decided_and_what_else_one_can_do(
    at_desk: Sit, cast: Cast
) -> None:
    warm(cast)
    warm(cast, "formal")
    publish_terse(cast)
    set_policy(users_may_pin="no", by=cast.ada)
    alice = at_desk(cast.alice)
    then = moments(alice.see("/f/greet/timeline"))[3]
    page = alice.see(f"/f/greet/timeline?at={then}")
    assert "Acme does not let its people stay on a version. Ada can change that." in words(page)
    assert "You can go back to your own revision 1 instead." in words(
        page
    ) and "Still different would be: Role." in words(page)
    assert "disabled" in page.split("Put it back as it was here")[0].rsplit("<button", 1)[1]
    refused = alice.send("/f/greet/timeline", act="restore", at=then)
    assert refused.status_code == 422 and "does not let its users stay on a version" in words(refused)
    assert stay_of(cast, cast.alice) is None


def test_a_version_that_was_never_released_cannot_be_stayed_on(at_desk: Sit, cast: Cast) -> None:
    publish(cast.greet, behavior=TERSE, make_current=False, by=cast.operator)
    alice = at_desk(cast.alice)
    assert "Version 2" not in words(alice.see("/f/greet/timeline"))
    assert "has no version 2" in words(alice.see("/f/greet/timeline?confirm=pin&version=2", 404))


def test_where_the_organisation_stays_its_people_are_told(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "tenant", kind="base", version=1, by=cast.ada)
    publish_terse(cast)
    page = words(at_desk(cast.alice).see("/f/greet/timeline"))
    assert "Acme stays on version 1 Your organisation has chosen it for everyone. Version 2 is current." in page
    assert "Take version 2" not in page and "Acme stays on it" in words(at_desk(cast.alice).see("/"))


def test_saving_while_put_back_is_one_event_at_the_moment_it_took_effect(at_desk: Sit, cast: Cast) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    warm(cast)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet/timeline")
    assert "Tone: warm You, revision 1 A B" in words(page)
    assert len(moments(page)) == 3
    assert "This is what you have now." in words(alice.see(f"/f/greet/timeline?at={moments(page)[0]}"))


def test_moments_that_never_were_are_said_to_be_so(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert "served nothing at that moment" in words(alice.see("/f/greet/timeline?at=2001-01-01T00:00:00Z", 404))
    assert "yet to come" in words(alice.see("/f/greet/timeline?at=2199-01-01T00:00:00Z", 409))
    alice.see("/f/greet/timeline?at=yesterday", 400)
    alice.see("/f/greet/timeline?run=not-a-run", 404)


def test_a_long_history_asks_the_database_no_more_than_a_short_one(at_desk: Sit, cast: Cast) -> None:
    for number in range(12):
        save_operation(cast.greet, "user", "vars.language", {"set": f"Tongue {number}"}, expected=ANY, by=cast.alice)
        save_operation(cast.greet, "tenant", "vars.language", {"set": f"Jargon {number}"}, expected=ANY, by=cast.ada)
        if number % 3 == 0:
            publish(cast.greet, behavior=TERSE | {"prompt": f"{number}"}, make_current=True, by=cast.operator)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet/timeline")
    forget()  # as in a process that has served nobody yet
    with counted() as statements:
        again = alice.see("/f/greet/timeline")
    assert moments(again) == moments(page) and len(moments(page)) > 20
    assert len(statements) <= 10, statements


def test_a_long_history_is_paged(at_desk: Sit, cast: Cast) -> None:
    for number in range(33):
        save_operation(cast.greet, "user", "vars.language", {"set": f"Tongue {number}"}, expected=ANY, by=cast.alice)
    alice = at_desk(cast.alice)
    page = alice.see("/f/greet/timeline")
    assert "Language: Tongue 32" in page and "Language: Tongue 2<" not in page
    older = page.split('href="?before=', 1)[1].split('"', 1)[0]
    page = words(alice.see(f"/f/greet/timeline?before={older}"))
    assert "Language: Tongue 2 You, revision 3" in page and "Tongue 3 " not in page and "Version 1 published" in page
