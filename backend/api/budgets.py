"""Budgets: what an organisation lets be spent, and what of it is gone."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.find import find_feature
from features.runs.budgets import Spending, add_budget, change_budget, find_budget, remove_budget, spendings
from features.runs.models import Budget

from .conditions import Conditional, held
from .door import Door, paged
from .fields import Choice, Strict, Text, Truth, Whole
from .runs_read import cost_json
from .schema import PAGING
from .shapes import BUDGET, answers, listed

HIGHEST = 10**15  # micro-units


class AmountsBody(Strict):
    """From when on people are told, and what is never exceeded, in micro-units; null is no bound."""

    soft = Whole(min_value=0, max_value=HIGHEST, required=False, allow_null=True)
    hard = Whole(min_value=0, max_value=HIGHEST, required=False, allow_null=True)


class BudgetBody(AmountsBody):
    """A budget: for all, one user (by key) or each user; on one feature or all together."""

    period = Choice(Budget.Period.values)
    feature = Text(max_length=64, required=False, allow_null=True)
    user = Text(max_length=200, required=False, allow_null=True)
    each_user = Truth(required=False)


class Budgets(Door):
    """The budgets of the organisation."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(BUDGET)), summary="Budgets, and what of them is gone (admins)"
    )
    def get(self, request: Request) -> Response:
        self.actor.need("budget.manage")
        rows = Budget.objects.select_related("feature", "subject").filter(tenant_id=self.actor.tenant_id)
        return paged(request, rows, lambda seen: [_json(one) for one in spendings(seen)], actor=self.actor)

    @extend_schema(request=BudgetBody, responses=answers(BUDGET, 201), summary="Bound what is spent (admins)")
    def post(self, request: Request) -> Response:
        actor = self.actor
        actor.need("budget.manage")
        body = self.read(BudgetBody)
        feature = find_feature(body["feature"], actor) if body.get("feature") else None
        user = subject_named(actor, body["user"]) if body.get("user") else None
        budget = add_budget(
            period=body["period"], soft=body.get("soft"), hard=body.get("hard"), feature=feature, user=user,
            each_user=body.get("each_user", False), by=actor,
        )  # fmt: skip
        return Response(self.shown(budget.id), status=201)

    def shown(self, budget_id: UUID) -> dict[str, Any]:
        budget = find_budget(budget_id, self.actor)
        with self.actor.present():
            return _json(spendings([budget])[0])


class OneBudget(Conditional, Budgets):
    """One budget."""

    state = ("soft", "hard")
    http_method_names = ["get", "put", "delete", "head", "options"]

    def hold(self, budget_id: UUID) -> None:
        held(Budget.objects.all(), budget_id)

    @extend_schema(parameters=[], responses=answers(BUDGET), summary="A budget, and what of it is gone (admins)")
    def get(self, request: Request, budget_id: UUID) -> Response:  # type: ignore[override]
        self.actor.need("budget.manage")
        return Response(self.shown(budget_id))

    @extend_schema(request=AmountsBody, responses=answers(BUDGET), summary="Change a budget's amounts (admins)")
    def put(self, request: Request, budget_id: UUID) -> Response:
        self.actor.need("budget.manage")
        body = self.read(AmountsBody)
        budget = find_budget(budget_id, self.actor)
        change_budget(budget, soft=body.get("soft"), hard=body.get("hard"), by=self.actor)
        return Response(self.shown(budget_id))

    @extend_schema(responses={204: None}, summary="Take a budget away (admins)")
    def delete(self, request: Request, budget_id: UUID) -> Response:
        self.actor.need("budget.manage")
        remove_budget(find_budget(budget_id, self.actor), by=self.actor)
        return Response(status=204)


def _json(spending: Spending) -> dict[str, Any]:
    budget = spending.budget
    return {
        "id": str(budget.id),
        "period": budget.period,
        "feature": budget.feature.key if budget.feature else None,
        "user": budget.subject.key if budget.subject else None,
        "each_user": budget.each_user,
        "soft": budget.soft,
        "hard": budget.hard,
        "spent": cost_json(spending.spent),
        "reserved": cost_json(spending.reserved),
        "soft_reached": spending.soft_reached,
        "hard_reached": spending.hard_reached,
        "began": spending.began,
        "ends": spending.ends,
    }
