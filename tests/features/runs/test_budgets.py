"""Budgets: nothing is spent beyond them, nothing stays held, and what was spent is what the ledger says."""

import threading
from typing import Any

import pytest
from django.db import connections
from django.db.models import Sum

from features.runs.accept import accept, find_run
from features.runs.budgets import add_budget, change_budget, remove_budget, spendings
from features.runs.dispatch import claim, take_back
from features.runs.finish import cancel, give_up
from features.runs.models import Attempt, Budget, BudgetUse, Ledger, Queued, State
from tenants.actor import Actor
from tenants.errors import Conflict, Forbidden, Invalid, OverBudget
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

COST = 140  # micro-units of one scripted answer


def budget(cast: Cast, hard: int, **options: Any) -> Budget:
    return add_budget(period=options.pop("period", "month"), soft=None, hard=hard, by=cast.ada, **options)


def ask(cast: Cast, who: Actor, name: str = "Ann") -> Any:
    return accept(cast.greet, {"name": name}, by=who).run_id


def uses(cast: Cast) -> tuple[int, int]:
    """(spent, reserved) over all budgets."""
    with cast.ada.present():
        total = BudgetUse.objects.aggregate(s=Sum("spent"), r=Sum("reserved"))
    return total["s"] or 0, total["r"] or 0


def worst(cast: Cast) -> int:
    """What one run of `greet` for Ann holds."""
    generous = budget(cast, 10**12)
    ask(cast, cast.alice)
    held = uses(cast)[1]
    while look():
        pass
    remove_budget(generous, by=cast.ada)
    return held


def test_a_call_holds_its_worst_cost_and_settles_what_it_came_to(cast: Cast, model: FakeModel) -> None:
    budget(cast, 10**9)
    ask(cast, cast.alice)
    spent, held = uses(cast)
    assert spent == 0 and held > COST
    look()
    assert uses(cast) == (COST, 0)
    with cast.alice.present():
        assert Attempt.objects.get().reserved == held


def test_two_hundred_at_the_edge_overspend_nothing(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, 20 * each + COST)  # what was spent before counts
    barrier, outcomes = threading.Barrier(50), []

    def knock(number: int) -> None:
        barrier.wait()
        for _ in range(4):
            try:
                ask(cast, cast.alice, "Ann")
                outcomes.append("taken")
            except OverBudget:
                outcomes.append("refused")
        connections.close_all()

    threads = [threading.Thread(target=knock, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("taken") == 20 and outcomes.count("refused") == 180
    assert uses(cast) == (COST, 20 * each)
    while look():
        pass
    assert uses(cast) == (21 * COST, 0)
    with cast.alice.present():
        assert Ledger.objects.aggregate(total=Sum("cost"))["total"] == 21 * COST
        assert Attempt.objects.aggregate(total=Sum("cost"))["total"] == 21 * COST


def test_who_is_bound_by_what(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"alice", "bob", "ada"}),
        ({"user": cast.alice.acting_for()}, {"alice"}),
        ({"each_user": True}, {"alice", "bob", "ada"}),
        ({"feature": cast.greet}, {"alice", "bob", "ada"}),
    ]
    for options, bound in cases:
        made = budget(cast, each - 1, **options)
        for name in ("alice", "bob", "ada", "mallory"):
            who = getattr(cast, name)
            if name in bound:
                with pytest.raises(OverBudget, match="A budget of"):
                    ask(cast, who)
            else:
                ask(cast, who)
        remove_budget(made, by=cast.ada)


def test_each_users_budget_is_each_ones_own(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, each + COST, each_user=True)  # alice has spent COST already
    ask(cast, cast.alice)
    ask(cast, cast.bob)
    with pytest.raises(OverBudget):
        ask(cast, cast.alice)


def test_all_budgets_or_none(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, 10**9)
    budget(cast, each - 1, user=cast.alice.acting_for(), period="day")
    with pytest.raises(OverBudget, match="a day"):
        ask(cast, cast.alice)
    assert uses(cast)[1] == 0
    with cast.alice.present():
        assert not Queued.objects.exists()


def test_what_was_held_comes_back_however_a_run_ends(cast: Cast, model: FakeModel) -> None:
    budget(cast, 10**9)
    cancelled = find_run(ask(cast, cast.alice), cast.alice)
    assert cancelled is not None and uses(cast)[1] > 0
    cancel(cancelled, by=cast.alice)
    assert uses(cast) == (0, 0)
    model.script(Answer(status=400), Answer('{"greting": 1}'), Answer('{"greting": 1}'))
    for _ in range(2):
        ask(cast, cast.alice)
        look()
    assert uses(cast) == (2 * COST, 0)  # a rejection costs nothing, two bad answers cost what they cost
    ask(cast, cast.alice)
    assert claim() is not None
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE runs_queued NO FORCE ROW LEVEL SECURITY")
        cursor.execute("UPDATE runs_queued SET lease_until = now() - interval '1 second'")
        cursor.execute("ALTER TABLE runs_queued FORCE ROW LEVEL SECURITY")
    for lost in take_back():
        give_up(lost)
    assert uses(cast) == (2 * COST, 0)
    look()
    assert uses(cast) == (3 * COST, 0)


def test_a_repair_that_the_budget_has_no_room_for_is_not_made(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, each + 2 * COST - 1)
    model.script(Answer('{"greting": 1}'), greeting())
    asked = len(model.requests)
    run_id = ask(cast, cast.alice)
    look()
    run = find_run(run_id, cast.alice)
    assert run is not None and run.error is not None
    assert (run.state, run.error["type"], len(model.requests) - asked) == (State.FAILED, "over_budget", 1)
    assert uses(cast) == (2 * COST, 0)


def test_a_new_period_begins_anew(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, each + COST - 1, period="day")  # COST is spent today
    with pytest.raises(OverBudget):
        ask(cast, cast.alice)
    with cast.ada.present():
        BudgetUse.objects.update(began="2020-01-01")
        assert [one.spent for one in spendings(list(Budget.objects.all()))] == [0]
    ask(cast, cast.alice)
    assert uses(cast) == (0, each)


def test_budgets_are_set_by_admins_and_once(cast: Cast) -> None:
    made = budget(cast, 10)
    with pytest.raises(Conflict):
        budget(cast, 20)
    with pytest.raises(Invalid):
        change_budget(made, soft=20, hard=10, by=cast.ada)
    with pytest.raises(Forbidden):
        add_budget(period="day", soft=1, hard=None, by=cast.alice)
    change_budget(made, soft=5, hard=None, by=cast.ada)
    with cast.ada.present():
        [spending] = spendings([made])
    assert not spending.soft_reached and not spending.hard_reached
