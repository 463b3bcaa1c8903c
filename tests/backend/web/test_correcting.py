"""Correct it: the output edited in place, what that changes, kept with the run, and as an example of one's own."""

from collections.abc import Callable
from typing import Any

from features.actions.overrides import newest, override_json
from features.actions.versions import publish
from features.runs.models import Run
from tenants.actor import Actor
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import FakeModel, greeting

from .conftest import Person, words
from .test_using import ran, runs_of

Sit = Callable[[Actor], Person]


def saved(cast: Cast, who: Actor) -> dict[str, Any]:
    with who.present():
        return override_json(newest(cast.greet, who.acting_for()))


def answered(at_desk: Sit, cast: Cast, model: FakeModel, name: str = "Ann's order") -> Run:
    model.script(greeting("Hello Ann"))
    return ran(at_desk(cast.alice), cast.alice, name)


def test_the_output_turns_into_its_own_form(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    run = answered(at_desk, cast, model)
    alice = at_desk(cast.alice)
    assert f'hx-get="/runs/{run.id}/correct"' in alice.see(f"/f/greet?run={run.id}")
    form = alice.part(f"/runs/{run.id}/correct")
    assert 'name="in/greeting"' in form.content.decode() and ">\nHello Ann</textarea>" in form.content.decode()
    assert "Also keep it as an example" in words(form) and "Save correction" in words(form)
    assert "Your change" not in words(form)
    look = alice.send(f"/runs/{run.id}/correct", act="look", in__greeting="Dear Ann")
    assert "Your change Greeting removed Hello added Dear Ann" in words(look)
    assert runs_of(cast.alice)[0].feedback is None


def test_a_correction_is_kept_with_its_run_and_can_be_taken_back(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    run = answered(at_desk, cast, model)
    alice = at_desk(cast.alice)
    answer = alice.send(f"/runs/{run.id}/correct", act="save", in__greeting="Dear Ann")
    assert "The correction is kept with the run." in words(answer)
    assert "As it should read Greeting removed Hello added Dear Ann" in words(answer)
    assert runs_of(cast.alice)[0].feedback == {"verdict": "bad", "correction": {"greeting": "Dear Ann"}}
    assert saved(cast, cast.alice)["revision"] == 0
    again = alice.part(f"/runs/{run.id}/correct").content.decode()
    assert ">\nDear Ann</textarea>" in again
    back = alice.send(f"/runs/{run.id}/correct", act="take-back")
    assert "As it should read" not in words(back)
    assert runs_of(cast.alice)[0].feedback == {"verdict": "bad"}


def test_as_an_example_it_is_hers_and_the_next_run_follows_it(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    run = answered(at_desk, cast, model)
    alice = at_desk(cast.alice)
    form = {"act": "save", "in__greeting": "Dear Ann", "example": "yes"}
    answer = alice.send(f"/runs/{run.id}/correct", **form)
    assert "is an example of yours from your next run on" in words(answer)
    example = {"input": {"name": "Ann's order"}, "output": {"greeting": "Dear Ann"}}
    assert saved(cast, cast.alice)["set"] == {"examples.ann-s-order": example}
    assert saved(cast, cast.bob)["revision"] == 0
    ran(alice, cast.alice, "Ben")
    assert [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "assistant"][-1] == (
        '{"greeting":"Dear Ann"}'
    )
    alice.send(f"/runs/{run.id}/correct", **form)
    assert set(saved(cast, cast.alice)["set"]) == {"examples.ann-s-order", "examples.ann-s-order-2"}


def test_what_the_contract_does_not_take_is_said_beside_it_and_nothing_is_kept(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    run = answered(at_desk, cast, model)
    alice = at_desk(cast.alice)
    blank = alice.send(f"/runs/{run.id}/correct", act="save", in__greeting=" ", example="yes")
    assert blank.status_code == 422 and "Fill this in." in words(blank)
    long = alice.send(f"/runs/{run.id}/correct", act="save", in__greeting="A" * 401, example="yes")
    assert long.status_code == 422 and 'id="in-greeting-problems"' in long.content.decode()
    assert "A" * 401 in long.content.decode()
    assert runs_of(cast.alice)[0].feedback is None and saved(cast, cast.alice)["revision"] == 0


def test_an_example_that_todays_contract_does_not_take_leaves_no_half_correction(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    run = answered(at_desk, cast, model)
    contract = {**GREET["output"], "properties": {"greeting": {"type": "string", "maxLength": 9}}}
    behavior = {**GREET, "output": contract, "examples": {}}
    publish(cast.greet, behavior=behavior, rules=GREET_RULES, make_current=True, by=cast.operator)
    alice = at_desk(cast.alice)
    form = {"act": "save", "in__greeting": "Good morning dear Ann"}
    refused = alice.send(f"/runs/{run.id}/correct", **form, example="yes")
    assert refused.status_code == 422 and "Good morning dear Ann" in refused.content.decode()
    assert runs_of(cast.alice)[0].feedback is None
    assert alice.send(f"/runs/{run.id}/correct", **form).status_code == 200


def test_where_examples_are_kept_for_admins_there_is_no_box_for_it(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    rules = {**GREET_RULES, "examples.*": {"edit": "tenant"}}
    publish(cast.greet, behavior=GREET, rules=rules, make_current=True, by=cast.operator)
    run = answered(at_desk, cast, model)
    alice = at_desk(cast.alice)
    assert "Also keep it as an example" not in words(alice.part(f"/runs/{run.id}/correct"))
    refused = alice.send(f"/runs/{run.id}/correct", act="save", in__greeting="Dear Ann", example="yes")
    assert refused.status_code == 422 and runs_of(cast.alice)[0].feedback is None


def test_a_run_of_somebody_elses_cannot_become_an_example_of_ones_own(
    at_desk: Sit, cast: Cast, model: FakeModel
) -> None:
    run = answered(at_desk, cast, model)
    ada = at_desk(cast.ada)
    assert "Also keep it as an example" not in words(ada.part(f"/runs/{run.id}/correct"))
    refused = ada.send(f"/runs/{run.id}/correct", act="save", in__greeting="Dear Ann", example="yes")
    assert refused.status_code == 403 and runs_of(cast.alice)[0].feedback is None
    assert saved(cast, cast.ada)["revision"] == 0
