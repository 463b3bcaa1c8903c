"""What an inbox tells of budgets: that the soft amount is reached, and that a call was refused for want of money.

Who pays is told: a user of the budget that is theirs, an organisation's admins of what binds it as a whole.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from features.causes import Action, Cause, Kind
from features.notices import Source
from tenants.isolation import NOBODY, OPERATOR
from tenants.subjects import Who

from .budgets import period_began, period_ends
from .costs import MICRO
from .models import Budget, BudgetUse

_TOLD = Q(soft_at__isnull=False) | Q(hard_at__isnull=False)


def budget_causes(tenant_id: UUID, who: Who, now: datetime) -> Iterator[Cause]:
    """Yield what there is to tell now of the budgets that are a subject's own; within the tenant's transaction.

    Of one that has refused a call that alone: to know that its soft amount was reached before helps nobody then.
    """
    whose = Q(subject=NOBODY, budget__subject=None if who.is_tenant else who.id)
    if not who.is_tenant:
        whose |= Q(subject=who.id)
    rows = BudgetUse.objects.select_related("budget__feature").filter(_TOLD, whose, tenant_id=tenant_id)
    for use in rows.order_by("budget_id"):
        if use.began == period_began(use.budget.period, now).date():
            yield _hard(use, who, now) if use.hard_at else _soft(use, who, now)


def tenants_told() -> list[UUID]:
    """The tenants with budgets that have something to tell, or had in an earlier period; within the operator's."""
    return list(BudgetUse.objects.using(OPERATOR).filter(_TOLD).values_list("tenant_id", flat=True).distinct())


SOURCE = Source(causes=budget_causes, tenants=tenants_told)


def _soft(use: BudgetUse, who: Who, now: datetime) -> Cause:
    budget = use.budget
    title = f"{_named(budget, who)} has reached {_money(budget.soft)}"
    text = "Nothing is refused: it has no hard amount."
    if budget.hard is not None:
        text = f"Calls are made until {_money(budget.hard)} are spent."
    return _cause(use, who, "budget_soft", use.soft_at or now, title, f"{text} {_anew(budget, now)}")


def _hard(use: BudgetUse, who: Who, now: datetime) -> Cause:
    budget = use.budget
    title = f"{_named(budget, who)} is spent: calls are refused"
    text = f"Of {_money(budget.hard)} too little is left for a call. {_anew(budget, now)}"
    raised = "You can raise it." if who.is_tenant else "An admin of your organisation can raise it."
    return _cause(use, who, "budget_hard", use.hard_at or now, title, f"{text} {raised}")


def _cause(use: BudgetUse, who: Who, kind: Kind, at: datetime, title: str, text: str) -> Cause:
    budget = use.budget
    key = f"{budget.id} {use.began} {budget.soft if kind == 'budget_soft' else budget.hard}"
    door = f"/api/v1/budgets/{budget.id}" if who.is_tenant else "/api/v1/runs"
    return Cause(kind, budget.feature, key, at, title, text, Action("/org/budgets" if who.is_tenant else "/runs", door))


def _named(budget: Budget, who: Who) -> str:
    whose = "Your organisation's" if who.is_tenant else "Your"
    feature = f" for {budget.feature.title}" if budget.feature else ""
    return f"{whose} budget{feature} of this {budget.period}"


def _anew(budget: Budget, now: datetime) -> str:
    begins = period_ends(budget.period, period_began(budget.period, now))
    return f"It begins anew on {begins.day} {begins:%B} (UTC)."


def _money(micro: int | None) -> str:
    return f"{(micro or 0) / MICRO:g} {settings.CURRENCY}"
