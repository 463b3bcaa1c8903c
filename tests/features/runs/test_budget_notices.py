"""Who is told that a budget is nearly or all spent: in the inbox, by mail and by webhooks, once, until it is settled."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.urls import resolve as page_at
from django.utils import timezone

from features.mailing import send_notices
from features.notices import Notice, inbox, mark_read
from features.runs.accept import accept, find_run
from features.runs.batches import take_batch
from features.runs.budgets import add_budget, change_budget
from features.runs.models import Budget, BudgetUse, State
from tenants.actor import Actor
from tenants.errors import OverBudget
from tenants.models import Delivery
from tenants.webhooks import add_webhook
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.features.runs.test_budgets import COST, worst
from tests.working import look

PLENTY = 10**9


def budget(cast: Cast, soft: int | None, hard: int | None = None, **options: Any) -> Budget:
    return add_budget(period=options.pop("period", "month"), soft=soft, hard=hard, by=cast.ada, **options)


def run(cast: Cast, who: Actor, name: str = "Ann") -> Any:
    run_id = accept(cast.greet, {"name": name}, by=who).run_id
    look()
    return run_id


def refused(cast: Cast, who: Actor) -> None:
    with pytest.raises(OverBudget):
        accept(cast.greet, {"name": "Ann"}, by=who)


def told(who: Actor) -> list[tuple[str, str]]:
    return [(notice.kind, notice.layer) for notice in inbox(who)]


def one(who: Actor) -> Notice:
    [notice] = inbox(who)
    return notice


def events(cast: Cast) -> list[tuple[str, Any]]:
    with cast.ada.present():
        return list(Delivery.objects.order_by("id").values_list("event", "data"))


@pytest.fixture
def _told_of(cast: Cast) -> None:
    add_webhook(url="https://hooks.acme.example/", events=["budget.soft", "budget.hard"], by=cast.ada)


def test_admins_are_told_when_the_organisations_budget_reaches_its_soft_amount(cast: Cast, model: FakeModel) -> None:
    budget(cast, 2 * COST, PLENTY)
    run(cast, cast.alice)
    assert told(cast.ada) == []
    run(cast, cast.bob)
    notice = one(cast.ada)
    assert (notice.kind, notice.layer, notice.feature, notice.read) == ("budget_soft", "tenant", None, False)
    assert notice.title == "Your organisation's budget of this month has reached 0.00028 EUR"
    assert "Calls are made until 1000 EUR are spent. It begins anew on 1 " in notice.text
    assert told(cast.alice) == told(cast.vera) == told(cast.gus) == []
    run(cast, cast.bob)
    assert one(cast.ada).id == notice.id and one(cast.ada).at == notice.at
    mark_read(notice.id, by=cast.ada)
    assert one(cast.ada).read


def test_a_call_that_finds_too_little_left_is_told_instead(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, 1, each + COST, feature=cast.greet)  # COST is spent already
    assert told(cast.ada) == [("budget_soft", "tenant")]
    run(cast, cast.alice)
    refused(cast, cast.alice)
    notice = one(cast.ada)
    assert (notice.kind, notice.feature) == ("budget_hard", cast.greet)
    assert notice.title == "Your organisation's budget for Greet of this month is spent: calls are refused"
    refused(cast, cast.bob)
    assert one(cast.ada) == notice
    assert told(cast.alice) == []  # a 402 has told her already


def test_a_repair_or_a_batch_that_finds_too_little_left_is_told_too(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    made = budget(cast, None, each + 2 * COST - 1)
    model.script(Answer('{"greting": 1}'), greeting())
    ended = find_run(run(cast, cast.alice), cast.alice)
    assert ended is not None and ended.state == State.FAILED
    assert told(cast.ada) == [("budget_hard", "tenant")]
    change_budget(made, soft=None, hard=1, by=cast.ada)
    assert told(cast.ada) == []
    with pytest.raises(OverBudget):
        take_batch(cast.greet, None, "json", by=cast.alice)  # type: ignore[arg-type]  # refused before it is read
    assert told(cast.ada) == [("budget_hard", "tenant")]


def test_whose_own_budget_it_is_is_told(cast: Cast, model: FakeModel) -> None:
    budget(cast, COST, PLENTY, user=cast.alice.acting_for())
    budget(cast, COST, PLENTY, each_user=True, period="day")
    run(cast, cast.alice)
    run(cast, cast.bob)
    assert told(cast.alice) == [("budget_soft", "user")] * 2
    assert one(cast.bob).title.startswith("Your budget of this day has reached ")
    assert told(cast.ada) == told(cast.vera) == []


def test_what_was_told_goes_when_the_amounts_change_or_the_period_ends(cast: Cast, model: FakeModel) -> None:
    run(cast, cast.alice)
    made = budget(cast, COST, COST)
    first = one(cast.ada)
    change_budget(made, soft=COST + 1, hard=PLENTY, by=cast.ada)
    assert told(cast.ada) == []
    run(cast, cast.alice)
    assert one(cast.ada).id != first.id
    change_budget(made, soft=COST, hard=PLENTY, by=cast.ada)
    assert told(cast.ada) == [("budget_soft", "tenant")]
    with cast.ada.present():
        BudgetUse.objects.update(began="2020-01-01")
    assert told(cast.ada) == []
    run(cast, cast.alice)
    assert told(cast.ada) == [("budget_soft", "tenant")]  # COST is spent of the new period


def test_a_refusal_of_a_period_that_is_over_is_no_refusal_now(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    budget(cast, None, each + COST - 1)
    refused(cast, cast.alice)
    with cast.ada.present():
        BudgetUse.objects.update(began="2020-01-01")
    run(cast, cast.alice)
    assert told(cast.ada) == []
    refused(cast, cast.alice)
    assert told(cast.ada) == [("budget_hard", "tenant")]


def test_what_is_told_leads_somewhere(cast: Cast, model: FakeModel, api: Any) -> None:
    budget(cast, COST, PLENTY)
    budget(cast, COST, PLENTY, user=cast.alice.acting_for())
    run(cast, cast.alice)
    for who in (cast.ada, cast.alice):
        notice = one(who)
        page_at(notice.action.href)
        assert api(who).get(notice.action.api.removeprefix("/api/v1")).status_code == 200
    [shown] = api(cast.ada).get("/notices").json()["items"]
    assert (shown["kind"], shown["feature"], shown["layer"]) == ("budget_soft", None, "tenant")


def test_it_is_mailed_once_and_to_whom_it_concerns(cast: Cast, model: FakeModel) -> None:
    budget(cast, COST, PLENTY)
    run(cast, cast.alice)
    assert send_notices() == 0  # it has just come about
    with cast.ada.present():
        BudgetUse.objects.update(soft_at=timezone.now() - timedelta(minutes=10))
    assert (send_notices(), [message.to for message in mail.outbox]) == (1, [["ada@acme.example"]])
    assert "has reached 0.00014 EUR" in mail.outbox[0].subject
    assert send_notices() == 0


@pytest.mark.usefixtures("_told_of")
def test_webhooks_are_told_once_of_each(cast: Cast, model: FakeModel) -> None:
    each = worst(cast)
    made = budget(cast, 2 * COST, each + 2 * COST)
    each_users = budget(cast, 2 * COST, PLENTY, each_user=True)  # of both COST is spent already
    for _ in range(2):
        run(cast, cast.alice)
    for _ in range(2):
        refused(cast, cast.alice)
    shown = {(event, data["budget"], data["user"]) for event, data in events(cast)}
    hers = f"member:{cast.alice.acting_for().id}"
    both = {("budget.soft", str(made.id), None), ("budget.hard", str(made.id), None)}
    assert shown == both | {("budget.soft", str(each_users.id), hers)}
    assert len(events(cast)) == 3
