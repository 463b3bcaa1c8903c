"""Examples of one's own: added by a form, begun from a run, edited without JSON; and what was saved meanwhile, merged."""

from collections.abc import Callable
from typing import Any

from backend.web.examples import fits_forms
from features.actions.overrides import ANY, newest, override_json, save_operation
from features.actions.versions import publish
from tenants.actor import Actor
from tenants.subjects import tenant_itself
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import FakeModel, greeting

from .conftest import Person, words
from .test_using import ran

Sit = Callable[[Actor], Person]
MINE, OURS = "/f/greet/mine", "/org/f/greet"


def saved(cast: Cast, who: Actor, layer: str = "user") -> dict[str, Any]:
    with who.present():
        return override_json(newest(cast.greet, who.acting_for() if layer == "user" else tenant_itself(who.tenant_id)))


def test_alice_adds_an_example_by_a_form(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    form = alice.part(f"{MINE}?add=example")
    assert "What goes in Name" in words(form) and "What should come out Greeting" in words(form)
    sent = {"act": "example", "etag": '"0"', "in__name": "Ann", "out__greeting": "Dear Ann"}
    answer = alice.send(MINE, name="Angry customer!", **sent)
    assert answer.status_code == 200 and "Saved as revision 1." in words(answer)
    example = {"input": {"name": "Ann"}, "output": {"greeting": "Dear Ann"}}
    assert saved(cast, cast.alice)["set"] == {"examples.angry-customer": example}
    nameless = alice.send(MINE, **{**sent, "etag": '"1"'})
    assert nameless.status_code == 200 and "examples.ann" in saved(cast, cast.alice)["set"]


def test_what_is_wrong_with_an_example_is_said_beside_it_and_all_is_kept(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    blank = alice.send(MINE, act="example", etag='"0"', name="mine", in__name="Ann", out__greeting="")
    html = blank.content.decode()
    assert (blank.status_code, blank["HX-Retarget"]) == (422, "#editor")
    assert 'id="out-greeting-problems"' in html and ">\nAnn</textarea>" in html and 'value="mine"' in html
    long = alice.send(MINE, act="example", etag='"0"', name="mine", in__name="A" * 201, out__greeting="Hi")
    assert long.status_code == 422 and 'id="in-name-problems"' in long.content.decode()
    stale = alice.send(MINE, act="example", etag='"7"', name="mine", in__name="Ann", out__greeting="Hi")
    assert stale.status_code == 412 and "changed while you were editing" in words(stale)
    assert ">\nAnn</textarea>" in stale.content.decode() and saved(cast, cast.alice)["revision"] == 0


def test_an_example_begins_as_a_run_of_hers_went(at_desk: Sit, cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello Ann"))
    alice = at_desk(cast.alice)
    run = ran(alice, cast.alice, "Ann of Porto")
    where = f"{MINE}?add=example&run={run.id}"
    assert where.replace("&", "&amp;") in alice.see(f"/runs/{run.id}")
    page = alice.see(where)
    assert 'name="in/name"' in page and ">\nAnn of Porto</textarea>" in page and ">\nHello Ann</textarea>" in page
    at_desk(cast.bob).see(where, 404)
    alice.see(f"{MINE}?add=example&run=7", 404)


def test_the_vendors_example_is_edited_in_forms(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    box = alice.part(f"{MINE}?edit=examples.first").content.decode()
    assert (
        'name="in/name"' in box
        and ">\nEve</textarea>" in box
        and ">\nHello Eve</textarea>" in box
        and "data-b-draw" in box
    )
    form = {"field": "examples.first", "widget": "example", "etag": '"0"', "in__name": "Eve"}
    wrong = alice.send(MINE, act="save", **form, out__greeting="G" * 401)
    assert wrong.status_code == 422 and 'id="out-greeting-problems"' in wrong.content.decode()
    assert alice.send(MINE, act="save", **form, out__greeting="Dear Eve").status_code == 200
    assert saved(cast, cast.alice)["set"]["examples.first"]["output"] == {"greeting": "Dear Eve"}


def test_a_draft_of_an_example_is_drawn_again_and_not_judged(at_desk: Sit, cast: Cast) -> None:
    alice = at_desk(cast.alice)
    drawn = alice.send(MINE, act="draw", field="examples.first", in__name="", out__greeting="Dear")
    assert ">\nDear</textarea>" in drawn.content.decode() and "b-problems" not in drawn.content.decode()
    new = alice.send(MINE, act="draw", name="mine", in__name="Ann", out__greeting="")
    assert 'value="mine"' in new.content.decode() and "Fill this in." not in words(new)


def test_an_example_that_forms_cannot_hold_stays_json() -> None:
    contracts = {"input": GREET["input"], "output": GREET["output"]}
    assert fits_forms(contracts, {"input": {"name": "Ann"}, "output": {"greeting": "Hi"}})
    assert not fits_forms(contracts, {"input": {"name": "Ann", "age": 7}, "output": {"greeting": "Hi"}})
    assert not fits_forms(contracts, {"input": {"name": "Ann"}, "output": {"greeting": ""}})
    assert not fits_forms(contracts, "an example")


def test_where_examples_are_kept_for_admins_there_is_no_button(at_desk: Sit, cast: Cast) -> None:
    rules = {**GREET_RULES, "examples.*": {"edit": "tenant"}}
    publish(cast.greet, behavior={**GREET, "examples": {}}, rules=rules, make_current=True, by=cast.operator)
    assert "Add an example" not in words(at_desk(cast.alice).see(MINE))
    ours = words(at_desk(cast.ada).see(OURS))
    assert "Add an example None yet. One good example" in ours


def began(cast: Cast, text: str) -> None:
    save_operation(cast.greet, "tenant", "instructions.role", {"set": text}, expected=ANY, by=cast.ada)


def send(person: Person, value: str, etag: str = '"1"', **more: str) -> Any:
    form = {"act": "save", "field": "instructions.role", "mode": "set", "etag": etag, "value": value, **more}
    return person.send(OURS, **form)


def test_two_who_changed_different_lines_keep_both(at_desk: Sit, cast: Cast) -> None:
    began(cast, "Greet.\nBe brief.\nBe kind.")
    began(cast, "Greet.\nBe brief.\nBe very kind.")
    ada = at_desk(cast.ada)
    answer = send(ada, "Greet people.\nBe brief.\nBe kind.")
    shown = words(answer)
    assert answer.status_code == 412 and answer["HX-Retarget"] == "#row-instructions-role"
    assert "This field was changed too." in shown and "When you began Greet. Be brief. Be kind." in shown
    assert "Use both" in shown and "Greet people. Be brief. Be very kind." in shown
    done = send(ada, "ignored", '"2"', side="both", merged="Greet people.\r\nBe brief.\r\nBe very kind.")
    assert done.status_code == 200
    assert saved(cast, cast.ada, "tenant")["set"]["instructions.role"] == "Greet people.\nBe brief.\nBe very kind."


def test_two_who_changed_the_same_line_choose(at_desk: Sit, cast: Cast) -> None:
    began(cast, "Greet.")
    began(cast, "Greet warmly.")
    ada = at_desk(cast.ada)
    answer = send(ada, "Greet briefly.")
    assert "Use both" not in words(answer) and ">\nGreet briefly.</textarea>" in answer.content.decode()
    theirs = send(ada, "Greet briefly.", '"2"', side="theirs")
    assert theirs.status_code == 200 and "What is saved stays as it is." in words(theirs)
    assert saved(cast, cast.ada, "tenant")["revision"] == 2
    assert send(ada, "Greet briefly.", '"2"', side="mine").status_code == 200
    assert saved(cast, cast.ada, "tenant")["set"]["instructions.role"] == "Greet briefly."


def test_a_save_on_another_field_is_told_by_its_name(at_desk: Sit, cast: Cast) -> None:
    began(cast, "Greet.")
    save_operation(cast.greet, "tenant", "vars.language", {"set": "French"}, expected=ANY, by=cast.ada)
    shown = words(send(at_desk(cast.ada), "Greet briefly."))
    assert "You saved revision 2 while you were editing. It changes Language. What it says was not touched" in shown
    assert "When you began" not in shown
