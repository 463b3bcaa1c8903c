"""Budgets as people see and set them: what may be spent, on what, in which time, and what of it is gone.

Holding and settling is reservations.py's. A period is a day or a month of UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connections, transaction
from django.db.models import Case, When
from django.db.models.functions import Coalesce, Now

from features.models import Feature
from features.resolve import clock
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.ids import floor_of
from tenants.isolation import APP, NOBODY
from tenants.subjects import Who, make_sure

from .models import Budget, BudgetUse

# What was spent in the period before there was the budget counts too. Runs in flight count when they are settled only
# if they began after it.
_ALREADY = """
INSERT INTO runs_budgetuse (id, tenant_id, budget_id, subject, began, spent, reserved, soft_at)
SELECT gen_random_uuid(), %(tenant)s, %(budget)s, CASE WHEN %(each)s THEN l.subject ELSE %(nobody)s END, %(began)s,
       sum(l.cost), 0, CASE WHEN sum(l.cost) >= %(soft)s::bigint THEN clock_timestamp() END
FROM runs_ledger l
WHERE l.tenant_id = %(tenant)s AND l.run >= %(oldest)s AND l.at >= %(began)s::date AT TIME ZONE 'UTC'
  AND (%(feature)s::uuid IS NULL OR l.feature = %(feature)s) AND (%(subject)s::uuid IS NULL OR l.subject = %(subject)s)
  AND (NOT %(each)s OR l.subject <> %(tenant)s)
GROUP BY 4"""


@dataclass(frozen=True, slots=True)
class Spending:
    """A budget, whose it is, when its period began and ends, and what of it is spent and held (micro-units).

    Of one for each user: the most that any of them has spent.
    """

    budget: Budget
    began: datetime
    ends: datetime
    spent: int
    reserved: int

    @property
    def soft_reached(self) -> bool:
        return self.budget.soft is not None and self.spent >= self.budget.soft

    @property
    def hard_reached(self) -> bool:
        return self.budget.hard is not None and self.spent + self.reserved >= self.budget.hard


def add_budget(
    *, period: str, soft: int | None, hard: int | None, feature: Feature | None = None, user: Who | None = None,
    each_user: bool = False, by: Actor,
) -> Budget:  # fmt: skip
    """Bound what is spent: by all, one user or each user, on a feature or all; what was spent already counts.

    Raises Invalid for amounts that make no sense, and Conflict where there is such a budget already.
    """
    tenant = by.in_tenant()
    _check(soft, hard)
    if user is not None and each_user:
        raise Invalid("A budget is one user's or each user's.", errors=[Problem("/user", "choice", "leave one out")])
    budget = Budget(tenant=tenant, period=period, soft=soft, hard=hard, each_user=each_user)
    budget.feature_id = feature.id if feature else None
    budget.author = by.label
    with by.doing("budget.manage", tenant) as event:
        if user is not None:
            make_sure(tenant.id, user)
            budget.subject_id = user.id
        try:
            with transaction.atomic(using=APP):
                budget.save(force_insert=True)
        except IntegrityError as taken:
            raise Conflict("There is a budget for just that already: change it instead.") from taken
        began = period_began(period, clock())
        with connections[APP].cursor() as cursor:
            cursor.execute(_ALREADY, {
                "tenant": tenant.id, "budget": budget.id, "each": each_user, "nobody": NOBODY, "began": began.date(),
                "oldest": floor_of(began - timedelta(days=1)), "feature": feature.id if feature else None,
                "subject": budget.subject_id, "soft": soft,
            })  # fmt: skip
        event.detail = {"budget": str(budget.id), "period": period, "soft": soft, "hard": hard}
    return budget


def change_budget(budget: Budget, *, soft: int | None, hard: int | None, by: Actor) -> Budget:
    """Change a budget's amounts, from the next call on; what was told of the old ones is no more. Raises Invalid."""
    _check(soft, hard)
    with by.doing("budget.manage", budget) as event:
        event.detail = {"soft": [budget.soft, soft], "hard": [budget.hard, hard]}
        budget.soft, budget.hard = soft, hard
        budget.save(update_fields=["soft", "hard"])
        reached = Case(When(spent__gte=soft, then=Coalesce("soft_at", Now()))) if soft is not None else None
        BudgetUse.objects.filter(budget=budget).update(soft_at=reached, hard_at=None)
    return budget


def remove_budget(budget: Budget, *, by: Actor) -> None:
    """Take a budget away. What is in flight ends as it would have."""
    with by.doing("budget.manage", budget) as event:
        event.detail = {"period": budget.period, "soft": budget.soft, "hard": budget.hard}
        BudgetUse.objects.filter(budget=budget).delete()
        budget.delete()


def find_budget(budget_id: UUID, by: Actor) -> Budget:
    """The actor's organisation's budget with this id. Raises NotFound."""
    with by.present():
        budget = Budget.objects.select_related("feature", "subject").filter(pk=budget_id).first()
    if budget is None:
        raise NotFound
    return budget


def budgets_of(actor: Actor) -> list[Budget]:
    """All budgets of the actor's organisation, the widest first; within the actor's transaction."""
    rows = Budget.objects.select_related("feature", "subject").filter(tenant_id=actor.tenant_id)
    return sorted(rows, key=lambda one: (one.subject_id is not None, one.each_user, one.feature_id is not None, one.id))


def spendings(budgets: Sequence[Budget]) -> list[Spending]:
    """What is gone of each budget in its present period; within the tenant's transaction."""
    now, found = clock(), dict[UUID, list[BudgetUse]]()
    for use in BudgetUse.objects.filter(budget__in=budgets):
        found.setdefault(use.budget_id, []).append(use)
    return [_spending(budget, found.get(budget.id, []), now) for budget in budgets]


def _spending(budget: Budget, uses: list[BudgetUse], now: datetime) -> Spending:
    began = period_began(budget.period, now)
    spent = max((use.spent for use in uses if use.began == began.date()), default=0)
    reserved = max((use.reserved for use in uses), default=0)
    return Spending(budget, began, period_ends(budget.period, began), spent, reserved)


def period_began(period: str, now: datetime) -> datetime:
    """The beginning of the day or month (UTC) in which a moment lies."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period == Budget.Period.DAY else midnight.replace(day=1)


def period_ends(period: str, began: datetime) -> datetime:
    """The end of the day or month that began then."""
    if period == Budget.Period.DAY:
        return began + timedelta(days=1)
    first = date(began.year + began.month // 12, began.month % 12 + 1, 1)
    return began.replace(year=first.year, month=first.month)


def _check(soft: int | None, hard: int | None) -> None:
    if soft is None and hard is None:
        told = Problem("/hard", "required", "say soft, hard or both")
        raise Invalid("A budget needs an amount.", errors=[told])
    if soft is not None and hard is not None and soft > hard:
        told = Problem("/soft", "max", "must not be above hard")
        raise Invalid("People would be told after calls are refused already.", errors=[told])
