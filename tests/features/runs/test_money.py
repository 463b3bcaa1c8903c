"""What calls cost and which layer's text they read: prefix caches, prices, models that are none, layers in the ledger."""

from typing import Any

import pytest
from django.db import connections

from features.actions.overrides import ANY, save_operation
from features.actions.targets import add_target
from features.actions.versions import publish
from features.resolve import forget
from features.runs import tokens
from features.runs.accept import accept, find_run
from features.runs.costs import price
from features.runs.models import Attempt, Ledger, Run, State
from features.runs.output import Reply
from features.runs.tokens import estimated
from tenants.actor import Actor
from tenants.errors import Invalid
from tests.cast import GREET, Cast
from tests.fakes.model import Answer, FakeModel
from tests.working import look


def ended(cast: Cast, who: Actor, name: str = "Ann") -> Run:
    run_id = accept(cast.greet, {"name": name}, by=who).run_id
    look()
    run = find_run(run_id, who)
    assert run is not None
    return run


def a_price(**prices: int) -> Any:
    return type("Target", (), {"input_price": 0, "cached_input_price": 0, "output_price": 0, **prices})()


@pytest.mark.parametrize(
    ("prices", "used", "cost"),
    [
        ({"input_price": 1_000_000, "output_price": 4_000_000}, (100, 0, 10), 140),
        ({"input_price": 1_000_000, "cached_input_price": 100_000}, (100, 60, 0), 46),
        ({"input_price": 1_000_000, "cached_input_price": 100_000}, (100, 120, 0), 10),  # no more than there are
        ({"input_price": 1}, (1, 0, 0), 1),  # rounded up, to the micro-unit
        ({"output_price": 1_500_000}, (0, 0, 1), 2),
        ({}, (100, 0, 10), 0),
    ],
)
def test_what_a_call_costs(prices: dict[str, int], used: tuple[int, int, int], cost: int) -> None:
    reply = Reply(None, None, input_tokens=used[0], cached_input_tokens=used[1], output_tokens=used[2])
    assert price(a_price(**prices), reply) == cost


def test_what_the_prefix_cache_had_is_recorded_and_cheaper(cast: Cast, model: FakeModel, api: Any) -> None:
    add_target(
        alias="standard", provider="demo", model="scripted", input_price=1_000_000, cached_input_price=100_000,
        output_price=4_000_000, by=cast.operator,
    )  # fmt: skip
    model.script(Answer('{"greeting": "Hello"}', cached=60))
    run = ended(cast, cast.alice)
    assert run.usage == {"input_tokens": 100, "cached_input_tokens": 60, "output_tokens": 10}
    assert run.cost == 40 + 6 + 40
    [call] = api(cast.alice).get(f"/runs/{run.id}").json()["calls"]
    assert call["prices"] == {"input": 1_000_000, "cached_input": 100_000, "output": 4_000_000}
    [row] = api(cast.ada).get("/usage").json()["items"]
    assert (row["cached_input_tokens"], row["cost"]["micro"]) == (60, 86)
    with cast.alice.present():
        assert Attempt.objects.get().cached_input_tokens == Ledger.objects.get().cached_input_tokens == 60


def test_texts_go_from_the_vendors_to_the_input_so_that_prefixes_stay_the_same(cast: Cast, model: FakeModel) -> None:
    save_operation(cast.greet, "tenant", "instructions.tone", {"append": "Acme says so."}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "instructions.tone", {"append": "Alice too."}, expected=ANY, by=cast.alice)
    for name in ("Ann", "Bea"):
        ended(cast, cast.alice, name)
    first, second = (request["messages"] for request in model.requests)
    assert first[:-1] == second[:-1] and first[-1] != second[-1]
    told = first[0]["content"]
    assert told.index("Write in a plain tone.") < told.index("Acme says so.") < told.index("Alice too.")


def test_each_layers_text_is_counted_as_its_own_once_for_each_behavior(
    cast: Cast, model: FakeModel, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, mine = "Speak for Acme, which is proud of its parcels.", "Greet Alice in the third person."
    save_operation(cast.greet, "tenant", "instructions.tone", {"append": ours}, expected=ANY, by=cast.ada)
    save_operation(cast.greet, "user", "instructions.role", {"set": mine}, expected=ANY, by=cast.alice)
    counts: list[str] = []
    count = tokens._count
    monkeypatch.setattr(tokens, "_count", lambda served: counts.append(served.digest) or count(served))
    for name in ("Ann", "Bea"):
        ended(cast, cast.alice, name)
    ended(cast, cast.bob)
    with cast.ada.present():
        rows = {row.subject: row for row in Ledger.objects.all()}
    hers, his = rows[cast.alice.acting_for().id], rows[cast.bob.acting_for().id]
    assert (hers.user_tokens, his.user_tokens) == (estimated(mine), 0)
    assert hers.tenant_tokens == his.tenant_tokens == pytest.approx(estimated(ours), abs=2)
    assert 0 < hers.base_tokens < his.base_tokens
    assert len(counts) == 2  # of three runs, on two behaviors
    total = api(cast.ada).get("/usage?by=feature").json()["items"][0]["estimated_tokens"]
    assert total["user"] == 2 * estimated(mine) and total["tenant"] == 3 * his.tenant_tokens


def test_a_model_that_has_no_price_is_refused_wherever_it_is_named(cast: Cast, model: FakeModel) -> None:
    for named in ({"name": "nowhere"}, {"fallbacks": ["nowhere"]}):
        behavior = {**GREET, "model": {**GREET["model"], **named}}
        with pytest.raises(Invalid):
            publish(cast.greet, behavior=behavior, make_current=True, by=cast.operator)
    run_id = accept(cast.greet, {"name": "Ann"}, by=cast.alice).run_id
    with connections["owner"].cursor() as cursor:  # as nobody in the product can
        cursor.execute("UPDATE features_modelalias SET alias = 'gone'")
        cursor.execute("UPDATE features_modeltarget SET alias = 'gone'")
    forget()
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None and run.error is not None
    assert (run.state, run.error["type"], run.cost, model.requests) == (State.FAILED, "rejected", 0, [])


def test_fallbacks_are_asked_in_their_order_and_each_pays_its_own_price(cast: Cast, model: FakeModel) -> None:
    for alias, each in (("second", 2), ("third", 3)):
        add_target(
            alias=alias, provider="demo", model=alias, input_price=each * 1_000_000, output_price=0, by=cast.operator
        )
    behavior = {**GREET, "model": {**GREET["model"], "fallbacks": ["second", "third"]}}
    publish(cast.greet, behavior=behavior, make_current=True, by=cast.operator)
    model.script(Answer(status=503), Answer(status=400))
    run = ended(cast, cast.alice)
    assert [request["model"] for request in model.requests] == ["scripted", "second", "third"]
    assert (run.state, run.cost) == (State.SUCCEEDED, 300)
    with cast.alice.present():
        made = Attempt.objects.order_by("number").values_list("kind", "outcome", "cost")
        assert list(made) == [("first", "unavailable", 0), ("fallback", "rejected", 0), ("fallback", "answered", 300)]


def test_a_fallback_that_is_no_better_leaves_the_last_ones_failure(cast: Cast, model: FakeModel) -> None:
    add_target(alias="second", provider="demo", model="second", input_price=1, output_price=1, by=cast.operator)
    behavior = {**GREET, "model": {**GREET["model"], "fallbacks": ["second"]}}
    publish(cast.greet, behavior=behavior, make_current=True, by=cast.operator)
    model.default = lambda _: Answer(status=400)
    run = ended(cast, cast.alice)
    assert run.error is not None and (run.error["type"], len(model.requests)) == ("rejected", 2)
