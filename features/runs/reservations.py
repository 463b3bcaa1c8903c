"""Money held for calls in flight: taken from all budgets that apply or from none, in one statement of one transaction.

A run holds what one call may cost at the worst, never more (docs/decisions/0010). The queue's row says how much and of
which budgets; whoever has that row settles or releases it. Rows of budgets are locked in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections

from tenants.errors import OverBudget
from tenants.isolation import APP, NOBODY

# Which budgets bind a run of this subject and feature. Each user's binds users only, never the tenant as a whole.
APPLIES = """b.tenant_id = %(tenant)s AND (b.feature_id IS NULL OR b.feature_id = %(feature)s)
    AND (b.subject_id IS NULL OR b.subject_id = %(subject)s) AND (NOT b.each_user OR %(subject)s <> %(tenant)s)"""
BEGAN = "date_trunc(b.period, clock_timestamp() AT TIME ZONE 'UTC')::date"

# A budget's use of an earlier period is begun anew by the first who reserves in this one; what was reserved then is
# still in flight and stays.
_RESERVE = f"""
WITH applies AS MATERIALIZED (
    SELECT b.id, CASE WHEN b.each_user THEN %(subject)s ELSE %(nobody)s END AS subject, {BEGAN} AS began, b.hard,
           b.period
    FROM runs_budget b WHERE {APPLIES}
), held AS (
    INSERT INTO runs_budgetuse AS u (id, tenant_id, budget_id, subject, began, spent, reserved)
    SELECT gen_random_uuid(), %(tenant)s, a.id, a.subject, a.began, 0, %(amount)s FROM applies a
    WHERE a.hard IS NULL OR a.hard >= %(amount)s ORDER BY a.id
    ON CONFLICT (tenant_id, budget_id, subject) DO UPDATE SET
        reserved = u.reserved + %(amount)s, began = EXCLUDED.began,
        spent = CASE WHEN u.began = EXCLUDED.began THEN u.spent ELSE 0 END
    WHERE (SELECT a.hard IS NULL OR u.reserved + %(amount)s
                  + CASE WHEN u.began = EXCLUDED.began THEN u.spent ELSE 0 END <= a.hard
           FROM applies a WHERE a.id = u.budget_id)
    RETURNING u.budget_id
)
SELECT a.id, held.budget_id IS NOT NULL, a.hard, a.period, a.began FROM applies a
LEFT JOIN held ON held.budget_id = a.id ORDER BY a.id"""

_GIVE_BACK = """
WITH mine AS MATERIALIZED (
    SELECT tenant_id, budget_id, subject FROM runs_budgetuse
    WHERE tenant_id = %(tenant)s AND budget_id = ANY(%(budgets)s) AND subject IN (%(subject)s, %(nobody)s)
    ORDER BY budget_id FOR UPDATE
)
UPDATE runs_budgetuse u SET reserved = u.reserved - %(amount)s, spent = u.spent + %(cost)s
FROM mine WHERE u.tenant_id = mine.tenant_id AND u.budget_id = mine.budget_id AND u.subject = mine.subject"""


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose budgets a run draws on."""

    tenant_id: UUID
    subject_id: UUID
    feature_id: UUID

    def parameters(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant_id, "subject": self.subject_id, "feature": self.feature_id, "nobody": NOBODY, **more,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hold:
    """So many micro-units, held of these budgets."""

    amount: int
    budgets: Sequence[UUID] = ()


def reserve(payer: Payer, amount: int) -> Hold:
    """Hold an amount of every budget that applies, within the tenant's transaction.

    Raises OverBudget when one has not so much left; the transaction must then be rolled back.
    """
    if amount == 0:
        return Hold(0)
    with connections[APP].cursor() as cursor:
        cursor.execute(_RESERVE, payer.parameters(amount=amount))
        rows = cursor.fetchall()
    short = [row for row in rows if not row[1]]
    if short:
        raise _over(amount, *short[0])
    return Hold(amount, [row[0] for row in rows])


def settle(payer: Payer, hold: Hold, cost: int) -> None:
    """Give a hold back and count what was really spent, within the tenant's transaction."""
    if not hold.budgets:
        return
    with connections[APP].cursor() as cursor:
        cursor.execute(_GIVE_BACK, payer.parameters(budgets=list(hold.budgets), amount=hold.amount, cost=cost))


def _over(amount: int, _id: UUID, _held: bool, hard: int, period: str, began: datetime) -> OverBudget:
    told = f"of {hard / 1e6:g} {settings.CURRENCY} a {period} is spent or held: not enough is left for"
    again = "tomorrow" if period == "day" else "on the first of next month"
    return OverBudget(
        f"A budget {told} a call that may cost {amount / 1e6:g} {settings.CURRENCY}. It begins anew {again} (UTC);"
        " an admin of your organisation can raise it.",
        period=period,
    )
