"""Cases that bit others (behavior.md 10) and that no test elsewhere is named after."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from features.actions.conflicts import resolve
from features.actions.overrides import ANY, save_operation, save_override
from features.actions.pins import pin, unpin
from features.actions.policy import set_policy
from features.actions.rollouts import advance, roll_back, start_rollout
from features.actions.versions import publish, set_current
from features.models import Override, Pin, Policy
from features.resolve import forget, serve, serve_warm
from features.runs.accept import accept, find_run
from tenants.actor import Actor
from tenants.errors import NotFound
from tests.cast import GREET, Cast


def served(cast: Cast, who: Actor) -> Any:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for())


def changed(**sections: str) -> dict[str, Any]:
    return {**GREET, "instructions": {**GREET["instructions"], **sections}}


def test_alices_stay_outlives_a_rollout_to_everybody_and_its_rollback(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    two = publish(cast.greet, behavior=changed(role="You bow."), make_current=False, by=cast.operator).number
    before = served(cast, cast.alice).digest
    rollout = start_rollout(cast.greet, to=two, steps=[{"tenants": ["acme"]}], by=cast.operator)
    assert (served(cast, cast.alice).digest, served(cast, cast.bob).receipt.base) == (before, two)
    roll_back(rollout, why="second thoughts", by=cast.operator)
    assert (served(cast, cast.alice).digest, served(cast, cast.bob).receipt.base) == (before, 1)
    again = start_rollout(cast.greet, to=two, steps=[{"percent": 1}], by=cast.operator)
    advance(again, by=cast.operator)
    assert (served(cast, cast.alice).digest, served(cast, cast.mallory).receipt.base) == (before, two)


def test_two_removals_and_an_addition_in_one_revision(cast: Cast) -> None:
    document = {
        "remove": ["instructions.tone", "examples.first"],
        "set": {"examples.mine": {"input": {"name": "Ann"}, "output": {"greeting": "Hi Ann"}}},
    }
    saved = save_override(cast.greet, "user", document, expected=ANY, by=cast.alice)
    fields = served(cast, cast.alice).effective.fields
    assert (saved.row.number, "instructions.tone" in fields) == (1, False)
    assert [name for name in fields if name.startswith("examples.")] == ["examples.mine"]


def test_the_order_of_examples_and_of_their_properties_outlives_a_change(cast: Cast) -> None:
    many = {f"e{n}": {"input": {"name": f"N{n}"}, "output": {"greeting": f"Hello N{n}"}} for n in (3, 1, 2)}
    schema = {**GREET["output"], "properties": {"z": {"type": "string"}, **GREET["output"]["properties"]}}
    publish(cast.greet, behavior={**GREET, "examples": many, "output": schema}, make_current=True, by=cast.operator)
    replaced = {"output": {"greeting": "Good day"}, "input": {"name": "N1"}}
    save_operation(cast.greet, "user", "examples.e1", {"set": replaced}, expected=ANY, by=cast.alice)
    forget()  # so that all of it comes back out of storage
    fields = served(cast, cast.alice).effective.fields
    assert [name for name in fields if name.startswith("examples.")] == ["examples.e3", "examples.e1", "examples.e2"]
    assert list(fields["examples.e1"]) == ["output", "input"]
    assert list(fields["output"]["properties"]) == ["z", "greeting"]


def test_a_run_records_the_versions_that_it_was_served_whatever_is_current_later(cast: Cast) -> None:
    run_id = accept(cast.greet, {"name": "Eve"}, by=cast.alice).run_id
    publish(cast.greet, behavior=changed(role="You bow."), make_current=True, by=cast.operator)
    run = find_run(run_id, cast.alice)
    assert run is not None and run.receipt["base"] == 1
    assert served(cast, cast.alice).receipt.base == 2


def test_a_version_that_is_not_there_is_an_error_and_never_the_last_one_cached(cast: Cast) -> None:
    served(cast, cast.alice)
    with pytest.raises(NotFound):
        pin(cast.greet, "user", kind="base", version=7, by=cast.alice)
    with pytest.raises(NotFound):
        set_current(cast.greet, 7, by=cast.operator)
    assert served(cast, cast.alice).receipt.base == 1


def test_a_save_between_the_impact_and_the_publishing_is_held_all_the_same(cast: Cast) -> None:
    two = publish(cast.greet, behavior=changed(role="You bow."), make_current=False, by=cast.operator).number
    save_operation(cast.greet, "user", "instructions.role", {"set": "You wave."}, expected=ANY, by=cast.alice)
    set_current(cast.greet, two, by=cast.operator)
    receipt = served(cast, cast.alice).receipt
    assert (receipt.base, receipt.held) == (1, {"by": "user", "fields": ["instructions.role"], "wanted": two})
    assert served(cast, cast.bob).receipt.base == two


@pytest.mark.parametrize("decided", [False, True])
def test_a_revision_that_was_rolled_back_is_never_served_from_a_cache(cast: Cast, decided: bool) -> None:
    """A rehearsed save has the number that the next real one gets: nothing of it may be kept under that number."""
    role = "instructions.role"
    save_operation(cast.greet, "user", role, {"set": "You wave."}, expected=ANY, by=cast.alice)
    publish(cast.greet, behavior=changed(role="You bow."), make_current=True, by=cast.operator)
    edit = {role: {"set": "You rehearse."}}
    rehearsed = resolve(cast.greet, "user", edit, expected=ANY, by=cast.alice, dry_run=True)
    assert rehearsed is not None
    if decided:  # and so served on the version that was rehearsed on
        resolve(cast.greet, "user", {role: {"set": "You mean it."}}, expected=ANY, by=cast.alice)
    else:
        save_operation(cast.greet, "user", role, {"set": "You mean it."}, expected=ANY, by=cast.alice)
    after = served(cast, cast.alice)
    assert (after.effective.fields[role], after.receipt.base) == ("You mean it.", 2 if decided else 1)


def test_everybody_without_anything_of_their_own_shares_what_is_kept_for_their_organisation(
    cast: Cast, django_assert_num_queries: Any
) -> None:
    served(cast, cast.alice)
    with cast.bob.present(), django_assert_num_queries(1):  # the stamps, and nothing read anew for Bob
        bobs = serve_warm(cast.greet, cast.bob.tenant_id, cast.bob.acting_for())
    with cast.bob.present():
        cold = serve(cast.greet, cast.bob.tenant_id, cast.bob.acting_for())
    assert (bobs.digest, bobs.who) == (cold.digest, cold.who)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.bob)
    assert served(cast, cast.bob).effective.fields["vars.tone"] == "warm"
    assert served(cast, cast.alice).effective.fields["vars.tone"] == "plain"


def test_a_run_taken_in_warm_resolves_without_a_statement(cast: Cast) -> None:
    accept(cast.greet, {"name": "Eve"}, by=cast.alice)
    with CaptureQueriesContext(connections["default"]) as asked:
        accept(cast.greet, {"name": "Eve"}, by=cast.alice)
    statements = [q["sql"] for q in asked.captured_queries]
    assert len(statements) == 1 and "INSERT INTO runs_run" in statements[0]


def test_a_run_under_what_was_changed_meanwhile_is_taken_in_under_what_is(cast: Cast) -> None:
    accept(cast.greet, {"name": "Eve"}, by=cast.alice)  # so that this process has something to be wrong about
    publish(cast.greet, behavior=changed(role="You bow."), make_current=True, by=cast.operator)
    run = find_run(accept(cast.greet, {"name": "Eve"}, by=cast.alice).run_id, cast.alice)
    assert run is not None and run.receipt["base"] == 2


def test_an_input_that_only_the_newest_schema_takes_is_taken(cast: Cast) -> None:
    accept(cast.greet, {"name": "Eve"}, by=cast.alice)
    schema = {**GREET["input"], "properties": {**GREET["input"]["properties"], "title": {"type": "string"}}}
    publish(cast.greet, behavior={**GREET, "input": schema}, make_current=True, by=cast.operator)
    assert accept(cast.greet, {"name": "Eve", "title": "Dr"}, by=cast.alice).run_id


def test_at_the_very_instant_of_a_change_what_it_changed_to_holds(cast: Cast) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    set_policy(users_may_pin=7, by=cast.ada)
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    save_operation(cast.greet, "user", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.alice)
    set_policy(users_may_pin="yes", by=cast.ada)
    unpin(cast.greet, "user", by=cast.alice)
    who = cast.alice.acting_for()
    with cast.alice.present():
        instants = [Override.objects.get(number=1).valid_to, Policy.objects.get(users_may_pin="7").valid_to]
        instants += [Pin.objects.get().valid_to]
        then = [serve(cast.greet, cast.alice.tenant_id, who, at) for at in instants]
    assert [(one.receipt.user, one.receipt.pin is None) for one in then] == [(2, False), (2, False), (2, True)]


def test_a_clock_that_stepped_back_keeps_nobody_from_saving(cast: Cast) -> None:
    save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    with cast.alice.present():  # as if it had been written before the clock was set back by a minute
        Override.objects.update(valid_from=F("valid_from") + timedelta(minutes=1))
    save_operation(cast.greet, "user", "vars.tone", {"set": "formal"}, expected=ANY, by=cast.alice)
    with cast.alice.present():
        first, second = Override.objects.order_by("number")
    assert first.valid_from < first.valid_to == second.valid_from
    assert second.valid_to is None
