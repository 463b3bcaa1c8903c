"""The operator's pages: versions and what an act on one would do, whom a move reaches, a rollout from start to end."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from backend.web.bars import Part, laid_out
from backend.web.rolling import measured, span
from backend.web.rollout_form import START
from features.actions.rollouts import advance, pause
from features.actions.versions import publish
from features.actions.withdrawals import withdraw
from features.impact import look
from features.impact.work import work_through
from features.models import CurrentVersion, Rollout, Withdrawal
from features.resolve import serve
from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import Operator
from tests.cast import GREET, Cast

from .conftest import Person, words
from .vendor_story import begin, measure, tell

Sit = Callable[[Actor], Person]
VERSIONS = "/vendor/f/greet/versions"
NEW = "/vendor/rollouts/new?feature=greet&to=2"


@pytest.fixture
def olga(at_desk: Sit, cast: Cast) -> Person:
    """The operator at her desk, with a second version under people who have changed and pinned things."""
    tell(cast)
    return at_desk(cast.operator)


def current(cast: Cast) -> int:
    return CurrentVersion.objects.using(OPERATOR).get(feature=cast.greet, valid_to=None).version


def served_to(cast: Cast, who: Actor) -> int:
    with who.present():
        return serve(cast.greet, who.tenant_id, who.acting_for()).choice.base


def form(**changed: str) -> dict[str, str]:
    """The form of a new rollout as it is offered, with some fields changed."""
    return {**START, "feature": "greet", "to": "2", "act": "start", **changed}


# --- who may look


@pytest.mark.parametrize("path", [VERSIONS, "/vendor/rollouts", NEW, f"{NEW}&tab=impact", f"{NEW}&tab=steps"])
def test_the_vendors_pages_are_for_operators_alone(olga: Person, at_desk: Sit, cast: Cast, path: str) -> None:
    olga.see(path)
    assert "Your role does not allow this" in words(at_desk(cast.ada).see(path, 403))
    at_desk(cast.alice).see(path, 403)
    stranger = Client().get(path)
    assert stranger.status_code == 302 and stranger["Location"].startswith("/accounts/login/?next=/vendor/")


@pytest.mark.parametrize("query", ["", "?tab=impact", "?tab=changes", "?tab=log", "?format=csv", "?confirm=rollback"])
def test_a_rollout_is_seen_and_moved_by_operators_alone(olga: Person, at_desk: Sit, cast: Cast, query: str) -> None:
    path = f"/vendor/rollouts/{begin(cast).id}"
    olga.see(path + query)
    at_desk(cast.ada).see(path + query, 403)
    assert at_desk(cast.ada).send(path, act="pause").status_code == 403
    assert Rollout.objects.using(OPERATOR).get().state == "running"


@pytest.mark.parametrize(
    "path", ["/vendor/f/nothing/versions", "/vendor/rollouts/new?feature=greet&to=9", f"{VERSIONS}?a=1&b=9"]
)
def test_what_is_not_there_is_a_page_that_says_so(olga: Person, path: str) -> None:
    olga.see(path, 404)


def test_a_page_that_is_no_page_is_refused_in_words(olga: Person) -> None:
    assert "Say which version." in words(olga.see("/vendor/rollouts/new?feature=greet&to=x", 400))
    assert olga.send(VERSIONS, act="publish", version="1").status_code == 400


# --- versions


def test_the_versions_say_what_they_are_and_what_can_be_done(olga: Person, cast: Cast) -> None:
    page = words(olga.see(VERSIONS))
    assert "2 Politer, and by the time of day" in page and "1 Current" in page
    assert page.count("Start a rollout") == 1 and page.count("Make current") == 1
    features = words(olga.see("/vendor/features"))
    assert "Greet greet Greets somebody. Version 1 2 Version 2" in features


def test_two_versions_are_compared_field_by_field(olga: Person) -> None:
    page = words(olga.see(f"{VERSIONS}?a=1&b=2"))
    assert "From version 1 to version 2" in page and "3 differences" in page
    assert "removed people. added people politely, by their first name." in page
    assert "The same, byte for byte." in words(olga.see(f"{VERSIONS}?a=2&b=2"))


def test_a_changed_rule_is_a_difference_too(olga: Person, cast: Cast) -> None:
    publish(cast.greet, behavior=GREET, rules={"vars.tone": {"edit": "locked"}}, make_current=False, by=cast.operator)
    page = words(olga.see(f"{VERSIONS}?a=1&b=3"))
    assert "Rule for Tone" in page and "Who may change it: Nobody" in page


def test_a_version_is_read_in_full_by_every_operator_and_written_by_who_publishes(olga: Person, cast: Cast) -> None:
    for role, may in (("read", False), ("support", False), ("publish", True)):
        Operator.objects.using(OPERATOR).update(roles=[role])
        page = words(olga.see(f"{VERSIONS}?show=2"))
        assert "Version 2 in full" in page and "Opening Begin with the time of day." in page
        assert "Who may change it: Nobody" in page and "Only one of: plain, warm, formal" in page
        assert ("Write the next version" in page) == may and ("Begin with it" in page) == may
        assert ("New feature" in words(olga.see("/vendor/features"))) == may
    olga.see(f"{VERSIONS}?show=9", 404)


def test_making_a_version_current_says_first_what_happens(olga: Person, cast: Cast) -> None:
    page = words(olga.see(f"{VERSIONS}?confirm=current&version=2"))
    assert "Everyone who follows the vendor moves from version 1 to version 2 at once" in page
    assert current(cast) == 1
    answer = olga.send(VERSIONS, htmx=False, act="current", version="2")
    assert answer["Location"] == VERSIONS and current(cast) == 2
    assert "Version 2 of Greet is current." in words(olga.see(VERSIONS))


def test_withdrawing_names_whom_it_moves_and_needs_a_reason(olga: Person, cast: Cast) -> None:
    page = words(olga.see(f"{VERSIONS}?confirm=withdraw&version=1"))
    assert "Everyone on version 1 is served version 2" in page and "(1 person)" in page
    refused = olga.send(VERSIONS, htmx=False, act="withdraw", version="1", replacement="2", reason="  ")
    assert refused.status_code == 422 and "must say why" in words(refused)
    assert not Withdrawal.objects.using(OPERATOR).exists()
    olga.send(VERSIONS, htmx=False, act="withdraw", version="1", replacement="2", reason="It promised refunds")
    page = words(olga.see(VERSIONS))
    assert "Withdrawn → 2" in page and "Withdrawn by Olga: It promised refunds" in page
    assert served_to(cast, cast.mallory) == 2


def test_a_refused_withdrawal_keeps_what_was_typed(olga: Person, cast: Cast) -> None:
    typed = {"act": "withdraw", "version": "1", "replacement": "2", "reason": "It promised refunds"}
    withdraw(cast.greet, 2, replacement=1, reason="x", by=cast.operator)
    refused = olga.send(VERSIONS, htmx=False, **typed)
    assert refused.status_code == 409 and "no other version that could stand in for it" in words(refused)
    publish(cast.greet, behavior=GREET, make_current=False, by=cast.operator)
    refused = olga.send(VERSIONS, htmx=False, **typed)
    assert refused.status_code == 409 and 'value="It promised refunds"' in refused.content.decode()
    assert "Version 2 is withdrawn itself, and leads back to version 1" in words(refused)


def test_a_withdrawal_is_lifted_again(olga: Person, cast: Cast) -> None:
    withdraw(cast.greet, 1, replacement=2, reason="A mistake", by=cast.operator)
    page = words(olga.see(f"{VERSIONS}?confirm=lift&version=1"))
    assert "Serve version 1 again?" in page and "is back on it: 1 person" in page
    olga.send(VERSIONS, htmx=False, act="lift", version="1")
    assert served_to(cast, cast.mallory) == 1
    assert "Withdrawn" not in words(olga.see(VERSIONS))


def test_while_a_rollout_is_under_way_the_current_version_cannot_be_moved(olga: Person, cast: Cast) -> None:
    begin(cast)
    page = words(olga.see(VERSIONS))
    assert "Version 2 is being rolled out." in page and "Make current" not in page and "Rolling out" in page
    refused = olga.send(VERSIONS, htmx=False, act="current", version="2")
    assert refused.status_code == 409 and "is being rolled out to version 2" in words(refused)
    assert "Version 2, step 1 of 4" in words(olga.see("/vendor/features"))


@pytest.mark.parametrize(
    ("path", "asked", "told"),
    [
        (VERSIONS, {"act": "current", "version": "2"}, "Make version 2 current"),
        (VERSIONS, {"act": "withdraw", "version": "1", "replacement": "2", "reason": "Wrong"}, "Withdraw version 1 for 2"),
        ("/vendor/rollouts/new", form(), "Roll out version 2"),
    ],
)  # fmt: skip
def test_where_it_takes_two_one_is_led_to_what_waits_for_the_other(
    path: str, asked: dict[str, str], told: str, olga: Person, cast: Cast, settings: Any
) -> None:
    settings.SECOND_APPROVAL = True
    answer = olga.client.post(path, asked)
    assert answer["Location"] == "/vendor/approvals" and current(cast) == 1 and served_to(cast, cast.alice) == 1
    page = words(olga.see("/vendor/approvals"))
    assert told in page and "approves it within a day" in page and "Take back" in page


# --- a new rollout


def test_without_a_feature_one_chooses_the_version_to_move_to(olga: Person, cast: Cast) -> None:
    page = olga.see("/vendor/rollouts/new")
    assert "Choose the version that everyone is to move to" in words(page)
    assert re.findall(r'href="\?feature=(\w+)&amp;to=(\d)"', page) == [("greet", "2")]  # not the current one
    assert "version 1 to 2" in words(olga.see(NEW))
    assert 'href="/vendor/rollouts/new"' in olga.see("/vendor/rollouts")
    withdraw(cast.greet, 2, replacement=1, reason="x", by=cast.operator)
    assert "There is no other version." in words(olga.see("/vendor/rollouts/new?feature=greet"))
    assert "There is no feature nothing." in words(olga.see("/vendor/rollouts/new?feature=nothing", 404))


def test_where_a_rollout_is_under_way_it_is_led_to_instead(olga: Person, cast: Cast) -> None:
    begin(cast)
    page = olga.see("/vendor/rollouts/new")
    assert "Version 2 is on its way" in words(page) and "to=2" not in page
    Operator.objects.using(OPERATOR).update(roles=["read"])
    olga.see("/vendor/rollouts/new", 403)
    assert "New rollout" not in words(olga.see("/vendor/rollouts"))


# --- whom it would reach


def test_an_impact_is_asked_for_shown_while_it_comes_and_then_no_longer_polled(olga: Person, cast: Cast) -> None:
    assert "Whom would it reach?" in words(olga.see(f"{NEW}&tab=impact"))
    assert "Look at whom it reaches first" in words(olga.see(f"{NEW}&tab=steps"))
    asked = olga.send("/vendor/rollouts/new", htmx=False, feature="greet", to="2", act="look")
    assert asked["Location"].endswith("tab=impact")
    going = olga.part(f"{NEW}&tab=impact").content.decode()
    assert "every 1500ms" in going and "Waiting for a worker" in words(going) and "<html" not in going
    assert work_through() == 1
    done = olga.part(f"{NEW}&tab=impact").content.decode()
    assert "hx-trigger" not in done and "By organisation" in words(done)
    assert "Choose the steps" not in words(going) and "Choose the steps" in words(done)
    assert "Start the rollout of version 2" in words(olga.see(f"{NEW}&tab=steps"))


@pytest.fixture
def reached(olga: Person, cast: Cast) -> Person:
    """The operator with the impact of version 2 worked out."""
    look(cast.greet, to=2, by=cast.operator)
    work_through()
    return olga


def test_an_impact_counts_every_class_and_lists_organisations_worst_first(reached: Person) -> None:
    page = reached.see(f"{NEW}&tab=impact")
    told = re.findall(r'b-class-count">(\d+)</span>.*?</svg> ([A-Z][a-z ]+)</span>', page, re.DOTALL)
    assert [label for _count, label in told] == [
        "Unaffected", "Carried", "Now the same", "Pinned", "Suspended", "Conflict", "Broken", "Orphaned"
    ]  # fmt: skip
    assert {label: count for count, label in told if count != "0"} | {"Unaffected": ""} == {
        "Unaffected": "", "Carried": "2", "Pinned": "1", "Conflict": "1", "Orphaned": "1"
    }  # fmt: skip
    said = words(page)
    assert said.index("Acme 3") < said.index("Globex 2")
    assert "Acme 3" in said and "1 held on version 1" in said and "1 change loses its field" in said


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ({"class": "orphaned"}, "Globex", "Acme"),
        ({"class": "conflict"}, "Acme", "Globex"),
        ({"class": "decide"}, "Acme", "Globex"),
        ({"find": "glo"}, "Globex", "Acme"),
    ],
)
def test_a_class_filters_the_organisations(reached: Person, query: dict[str, str], there: str, gone: str) -> None:
    table = reached.see(f"{NEW}&tab=impact&{urlencode(query)}").split('id="by-title"')[1]
    assert there in words(table) and gone not in words(table)


def test_a_class_without_anybody_says_so_and_an_unknown_one_is_refused(reached: Person) -> None:
    assert "No organisation is like that." in words(reached.see(f"{NEW}&tab=impact&class=broken"))
    assert "That is no class of an impact." in words(reached.see(f"{NEW}&tab=impact&class=worst", 400))


def test_an_organisation_opens_to_names_and_fields_but_never_to_what_was_written(reached: Person) -> None:
    page = reached.see(f"{NEW}&tab=impact")
    link = unescape(re.search(r'href="(\?[^"#]*org=[^"#]*)#[^"]*"[^>]*>Acme<', page)[1])  # type: ignore[index]
    opened = words(reached.see(f"/vendor/rollouts/new{link}"))
    assert "Bob Conflict Role" in opened and "Acme, for all of them" in opened
    assert "old friends" not in opened


def test_the_table_is_there_as_csv_and_holds_no_formula(reached: Person, cast: Cast) -> None:
    from tenants.models import Tenant

    Tenant.objects.using(OPERATOR).filter(pk=cast.gus.tenant_id).update(name="=HYPERLINK(1)")
    look(cast.greet, to=2, by=cast.operator)
    work_through()
    answer = reached.client.get(f"{NEW}&tab=impact&format=csv")
    assert answer["Content-Type"].startswith("text/csv") and "attachment" in answer["Content-Disposition"]
    rows = answer.content.decode().splitlines()
    assert rows[0].startswith("organisation,unaffected,carried") and rows[2].startswith("'=HYPERLINK(1)")


# --- the form


def test_what_is_wrong_stands_beside_its_field_and_everything_typed_stays(reached: Person) -> None:
    typed = form(**{
        "step-0-who": "quarter", "step-1-kind": "tenants", "step-1-who": "acme, nobody", "step-1-hold": "long",
        "guard-failed_checks-max": "many", "guard-pins_away-runs": "few", "message": "Politer greetings",
    })  # fmt: skip
    answer = reached.client.post("/vendor/rollouts/new", typed)
    page = answer.content.decode()
    assert answer.status_code == 422 and not Rollout.objects.using(OPERATOR).exists()
    wrong = {
        name: words(text) for name, text in re.findall(r'<p class="b-problems" id="([^"]+)-wrong">(.*?)</p>', page)
    }
    assert wrong["who-0"].startswith("Must be a number above 0 and at most 100")
    assert wrong["who-1"] == "There is no tenant nobody."
    assert wrong["hold-1"].startswith("Write a whole number")
    assert wrong["max-failed_checks"] == "Write a number from 0 to 100."
    assert wrong["sample-pins_away"].startswith("Must be a whole number")
    assert set(wrong) == {"who-0", "who-1", "hold-1", "max-failed_checks", "sample-pins_away"}
    for text in ("quarter", "acme, nobody", "long", "many", "few", "Politer greetings"):
        assert f'value="{text}"' in page


def test_steps_are_added_and_removed_without_losing_what_was_typed(reached: Person) -> None:
    more = reached.client.post(
        "/vendor/rollouts/new", form(change="add", **{"step-1-who": "33"}), headers={"HX-Request": "true"}
    )
    page = more.content.decode()
    assert "<html" not in page and page.count('<fieldset class="b-step-row"') == 4
    assert re.findall(r'name="step-(\d)-who" value="(\d*)"', page) == [("0", "5"), ("1", "33"), ("3", ""), ("2", "100")]
    less = reached.client.post("/vendor/rollouts/new", form(change="remove-0", **{"step-1-who": "33"}))
    assert re.findall(r'name="step-\d-who" value="(\d*)"', less.content.decode()) == ["33", "100"]
    assert not Rollout.objects.using(OPERATOR).exists()


def test_the_form_says_in_people_s_units_what_the_rollout_keeps_in_its_own(reached: Person, cast: Cast) -> None:
    typed = form(**{"step-0-who": "2,5%", "guard-cost_per_run-max": "0.002", "guard-cost_per_run-do": "roll_back"})
    answer = reached.client.post("/vendor/rollouts/new", typed)
    rollout = Rollout.objects.using(OPERATOR).get()
    assert answer["Location"] == f"/vendor/rollouts/{rollout.id}"
    assert rollout.steps[0] == {"percent": 2.5, "hold": 3600, "min_runs": 50}
    assert rollout.guards["cost_per_run"] == {"max": 2000, "min_runs": 30, "do": "roll_back"}
    assert rollout.guards["failed_checks"]["max"] == 0.05


# --- a rollout as it goes


def test_a_rollout_goes_from_start_to_rollback_through_the_pages(reached: Person, cast: Cast) -> None:
    answer = reached.client.post("/vendor/rollouts/new", form(**{"step-0-kind": "tenants", "step-0-who": "acme"}))
    path = answer["Location"]
    page = words(reached.see(path))
    assert "The rollout of version 2 has begun." in page and "Step 1 of 3, running" in page and "Acme, now" in page
    assert served_to(cast, cast.alice) == 2 and served_to(cast, cast.bob) == 1  # his conflict holds him

    asked = words(reached.see(f"{path}?confirm=pause"))
    assert "Nobody else is moved until somebody goes on." in asked and "Pause it?" in asked
    assert "Go on with it?" not in words(reached.see(f"{path}?confirm=resume"))
    reached.send(path, htmx=False, act="pause", why="Lunch")
    page = words(reached.see(path))
    assert "Paused." in page and "Lunch" in page and "Resume" in page and "Advance to" not in page
    again = reached.send(path, htmx=False, act="pause")
    assert again.status_code == 409 and "paused already" in words(again)
    reached.send(path, htmx=False, act="resume")
    assert "Resume" not in words(reached.see(path))

    page = words(reached.see(f"{path}?confirm=rollback"))
    assert "1 organisation goes back to version 1 at once: Acme." in page
    reached.send(path, htmx=False, act="rollback", why="Two complaints")
    page = words(reached.see(path))
    assert "Rolled back: everyone is on the version that they had before." in page and "Two complaints" in page
    assert served_to(cast, cast.alice) == 1 and current(cast) == 1
    log = words(reached.see(f"{path}?tab=log"))
    assert "Olga rolled it back in step 1 Two complaints" in log and "Olga started the rollout: Acme" in log
    assert "Rolled back" in words(reached.see("/vendor/rollouts"))


def test_going_on_early_names_whom_it_moves_and_is_never_the_primary_button(olga: Person, cast: Cast) -> None:
    path = f"/vendor/rollouts/{begin(cast, steps=[{'tenants': ['acme'], 'hold': '2h'}, {'tenants': ['globex'], 'hold': '1h'}]).id}"
    page = olga.see(f"{path}?confirm=advance")
    assert "1 more organisation takes version 2: Globex." in words(page)
    assert "The hold and the sample of step 1 are skipped." in words(page)
    assert "btn-primary" not in page
    answer = olga.client.post(path, {"act": "advance", **hidden(page), "why": "All is well"})
    assert answer.status_code == 302
    page = olga.see(f"{path}?confirm=advance")
    assert "Version 2 becomes current and the rollout is done." in words(page)
    olga.client.post(path, {"act": "advance", **hidden(page)})
    page = words(olga.see(path))
    assert "Done" in page and "Roll back" not in page and current(cast) == 2


def test_an_advance_that_was_decided_a_step_ago_does_nothing(olga: Person, cast: Cast) -> None:
    rollout = begin(cast)
    path = f"/vendor/rollouts/{rollout.id}"
    page = olga.see(f"{path}?confirm=advance")
    advance(rollout, by=cast.operator)
    refused = olga.client.post(path, {"act": "advance", **hidden(page)})
    assert refused.status_code == 409 and "It has moved on in the meantime" in words(refused)
    assert Rollout.objects.using(OPERATOR).get().step == 1


def hidden(page: str) -> dict[str, str]:
    return {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="(step|since)" value="([^"]+)"', page)
    }


def test_guards_are_told_in_words_and_drawn_from_the_same_numbers(olga: Person, cast: Cast) -> None:
    rollout = begin(cast)
    measure(rollout, "pins_away", [0.001, 0.009, 0.016], sample=531)
    measure(rollout, "failed_checks", [None], sample=38)
    measure(rollout, "schema_failures", [0.004, 0.03], sample=1204)
    page = olga.see(f"/vendor/rollouts/{rollout.id}")
    said = words(page)
    assert "Went back Near its limit 1.6% limit 2%, pauses" in said
    assert "Failed checks Waiting Too few runs yet, 38 of 200" in said
    assert "Broken output form Over its limit 3% limit 1%, pauses" in said
    assert "Cost per run Waiting" in said and "rolls back" in said
    assert "Broken output form is over its limit: 3% of 1,204 runs, limit 1%." in said
    charts = [json.loads(unescape(text)) for text in re.findall(r'data-b-chart="([^"]+)"', page)]
    assert charts[0]["values"] == [0.001, 0.009, 0.016] and charts[0]["limit"] == 0.02
    assert charts[0]["words"][-1] == "1.6%, 531 people" and charts[2]["values"] == [None]
    assert all(chart["top"] > chart["limit"] for chart in charts)


def test_the_live_page_renews_its_parts_until_the_rollout_ends(olga: Person, cast: Cast) -> None:
    rollout = begin(cast)
    path = f"/vendor/rollouts/{rollout.id}"
    assert 'hx-trigger="every 4s"' in olga.see(path)
    part = olga.part(path).content.decode()
    assert "<html" not in part
    ids = re.findall(r'id="([\w-]+)"[^>]* hx-swap-oob="true"', part)
    assert ids == [
        "lead", "verbs", "warning", "stages", "guard-pins_away", "guard-schema_failures", "guard-failed_checks",
        "guard-cost_per_run", "places", "last", "organisations",
    ]  # fmt: skip
    pause(rollout, why="0.9% of 1,204 runs", by=cast.operator)
    assert "0.9% of 1,204 runs" in words(olga.part(path))
    olga.send(path, htmx=False, act="rollback")
    ended = olga.part(path).content.decode()
    assert 'id="poll"' in ended and "hx-trigger" not in ended
    assert "hx-trigger" not in olga.see(path)


def test_who_is_where_is_counted_and_listed(olga: Person, cast: Cast) -> None:
    rollout = begin(cast)
    work_through()
    page = words(olga.see(f"/vendor/rollouts/{rollout.id}"))
    assert "2 organisations" in page and "On version 2 1" in page and "On version 1, their turn comes 1" in page
    assert "Acme On version 2 2 0" in page and "Globex On version 1, their turn comes 1 1" in page
    assert "1 change keeps its owner back." in page


def test_a_rollout_without_guards_or_with_few_says_what_is_missing(olga: Person, cast: Cast) -> None:
    rollout = begin(cast, guards={"failed_checks": {"max": 0.1}})
    page = words(olga.see(f"/vendor/rollouts/{rollout.id}"))
    assert "No runs yet" in page and "Nothing was measured yet." in page
    assert "No rollout yet" not in words(olga.see("/vendor/rollouts"))


def test_before_the_first_rollout_the_list_says_what_one_is(olga: Person) -> None:
    assert "No rollout yet" in words(olga.see("/vendor/rollouts"))


def test_a_second_rollout_is_refused_with_the_first_named(reached: Person, cast: Cast) -> None:
    begin(cast)
    publish(cast.greet, behavior=GREET, make_current=False, by=cast.operator)
    assert "One rollout of a feature moves at a time." in words(
        reached.see("/vendor/rollouts/new?feature=greet&to=3&tab=steps")
    )
    refused = reached.client.post("/vendor/rollouts/new", form(to="3"))
    assert refused.status_code == 409 and "is being rolled out to version 2" in words(refused)


# --- small things


@pytest.mark.parametrize("counts", [(1, 1, 1), (1_000_000, 1, 0, 3), (0, 5), (1,)])
def test_every_part_of_a_bar_that_is_not_empty_is_seen_and_they_fill_it(counts: tuple[int, ...]) -> None:
    parts = laid_out(Part(str(n), "", count) for n, count in enumerate(counts))
    widths = [float(part.width.removesuffix("%")) for part in parts]
    assert len(parts) == sum(count > 0 for count in counts)
    assert min(widths) * 340 >= 4 * 100 and sum(widths) == pytest.approx(100, abs=0.05)
    assert [float(p.x.removesuffix("%")) for p in parts] == pytest.approx(
        [sum(widths[:n]) for n in range(len(parts))], abs=0.05
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("pins_away", 0.015, "1.5%"), ("pins_away", 0.02, "2%"), ("pins_away", 0, "0%"), ("pins_away", None, "–"),
        ("failed_checks", 0.0004, "0.04%"), ("cost_per_run", 1213.4, "0.0012 EUR"), ("cost_per_run", 0, "0 EUR"),
    ],
)  # fmt: skip
def test_a_measurement_reads_in_its_own_unit(name: str, value: float | None, told: str, settings: Any) -> None:
    settings.CURRENCY = "EUR"
    assert measured(name, value) == told


def test_a_duration_reads_in_its_two_largest_units() -> None:
    from datetime import timedelta

    told = [span(timedelta(minutes=minutes)) for minutes in (0, 5, 60, 192, 1440, 2940)]
    assert told == ["0 min", "5 min", "1 h", "3 h 12 min", "1 day", "2 days 1 h"]


def test_the_impact_of_a_step_tells_what_that_step_did(olga: Person, cast: Cast) -> None:
    rollout = begin(cast)
    work_through()
    page = words(olga.see(f"/vendor/rollouts/{rollout.id}?tab=impact"))
    assert "What step 1 did when it began" in page and "1 held on version 1" in page
    assert "Nothing of theirs changes in this step" in page
    pause(rollout, by=cast.operator)
    assert "hx-trigger" not in olga.see(f"/vendor/rollouts/{rollout.id}?tab=impact")
