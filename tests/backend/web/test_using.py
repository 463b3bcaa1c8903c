"""Home, use, runs: what people see of features and of what came out of them."""

import re
from collections.abc import Callable
from typing import Any

from features.actions.overrides import ANY, save_operation
from features.actions.versions import publish
from features.runs.accept import find_run
from features.runs.models import Run, State
from tenants.actor import Actor
from tenants.models import AuditEvent
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

from .conftest import Person, words

Sit = Callable[[Actor], Person]


def runs_of(who: Actor) -> list[Run]:
    with who.present():
        return list(Run.objects.filter(subject_id=who.acting_for().id).order_by("-id"))


def ran(person: Person, who: Actor, name: str = "Ann") -> Run:
    """Send the form and carry the run out, as a worker would."""
    assert person.send("/f/greet", in__name=name).status_code == 200
    look()
    return runs_of(who)[0]


def test_home_says_what_is_mine_and_what_is_ours(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    assert "As the vendor made it" in words(alice.see("/")) and "not used this month" in words(alice.see("/"))
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    ran(alice, cast.alice, "Ann of Porto")
    page = words(alice.see("/"))
    assert "1 field yours" in page and "1 from Acme" in page and "1 run this month" in page
    assert "Greet Ann of Porto" in page
    bob = words(at_desk(cast.bob).see("/"))
    assert "yours" not in bob and "1 from Acme" in bob and "Porto" not in bob


def test_a_run_streams_into_places_made_from_the_contract_and_ends_with_a_receipt(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    alice = at_desk(cast.alice)
    going = alice.send("/f/greet", in__name="Ann")
    [run] = runs_of(cast.alice)
    html = going.content.decode()
    assert going.status_code == 200 and going["HX-Push-Url"] == f"/f/greet?run={run.id}"
    assert f'data-b-events="/api/v1/runs/{run.id}/events"' in html and 'data-b-pointer="/greeting"' in html
    assert f"/runs/{run.id}/stop" in html and "Waiting for a worker" in html
    model.script(greeting("Hello Ann"))
    look()
    done = alice.part(f"/f/greet?run={run.id}")
    assert "Hello Ann" in words(done) and "1 check passed" in words(done) and "Vendor version 1" in words(done)
    assert run.receipt["digest"] in done.content.decode()
    assert "135M demo model" in words(done) and 'hx-swap-oob="true"' in done.content.decode()


def test_without_javascript_the_form_leads_to_the_runs_address(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.alice).send("/f/greet", htmx=False, in__name="Ann")
    assert answer.status_code == 302 and answer["Location"] == f"/f/greet?run={runs_of(cast.alice)[0].id}"


def test_a_blank_form_says_beside_the_field_what_is_missing_and_runs_nothing(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.alice).send("/f/greet", in__name="  ")
    assert (answer.status_code, answer["HX-Retarget"]) == (422, "#form")
    assert "Fill this in." in words(answer) and runs_of(cast.alice) == []


def test_what_the_contract_refuses_stands_beside_its_field_with_what_was_typed(at_desk: Sit, cast: Cast) -> None:
    typed = "x" * 201
    answer = at_desk(cast.alice).send("/f/greet", in__name=typed)
    assert answer.status_code == 422 and typed in answer.content.decode() and runs_of(cast.alice) == []
    assert 'aria-invalid="true"' in answer.content.decode()


def test_too_much_is_said_to_be_too_much(at_desk: Sit, cast: Cast) -> None:
    answer = at_desk(cast.alice).send("/f/greet", in__name="é" * 1100)
    assert answer.status_code == 413 and "at most 2000" in words(answer)


def test_model_output_is_text_whatever_it_says(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("<script>alert(1)</script><img src=x onerror=alert(2)>"))
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice, "<b>Ann</b>")
    for path in (f"/f/greet?run={run.id}", f"/runs/{run.id}", "/runs", "/", f"/f/greet/timeline?run={run.id}"):
        page = alice.see(path)
        assert "<script>alert" not in page and "<img src=x" not in page and "<b>Ann" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in alice.see(f"/runs/{run.id}")


def test_a_run_is_asked_anew_and_not_kept_when_one_says_so(
    at_desk: Sit, cast: Cast, model: FakeModel, settings: Any
) -> None:
    settings.CACHE_SECONDS = 3600
    alice = at_desk(cast.alice)
    model.script(greeting("Hello"))
    ran(alice, cast.alice)
    for asked in ({}, {"fresh": "yes"}, {"unstored": "yes"}):
        model.script(greeting("Hello"))
        alice.send("/f/greet", in__name="Ann", **asked)
        while look():
            pass
    newest = runs_of(cast.alice)[:3]
    assert [run.store for run in newest] == [False, True, True] and [run.cached for run in newest[1:]] == [False, True]
    refused = alice.send("/f/greet", unstored="yes", in__name="")
    assert 'value="yes" checked' in refused.content.decode()


def test_a_failed_run_says_why_and_what_to_do(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(Answer("{", finish="length"))
    alice = at_desk(cast.alice)
    page = words(alice.see(f"/f/greet?run={ran(alice, cast.alice).id}"))
    assert "The answer was cut off" in page and "1 attempt" in page and "Run again" in page
    assert "Is this right?" not in page


def test_alice_stops_a_run_before_it_begins(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    alice.send("/f/greet", in__name="Ann")
    [run] = runs_of(cast.alice)
    assert "This run was stopped" in words(alice.send(f"/runs/{run.id}/stop"))
    assert runs_of(cast.alice)[0].state == State.CANCELLED
    assert "This run was stopped" in words(alice.send(f"/runs/{run.id}/stop"))  # once more changes nothing


def test_alice_rates_an_answer_and_it_is_kept_with_an_audit_row(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice)
    answer = alice.send(f"/runs/{run.id}/rate", verdict="bad")
    assert 'aria-pressed="true"' in answer.content.decode().split("Not right")[0].rsplit("<button", 1)[1]
    assert runs_of(cast.alice)[0].feedback == {"verdict": "bad"}
    with cast.alice.present():
        assert AuditEvent.objects.filter(verb="run.rate", actor=cast.alice.label).count() == 1
    assert "Not right" in words(alice.see("/runs"))
    assert alice.send(f"/runs/{run.id}/rate", verdict="perhaps").status_code == 400


def test_alice_says_what_is_not_right_and_it_stays_when_she_thinks_again(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice)
    here = f"/runs/{run.id}/rate"
    assert "Save the note" not in words(alice.see(f"/runs/{run.id}"))
    assert "Save the note" in words(alice.send(here, verdict="bad"))
    alice.send(here, verdict="bad", note=" Too stiff ")
    assert alice.send(here, verdict="bad", note="Too\0 stiff").status_code == 400
    alice.send(here, verdict="good")
    assert runs_of(cast.alice)[0].feedback == {"verdict": "good", "note": "Too stiff"}
    assert ">Too stiff</textarea>" in alice.see(f"/runs/{run.id}")
    alice.send(here, verdict="good", note="x" * 3000)
    assert len(runs_of(cast.alice)[0].feedback["note"]) == 2000


def test_alice_says_what_is_good_and_takes_it_out_again(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice)
    here = f"/runs/{run.id}/rate"
    rated = alice.send(here, verdict="good").content.decode()
    assert "What is good?" in words(rated) and 'value="good"' in rated.split("Save the note")[0].rsplit("<button", 1)[1]
    alice.send(here, verdict="good", note=" As warm as it should be ")
    assert runs_of(cast.alice)[0].feedback == {"verdict": "good", "note": "As warm as it should be"}
    assert ">As warm as it should be</textarea>" in alice.see(f"/runs/{run.id}")
    alice.send(here, verdict="good", note="")
    assert runs_of(cast.alice)[0].feedback == {"verdict": "good", "note": ""}


def test_somebody_elses_run_is_not_there(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    run = ran(at_desk(cast.alice), cast.alice)
    for who in (cast.bob, cast.mallory, cast.gus):
        other = at_desk(who)
        for path in (f"/runs/{run.id}", f"/f/greet?run={run.id}", f"/f/greet/timeline?run={run.id}"):
            assert "There is nothing here" in words(other.see(path, 404))
        assert other.send(f"/runs/{run.id}/rate", verdict="good").status_code == 404
        assert other.send(f"/runs/{run.id}/stop").status_code == 404
    found = find_run(run.id, cast.alice)
    assert found is not None and found.feedback is None


def test_why_this_answer_names_the_layer_of_each_field(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    alice = at_desk(cast.alice)
    page = words(alice.see(f"/runs/{ran(alice, cast.alice).id}"))
    assert "Tone warm Yours" in page and "Language English Vendor" in page and "Your revision 1" in page


def test_alice_asks_again_as_it_was_and_ada_cannot_for_her(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice, ada = at_desk(cast.alice), at_desk(cast.ada)
    first = ran(alice, cast.alice)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    assert "Ask it once more" in words(alice.see(f"/runs/{first.id}"))
    answer = alice.send(f"/runs/{first.id}/again", htmx=False)
    again = runs_of(cast.alice)[0]
    assert (answer.status_code, answer["Location"], again.replay_of) == (302, f"/runs/{again.id}", first.id)
    assert again.receipt["digest"] == first.receipt["digest"]
    look()
    assert f'href="/runs/{first.id}"' in alice.see(f"/runs/{again.id}")
    assert "Ask it once more" not in words(ada.see(f"/runs/{first.id}"))
    assert ada.send(f"/runs/{first.id}/again", htmx=False).status_code == 403
    assert runs_of(cast.alice)[0] == again


def test_older_runs_are_a_page_away(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    for number in range(32):
        alice.send("/f/greet", in__name=f"Guest {number}.")
    page = alice.see("/runs?feature=greet")
    assert "Guest 31." in page and "Guest 2." in page and "Guest 1." not in page
    older = page.split('href="?', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    assert "Guest 1." in alice.see(f"/runs?{older}") and "Guest 2." not in alice.see(f"/runs?{older}")


def test_a_draft_that_was_kept_is_drawn_again_and_not_judged(at_desk: Sit, cast: Cast) -> None:
    drawn = at_desk(cast.alice).send("/f/greet", act="draw", in__name="A" * 201)
    html = drawn.content.decode()
    assert (
        drawn.status_code == 200
        and "A" * 201 in html
        and "b-problems" not in html.split('id="form"')[1].split("data-b-file-problem")[1]
    )
    assert 'data-b-keep="input:' in html and runs_of(cast.alice) == []


def test_who_has_nothing_at_hand_fills_in_an_example_that_they_may_see(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    assert "Nothing at hand? Fill in an example: Eve" in words(alice.see("/f/greet"))
    assert 'name="in/name" value="Eve"' in alice.see("/f/greet?sample=0")
    rules = {**GREET_RULES, "examples.first": {"hidden": True}}
    publish(cast.greet, behavior=GREET, rules=rules, make_current=True, by=cast.operator)
    page = alice.see("/f/greet")
    assert "Nothing at hand?" not in words(page) and "Eve" not in page
    behavior = {"behavior": GREET, "rules": rules, "samples": [{"name": "Zoe"}]}
    publish(cast.greet, make_current=True, by=cast.operator, **behavior)
    assert "Fill in an example: Zoe" in words(alice.see("/f/greet"))


def test_an_output_is_downloaded_as_text_and_as_json(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Grüße, Ann"))
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice)
    text = alice.client.get(f"/runs/{run.id}/output.txt")
    assert text.content.decode() == "Grüße, Ann" and text["Content-Type"] == "text/plain; charset=utf-8"
    assert re.search(r'attachment; filename="greet-[-\d]+\.txt"', text["Content-Disposition"])
    assert alice.client.get(f"/runs/{run.id}/output.json").json() == {"greeting": "Grüße, Ann"}
    alice.see(f"/runs/{run.id}/output.exe", 404)
    at_desk(cast.bob).see(f"/runs/{run.id}/output.txt", 404)


def test_asking_again_on_what_is_served_now_and_on_a_version(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    alice = at_desk(cast.alice)
    first = ran(alice, cast.alice)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    alice.send(f"/runs/{first.id}/again", htmx=False, on="current")
    look()
    now = runs_of(cast.alice)[0]
    assert (now.replay_of, now.receipt["user"], first.receipt["user"]) == (first.id, 1, None)
    page = alice.see(f"/runs/{now.id}")
    assert f"/runs/compare?a={first.id}&amp;b={now.id}" in page and "On version 1, with your changes" in page
    alice.send(f"/runs/{first.id}/again", htmx=False, on="1")
    assert runs_of(cast.alice)[0].receipt["base"] == 1
    assert alice.send(f"/runs/{first.id}/again", htmx=False, on="7").status_code == 404
    assert alice.send(f"/runs/{first.id}/again", htmx=False, on="yesterday").status_code == 400


def test_a_run_lists_its_calls(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(Answer("Sure!"), greeting("Hello"))
    alice = at_desk(cast.alice)
    page = words(alice.see(f"/runs/{ran(alice, cast.alice).id}"))
    assert "2 calls to models" in page and "1, First 135M demo model Answered" in page and "2, Repair" in page
