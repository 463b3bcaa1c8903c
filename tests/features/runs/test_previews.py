"""Previews in this process: what is tried is what would be served, is nowhere else to be seen, and goes away."""

import threading
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
from django.db import connections

from features.actions.overrides import ANY, newest, save_override
from features.actions.pins import pin, pin_now
from features.actions.targets import add_target
from features.actions.versions import publish
from features.engine import Json, flatten
from features.find import find_version
from features.impact import look as ask_impact
from features.impact.work import work_through
from features.models import Version
from features.resolve import serve_warm
from features.runs import preview as previewing
from features.runs.accept import accept, find_run
from features.runs.dispatch import claim, take_back
from features.runs.finish import give_up
from features.runs.listing import my_runs
from features.runs.models import Attempt, Ledger, Preview, Queued, Run
from features.runs.preview import MOST_AT_ONCE, Wish, start_preview
from features.runs.previewed import Compared, compared, end_preview, put_expired_away
from features.runs.receipts import Unreproducible, served_by
from features.runs.tasks import sweep
from features.runs.trying import start_sample_preview
from features.samples import samples_of
from tenants.actor import Actor
from tenants.errors import Forbidden, Invalid, NotFound, TooMany
from tenants.isolation import OPERATOR, operator_tx, tenant_tx
from tenants.models import AuditEvent, Tenant, VendorAuditEvent
from tenants.workshop import WORKSHOP, customers
from tests.cast import GREET, GREET_RULES, Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.outside import until
from tests.working import look

ANN: Json = {"name": "Ann"}
WARM = Wish(override={"set": {"vars.tone": "warm"}})


def by_tone(model: FakeModel) -> None:
    """Let the model answer with the tone that it was asked for, so that outputs tell behaviors apart."""

    def said(body: dict[str, Any]) -> Answer:
        tone = next(t for t in ("plain", "warm", "formal") if f"a {t} tone" in body["messages"][0]["content"])
        return greeting(f"{tone}: {body['messages'][-1]['content'].splitlines()[1]}")

    model.default = said


def tried(
    cast: Cast, wish: Wish = WARM, inputs: Sequence[Json] | None = (ANN,), *, layer: Any = "user", by: Any = None,
    **options: Any,
) -> Compared:  # fmt: skip
    """A preview, worked through."""
    preview = start_preview(cast.greet, layer, wish, inputs=inputs, by=by or cast.alice, **options)
    while look():
        pass
    return compared(preview.id, by=by or cast.alice)


def rows(model: Any, who: Actor, **conditions: Any) -> list[Any]:
    with who.present():
        return list(model.objects.filter(**conditions))


def digest(cast: Cast, who: Actor) -> str:
    with who.present():
        return serve_warm(cast.greet, who.tenant_id, who.acting_for()).digest


def next_version(cast: Cast, *, move: bool = True, rules: Any = None, **changes: Any) -> int:
    fields = deepcopy(flatten(GREET)) | {name.replace("__", "."): value for name, value in changes.items()}
    rules = GREET_RULES if rules is None else rules
    return publish(cast.greet, behavior=fields, rules=rules, make_current=move, by=cast.operator).number


def expire(preview: Preview) -> None:
    with tenant_tx(preview.tenant_id):
        Preview.objects.filter(pk=preview.id).update(expires_at=preview.created_at)


def test_alice_sees_both_outputs_side_by_side_and_what_differs(cast: Cast, model: FakeModel) -> None:
    by_tone(model)
    found = tried(cast, inputs=[ANN, {"name": "Ben"}])
    assert found.state == "done" and found.done == 2
    assert [(p.before.output, p.after.output) for p in found.pairs] == [
        ({"greeting": f"plain: {name}"}, {"greeting": f"warm: {name}"}) for name in ("Ann", "Ben")
    ]
    [difference] = found.pairs[0].diff or []
    assert (difference.pointer, difference.kind, difference.after) == ("/greeting", "changed", "warm: Ann")
    assert [change.field for change in found.changes] == ["vars.tone"]
    assert found.before["digest"] == digest(cast, cast.alice) != found.after["digest"]


def test_nothing_of_a_preview_is_saved(cast: Cast, model: FakeModel) -> None:
    before, audited = digest(cast, cast.alice), len(rows(AuditEvent, cast.alice))
    found = tried(cast)
    with cast.alice.present():
        assert newest(cast.greet, cast.alice.acting_for()) is None
        assert my_runs(cast.alice, most=10) == []
    assert digest(cast, cast.alice) == before
    assert len(rows(AuditEvent, cast.alice)) == audited
    runs = found.preview.runs
    assert len(runs) == 2 and [find_run(run, by) for run in runs for by in (cast.alice, cast.ada)] == [None] * 4


def test_what_was_tried_is_what_is_served_once_it_is_saved(cast: Cast, model: FakeModel) -> None:
    wishes = [
        {"set": {"vars.tone": "formal"}, "append": {"instructions.tone": "Be brief."}},
        {"set": {"instructions.mine": "Sign as {{ user.key }}.", "vars.tone": "warm"}, "remove": ["examples.first"]},
        {"set": {"examples.two": {"input": {"name": "Bo"}, "output": {"greeting": "Hi Bo"}}}},
    ]
    for document in wishes:
        found = tried(cast, Wish(override=document))
        save_override(cast.greet, "user", document, expected=ANY, by=cast.alice)
        assert found.after["digest"] == digest(cast, cast.alice)
        [again] = tried(cast, Wish(override=document)).pairs
        assert again.same


def test_a_proposal_is_never_taken_for_the_revision_that_is_saved_under_its_number(
    cast: Cast, model: FakeModel
) -> None:
    by_tone(model)
    found = tried(cast, Wish(override={"set": {"vars.tone": "formal"}}))
    save_override(cast.greet, "user", WARM.override or {}, expected=ANY, by=cast.alice)
    with cast.alice.present():
        served = serve_warm(cast.greet, cast.alice.tenant_id, cast.alice.acting_for())
    assert served.effective.fields["vars.tone"] == "warm"
    [pair] = compared(found.preview.id, by=cast.alice).pairs
    assert pair.after.output == {"greeting": "formal: Ann"}
    assert [change.after for change in compared(found.preview.id, by=cast.alice).changes] == ["formal"]


def test_under_ones_own_snapshot_the_change_is_tried_on_what_is_pinned(cast: Cast, model: FakeModel) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    next_version(cast, vars__language="French")
    found = tried(cast)
    save_override(cast.greet, "user", WARM.override or {}, expected=ANY, by=cast.alice)
    assert found.after["digest"] == digest(cast, cast.alice)
    assert found.after["base"] == 1


def test_a_user_who_is_held_tries_the_newest_version_without_moving(cast: Cast, model: FakeModel) -> None:
    mine = {"set": {"instructions.role": "You greet like a friend."}}
    save_override(cast.greet, "user", mine, expected=ANY, by=cast.alice)
    next_version(cast, instructions__role="You greet everybody.", vars__tone="warm")
    found = tried(cast, Wish())
    assert (found.before["base"], found.before["held"]["by"], found.after["base"]) == (1, "user", 2)
    assert digest(cast, cast.alice) == found.before["digest"]
    resolved = tried(cast, Wish(resolve={"instructions.role": "keep"}))
    assert (resolved.after["base"], resolved.after["digest"]) == (2, found.after["digest"])


def test_without_a_wish_a_pin_ends_and_it_is_still_there_afterwards(cast: Cast, model: FakeModel) -> None:
    pin(cast.greet, "user", kind="base", version=1, by=cast.alice)
    next_version(cast, vars__tone="formal")
    found = tried(cast, Wish())
    assert (found.before["base"], found.after["base"], found.after["pin"]) == (1, 2, None)
    with cast.alice.present():
        assert pin_now(cast.greet, cast.alice.acting_for()) is not None


def test_a_version_a_pin_and_a_restore_can_be_tried(cast: Cast, model: FakeModel) -> None:
    accepted = accept(cast.greet, ANN, by=cast.alice)
    look()
    next_version(cast, vars__tone="formal")
    one = {"digest": tried(cast, Wish(version=1)).after["digest"]}
    one["pinned"] = tried(cast, Wish(pin={"kind": "base", "version": 1})).after["digest"]
    one["restored"] = tried(cast, Wish(restore={"run": accepted.run_id})).after["digest"]
    run = find_run(accepted.run_id, cast.alice)
    assert run is not None and set(one.values()) == {run.receipt["digest"]} != {digest(cast, cast.alice)}
    next_version(cast, move=False, vars__tone="plain")
    with pytest.raises(NotFound, match="no version 3"):
        tried(cast, Wish(version=3))


def test_an_admin_tries_the_organisations_change_on_her_own_recent_inputs_only(cast: Cast, model: FakeModel) -> None:
    by_tone(model)
    accept(cast.greet, {"name": "Bob's"}, by=cast.bob)
    for name in ("Ada's", "Ada's", "Ada's other"):
        accept(cast.greet, {"name": name}, by=cast.ada)
    while look():
        pass
    found = tried(cast, WARM, None, layer="tenant", by=cast.ada, recent=10)
    assert [pair.input for pair in found.pairs] == [{"name": "Ada's other"}, {"name": "Ada's"}]
    assert found.pairs[0].after.output == {"greeting": "warm: Ada's other"}
    with pytest.raises(Forbidden):
        tried(cast, WARM, layer="tenant")
    with pytest.raises(Invalid, match="no runs"):
        tried(cast, WARM, None, by=cast.alice, recent=3)
    again = tried(cast, WARM, None, layer="tenant", by=cast.ada, recent=10)
    assert len(again.pairs) == 2  # those of previews are not among them


def test_equal_behaviors_and_equal_inputs_run_once(cast: Cast, model: FakeModel) -> None:
    found = tried(cast, Wish(override={"set": {"vars.tone": "plain"}}), [ANN, ANN, {"name": "Ben"}])
    assert len(model.requests) == 2 and len(found.pairs) == 2
    assert [(pair.same, pair.diff) for pair in found.pairs] == [(True, [])] * 2


def test_a_change_that_breaks_a_rule_is_refused_as_saving_it_would_be(cast: Cast, model: FakeModel) -> None:
    wrong: list[dict[str, Any]] = [
        {"set": {"vars.tone": "rude"}}, {"remove": ["prompt"]}, {"set": {"instructions.safety": "Promise."}},
        {"set": {"instructions.tone": "{{ vars.nothing }}"}}, {"set": {"vars.tone": {}}},
    ]  # fmt: skip
    for document in wrong:
        with pytest.raises(Invalid) as saving:
            save_override(cast.greet, "user", document, expected=ANY, by=cast.alice)
        with pytest.raises(Invalid) as trying:
            tried(cast, Wish(override=document))
        told = [(f"/override{p.pointer}", p.rule, p.message) for p in saving.value.errors]
        assert told == [(p.pointer, p.rule, p.message) for p in trying.value.errors]
    assert rows(Preview, cast.alice) == rows(Run, cast.alice) == rows(Queued, cast.alice) == []


def test_an_input_that_neither_side_takes_is_refused_and_one_that_one_takes_is_compared(
    cast: Cast, model: FakeModel
) -> None:
    with pytest.raises(Invalid) as refused:
        tried(cast, inputs=[ANN, {"nam": 1}])
    assert {problem.pointer for problem in refused.value.errors} == {"/inputs/1/nam", "/inputs/1/name"}
    wider = deepcopy(GREET["input"])
    wider["properties"]["title"] = {"type": "string"}
    next_version(cast, input=wider)
    found = tried(cast, Wish(version=1), [{"name": "Ann", "title": "Dr"}])
    [pair] = found.pairs
    assert (pair.before.state, pair.after.state, pair.same, pair.diff) == ("succeeded", "refused", False, None)
    assert pair.after.error["problems"][0]["pointer"] == "/title"


def test_costs_are_counted_and_stay_when_the_preview_is_gone(cast: Cast, model: FakeModel) -> None:
    found = tried(cast)
    ledger = rows(Ledger, cast.alice)
    assert [(row.preview, row.state) for row in ledger] == [(True, "succeeded")] * 2
    assert found.cost == sum(row.cost for row in ledger) == 280 <= found.most
    assert put_expired_away() == 0
    expire(found.preview)
    with pytest.raises(NotFound):
        compared(found.preview.id, by=cast.alice)
    sweep()
    assert rows(Preview, cast.alice) == rows(Run, cast.alice) == rows(Attempt, cast.alice) == []
    assert len(rows(Ledger, cast.alice)) == 2


def test_a_preview_that_could_cost_too_much_is_refused_before_it_begins(
    cast: Cast, model: FakeModel, settings: Any
) -> None:
    most = tried(cast).most
    asked = len(model.requests)
    settings.PREVIEW_COST = most - 1
    with pytest.raises(Invalid, match="could cost"):
        tried(cast)
    assert len(model.requests) == asked and len(rows(Preview, cast.alice)) == 1
    settings.PREVIEW_COST = most
    assert tried(cast).state == "done"


def test_the_worst_cost_covers_answers_that_are_long_and_repaired(cast: Cast, model: FakeModel) -> None:
    model.default = lambda _: Answer('{"greeting": 7}')
    found = tried(cast)
    assert {pair.before.state for pair in found.pairs} == {"failed"}
    assert found.cost == 2 * 2 * 140  # two sides, each answered and repaired
    assert found.most >= 2 * 2 * 100 * 4  # as many tokens of output as the behavior allows, at 4 a million each


def test_two_previews_at_once_and_no_third(cast: Cast, model: FakeModel) -> None:
    for _ in range(MOST_AT_ONCE):
        start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    with pytest.raises(TooMany):
        start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    assert tried(cast, by=cast.bob).state == "done"
    assert tried(cast).state == "done"


def test_nor_a_third_that_begins_at_the_same_instant(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has written its rows and not yet committed them; the other must not count without them."""
    start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    written, go, write = threading.Event(), threading.Event(), previewing._write
    outcomes: list[str] = []

    def write_and_wait(*arguments: Any) -> Preview:
        made = write(*arguments)
        written.set()
        assert go.wait(30)
        return made

    def knock() -> None:
        try:
            start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
            outcomes.append("begun")
        except TooMany:
            outcomes.append("refused")
        finally:
            connections.close_all()

    monkeypatch.setattr(previewing, "_write", write_and_wait)
    first, second = threading.Thread(target=knock), threading.Thread(target=knock)
    first.start()
    assert written.wait(30)
    monkeypatch.setattr(previewing, "_write", write)
    second.start()
    until(lambda: outcomes or _somebody_waits_for_a_lock(), "the second waits, or does not")
    go.set()
    first.join(30)
    second.join(30)
    assert sorted(outcomes) == ["begun", "refused"]


def _somebody_waits_for_a_lock() -> bool:
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


def test_a_preview_is_its_authors_alone(cast: Cast, model: FakeModel) -> None:
    found = tried(cast)
    for other in (cast.bob, cast.ada, cast.mallory, cast.operator, cast.acme_service):
        with pytest.raises(NotFound, match=r"^There is no such preview\.$"):
            compared(found.preview.id, by=other)
        with pytest.raises(NotFound):
            end_preview(found.preview.id, by=other)
    with pytest.raises(Forbidden):
        tried(cast, by=cast.vera)


def test_ending_a_preview_cancels_what_waits_and_takes_it_away(cast: Cast, model: FakeModel) -> None:
    preview = start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    end_preview(preview.id, by=cast.alice)
    assert look() == 0
    assert rows(Run, cast.alice) == rows(Queued, cast.alice) == rows(Preview, cast.alice) == []
    assert [row.state for row in rows(Ledger, cast.alice)] == ["cancelled"] * 2


def test_ending_a_preview_asks_its_worker_to_stop_and_waits_for_it_to_let_go(cast: Cast, model: FakeModel) -> None:
    answer = Answer('{"greeting": "Hello there, my friend"}', hold=threading.Event())
    model.script(answer)
    preview = start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    worker = threading.Thread(target=lambda: (look(), connections.close_all()))
    worker.start()
    assert answer.begun.wait(30)
    end_preview(preview.id, by=cast.alice)
    assert len(rows(Preview, cast.alice)) == 1
    worker.join(30)
    assert answer.closed.wait(30)
    sweep()
    assert rows(Run, cast.alice) == rows(Preview, cast.alice) == []


def test_a_dead_workers_preview_run_is_taken_back_like_any_other(cast: Cast, model: FakeModel) -> None:
    by_tone(model)
    preview = start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    ours = claim()
    assert ours is not None and str(ours.run_id) in preview.runs
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE runs_queued NO FORCE ROW LEVEL SECURITY")
        cursor.execute("UPDATE runs_queued SET lease_until = now() - interval '1 second' WHERE token IS NOT NULL")
        cursor.execute("ALTER TABLE runs_queued FORCE ROW LEVEL SECURITY")
    for lost in take_back():
        give_up(lost)
    while look():
        pass
    [pair] = compared(preview.id, by=cast.alice).pairs
    assert (pair.before.output, pair.after.output) == ({"greeting": "plain: Ann"}, {"greeting": "warm: Ann"})


def test_a_side_that_was_tampered_with_is_not_carried_out(cast: Cast) -> None:
    preview = start_preview(cast.greet, "user", WARM, inputs=[ANN], by=cast.alice)
    preview.sides["after"]["proposed"]["user"]["operations"][0]["value"] = "formal"
    with cast.alice.present():
        preview.save(update_fields=["sides"])
        after = Run.objects.select_related("feature").get(pk=preview.runs[1])
        with pytest.raises(Unreproducible):
            served_by(after)


def test_texts_that_are_hidden_are_not_told(cast: Cast, model: FakeModel) -> None:
    hiding = {**GREET_RULES, "instructions.safety": {"edit": "locked", "hidden": True}}
    next_version(cast, rules=hiding, instructions__safety="SECRET of version 2")
    found = tried(cast, Wish(version=1))
    assert [change.field for change in found.changes] == ["instructions.safety"]
    assert found.hidden == {"instructions.safety"}


def test_both_sides_keep_the_models_that_a_snapshot_names(cast: Cast, model: FakeModel) -> None:
    pin(cast.greet, "user", kind="snapshot", by=cast.alice)
    add_target(alias="standard", provider="demo", model="another", input_price=9, output_price=9, by=cast.operator)
    assert tried(cast).state == "done"
    assert [request["model"] for request in model.requests] == ["scripted"] * 2
    [pair] = tried(cast, Wish(), [{"name": "Ben"}]).pairs  # the same behavior, and not the same model
    assert sorted(request["model"] for request in model.requests[2:]) == ["another", "scripted"]
    assert pair.same


def on_samples(cast: Cast, **options: Any) -> Compared:
    preview = start_sample_preview(cast.greet, by=cast.operator, **options)
    while look():
        pass
    return compared(preview.id, by=cast.operator)


def test_an_operator_tries_a_version_on_its_samples_in_the_workshop(cast: Cast, model: FakeModel) -> None:
    by_tone(model)
    fields = flatten(GREET) | {"vars.tone": "formal"}
    samples = [{"name": "Sam"}, {"name": "Pat"}, {"name": "Kim"}]
    publish(cast.greet, behavior=fields, samples=samples, make_current=False, by=cast.operator)
    found = on_samples(cast, version=2, samples=2)
    assert (found.before["base"], found.after["base"], found.layer) == (1, 2, "vendor")
    assert [pair.input for pair in found.pairs] == samples[:2]
    assert found.pairs[0].after.output == {"greeting": "formal: Sam"}
    assert found.preview.tenant_id == WORKSHOP
    with tenant_tx(WORKSHOP):
        assert {row.preview for row in Ledger.objects.all()} == {True}
    with operator_tx():
        verbs = VendorAuditEvent.objects.using(OPERATOR).values_list("verb", flat=True)
        assert list(verbs).count("version.preview") == 1


def test_an_operator_tries_what_is_not_published_and_nothing_is(cast: Cast, model: FakeModel) -> None:
    by_tone(model)
    found = on_samples(cast, behavior={**GREET, "vars": {"tone": "warm", "language": "English"}})
    assert found.pairs[0].input == {"name": "Eve"}  # its example's
    assert found.pairs[0].after.output == {"greeting": "warm: Eve"}
    with operator_tx():
        assert Version.objects.using(OPERATOR).filter(feature=cast.greet).count() == 1
    next_version(cast, vars__tone="warm")
    assert found.after["digest"] == find_version(cast.greet, 2, cast.operator).digest
    with pytest.raises(Invalid):
        on_samples(cast, behavior={**GREET, "prompt": "{{ input.nothing }}"})
    with pytest.raises(NotFound):
        on_samples(cast, version=9)


def test_the_workshop_is_no_organisation(cast: Cast, model: FakeModel) -> None:
    on_samples(cast, version=1)
    with operator_tx():
        assert Tenant.objects.using(OPERATOR).filter(pk=WORKSHOP).exists()
        assert {tenant.slug for tenant in customers()} == {"acme", "globex"}
    impact = ask_impact(cast.greet, to=next_version(cast, move=False, vars__tone="warm"), by=cast.operator)
    work_through()
    impact.refresh_from_db(using=OPERATOR)
    assert impact.counts["moving"]["tenants"] == impact.tenants_all == 2
    with pytest.raises(Forbidden):
        start_sample_preview(cast.greet, version=1, by=cast.ada)


def test_samples_must_be_what_the_version_takes_and_go_along_while_they_are(cast: Cast) -> None:
    with pytest.raises(Invalid) as refused:
        publish(cast.greet, behavior=GREET, samples=[{"name": "Sam"}, {"x": 1}], make_current=False, by=cast.operator)
    assert {problem.pointer for problem in refused.value.errors} == {"/samples/1/x", "/samples/1/name"}
    long, short = {"name": "Bartholomew"}, {"name": "Bo"}
    publish(cast.greet, behavior=GREET, samples=[long, short], make_current=False, by=cast.operator)
    narrow = deepcopy(GREET)
    narrow["input"]["properties"]["name"]["maxLength"] = 5
    assert samples_of(publish(cast.greet, behavior=narrow, make_current=False, by=cast.operator)) == [short]
