"""Changes passed on by an admin: what that does is shown before it is done, and only what was shown is done."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from backend.actors import actor_of_key
from features.actions.overrides import ANY, content_of, newest, save_operation, save_override
from features.actions.pins import pin
from features.actions.versions import create_feature, publish
from tenants.actor import Actor
from tenants.models import AuditEvent
from tenants.subjects import tenant_itself
from tests.cast import GREET, GREET_RULES, Cast

from .conftest import Person, words
from .test_every_page import MOST_STATEMENTS, counted
from .test_people_page import page_of, warm
from .test_timeline import digest_of

Sit = Callable[[Actor], Person]
TONE, MINE = "vars.tone", "instructions.house"


def looks_of(page: Any) -> list[str]:
    """The addresses from which a page gets what leaving each feature would do."""
    return [unescape(address) for address in re.findall(r'hx-get="([^"]*chosen=yes[^"]*)"', page.content.decode())]


def ours(cast: Cast, **document: Any) -> None:
    given = document or {"set": {TONE: "warm", MINE: "Be brief."}}
    save_override(cast.greet, "tenant", given, expected=ANY, by=cast.ada)


def own(cast: Cast, who: Actor, subject: Any = None) -> dict[str, Any]:
    """What somebody changes, by field."""
    with who.present():
        found = content_of(newest(cast.greet, subject or who.acting_for()))[0]
    return {operation.field: operation.value for operation in found}


def house(cast: Cast) -> dict[str, Any]:
    return own(cast, cast.ada, tenant_itself(cast.ada.tenant_id))


def asked(person: Person, who: Actor, query: str = "") -> str:
    return words(person.part(f"{page_of(who)}?feature=greet&confirm=hand{query}"))


def test_what_handing_over_does_is_shown_and_nothing_is_done_yet(at_desk: Sit, cast: Cast) -> None:
    ours(cast)
    ada, events = at_desk(cast.ada), AuditEvent.objects
    told = asked(ada, cast.alice)
    assert "Hand Acme's changes of Greet to Alice?" in told and "Hand over 2 changes" in told
    assert "Alice No field changes today" in told and "Everybody else" not in told
    told = asked(ada, cast.alice, "&chosen=yes&field=vars.tone&keep=no")
    assert "Hand over 1 change" in told and "Everybody else at Acme Tone" in told and "removed warm" in told.lower()
    with cast.alice.present():
        assert not events.filter(verb="override.others").exists()
    assert own(cast, cast.alice) == {} and house(cast) == {TONE: "warm", MINE: "Be brief."}


def test_ada_hands_a_change_to_alice_alone_and_takes_it_back(at_desk: Sit, cast: Cast) -> None:
    before, ada = digest_of(cast, cast.bob), at_desk(cast.ada)
    ours(cast)
    warmed = digest_of(cast, cast.alice)
    done = ada.send(page_of(cast.alice), act="hand", feature="greet", chosen="yes", field=[TONE, MINE], keep="no")
    assert "2 changes are Alice's own now. “Remove their changes” takes them back." in words(done)
    assert "Undo a save under Our changes" in words(done)
    assert own(cast, cast.alice) == {TONE: "warm", MINE: "Be brief."} and house(cast) == {}
    assert (digest_of(cast, cast.bob), digest_of(cast, cast.alice)) == (before, warmed)
    with cast.alice.present():
        last = AuditEvent.objects.order_by("-at").first()
        assert last is not None and (last.verb, last.detail["what"]) == ("override.others", "hand out")
    ada.send(page_of(cast.alice), act="inherit", feature="greet")
    assert digest_of(cast, cast.alice) == before


def test_the_organisation_may_keep_them_and_none_chosen_is_refused(at_desk: Sit, cast: Cast) -> None:
    ours(cast)
    ada = at_desk(cast.ada)
    refused = ada.send(page_of(cast.alice), act="hand", feature="greet", chosen="yes")
    assert refused.status_code == 422 and "Choose at least one." in words(refused)
    assert (
        ada.send(page_of(cast.alice), htmx=False, act="hand", feature="greet", chosen="yes", field=TONE).status_code
        == 302
    )
    assert own(cast, cast.alice) == {TONE: "warm"} and house(cast) == {TONE: "warm", MINE: "Be brief."}


def test_what_they_have_changed_themselves_is_replaced_only_when_that_is_asked(at_desk: Sit, cast: Cast) -> None:
    ours(cast)
    warm(cast, cast.alice, "formal")
    ada = at_desk(cast.ada)
    told = asked(ada, cast.alice)
    assert "Some have changed these fields themselves" in told and "Hand over" not in told.replace("Hand ours over", "")
    assert ada.send(page_of(cast.alice), act="hand", feature="greet").status_code == 409
    assert own(cast, cast.alice) == {TONE: "formal"}
    told = asked(ada, cast.alice, "&replace=yes")
    assert "Hand over 2 changes" in told and "formal" in told
    assert ada.send(page_of(cast.alice), act="hand", feature="greet", replace="yes").status_code == 200
    assert own(cast, cast.alice)[TONE] == "warm"


def test_where_the_organisation_has_changed_nothing_there_is_nothing_to_hand_over(at_desk: Sit, cast: Cast) -> None:
    ada = at_desk(cast.ada)
    assert "Hand ours over" not in words(ada.see(page_of(cast.alice)))
    assert "Hand Acme's changes" not in asked(ada, cast.alice)
    assert ada.send(page_of(cast.alice), act="hand", feature="greet").status_code == 404


def test_a_user_of_the_software_who_has_nothing_yet_is_found_by_key_and_handed_one(at_desk: Sit, cast: Cast) -> None:
    ours(cast)
    user = actor_of_key(cast.keys[cast.acme_service.label], "crm/77")
    warm(cast, user)
    ada = at_desk(cast.ada)
    ada.send("/org/people/crm/77", act="inherit", feature="greet")
    assert "crm/77" not in ada.see("/org/people?kind=users")
    assert "crm/77" in ada.see("/org/people?kind=users&q=M/7")
    assert "crm/77" not in at_desk(cast.gus).see("/org/people?kind=users&q=M/7")
    assert ada.send("/org/people/crm/77", act="hand", feature="greet").status_code == 200
    assert own(cast, user) == {TONE: "warm", MINE: "Be brief."}


def test_what_copying_to_a_colleague_does_is_shown_first(at_desk: Sit, cast: Cast) -> None:
    warm(cast, cast.alice)
    ada, bob = at_desk(cast.ada), cast.bob.acting_for().key
    told = words(ada.part(f"{page_of(cast.alice)}?confirm=leave&to={bob}"))
    assert "Copy what Alice has to Bob?" in told and "Bob, Greet Tone" in told and "Copy it to Bob" in told
    assert own(cast, cast.bob) == {}
    warm(cast, cast.bob, "formal")
    told = words(ada.part(f"{page_of(cast.alice)}?confirm=leave&to={bob}"))
    assert "Bob has changes or a pin of their own there: greet." in told and "Copy it to Bob" not in told
    told = words(ada.part(f"{page_of(cast.alice)}?confirm=leave&to={bob}&replace=yes"))
    assert "Copy it to Bob" in told and own(cast, cast.bob) == {TONE: "formal"}
    ada.part(f"{page_of(cast.alice)}?confirm=leave&to={cast.alice.acting_for().key}")


def test_what_copying_much_to_a_colleague_does_is_found_out_of_each_feature_by_itself(at_desk: Sit, cast: Cast) -> None:
    more = [
        create_feature(key=key, title=key, behavior=GREET, rules=GREET_RULES, by=cast.operator)[0] for key in "abcdef"
    ]
    for feature in (cast.greet, *more):
        save_operation(feature, "user", TONE, {"set": "warm"}, expected=ANY, by=cast.alice)
    ada, bob = at_desk(cast.ada), cast.bob.acting_for().key
    address = f"{page_of(cast.alice)}?confirm=leave&to={bob}"
    ada.see(address)
    with counted() as statements:
        page = ada.part(address)
    assert len(statements) <= MOST_STATEMENTS, statements
    assert "Copy it to Bob" in words(page) and "warm" not in words(page)
    for feature, there in zip((cast.greet, *more), looks_of(page), strict=True):
        assert f"Bob, {feature.title} Tone" in words(ada.part(there))
    save_operation(more[0], "user", TONE, {"set": "formal"}, expected=ANY, by=cast.bob)
    assert "Bob has changes or a pin of their own there: a." in words(ada.part(address))
    asked = ada.part(f"{address}&replace=yes")
    assert "Copy it to Bob" in words(asked) and "Bob, a Tone" in words(ada.part(looks_of(asked)[1]))


def test_a_text_that_is_hidden_today_is_not_shown_by_what_copying_does(at_desk: Sit, cast: Cast) -> None:
    save_operation(cast.greet, "user", "instructions.tone", {"set": "Hers alone"}, expected=ANY, by=cast.alice)
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    rules = {**GREET_RULES, "instructions.tone": {"hidden": True}}
    publish(cast.greet, behavior=GREET, rules=rules, make_current=True, by=cast.operator)
    told = words(at_desk(cast.ada).part(f"{page_of(cast.alice)}?confirm=leave&to={cast.bob.acting_for().key}"))
    assert "Bob, Greet Tone Different, but not shown to customers." in told


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("alice", 403), ("vera", 403), ("gus", 404)])
def test_who_may_pass_changes_on(at_desk: Sit, cast: Cast, who: str, status: int) -> None:
    ours(cast)
    warm(cast, cast.bob)
    person, to = at_desk(getattr(cast, who)), cast.alice.acting_for().key
    for query in ("feature=greet&confirm=hand", f"confirm=leave&to={to}"):
        assert person.client.get(f"{page_of(cast.bob)}?{query}").status_code == status
    assert person.send(page_of(cast.alice), act="hand", feature="greet").status_code == status
    assert person.send(page_of(cast.bob), act="leave", to=to).status_code == (409 if status == 200 else status)
