"""Money held for calls in flight: taken from all budgets that apply or from none, in one statement of one transaction.

A run holds what one call may cost at the worst, never more (docs/decisions/0010). The queue's row says how much and of
which budgets; whoever has that row settles or releases it. Rows of budgets are locked in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections

from tenants.errors import OverBudget
from tenants.isolation import APP, NOBODY, tenant_tx
from tenants.webhooks import outbox

# Which budgets bind a run of this subject and feature. Each user's binds users only, never the tenant as a whole.
APPLIES = """b.tenant_id = %(tenant)s AND (b.feature_id IS NULL OR b.feature_id = %(feature)s)
    AND (b.subject_id IS NULL OR b.subject_id = %(subject)s) AND (NOT b.each_user OR %(subject)s <> %(tenant)s)"""
BEGAN = "date_trunc(b.period, clock_timestamp() AT TIME ZONE 'UTC')::date"

# A budget's use of an earlier period is begun anew by the first who reserves in this one; what was reserved then is
# still in flight and stays.
_SPENT = "CASE WHEN u.began = EXCLUDED.began THEN u.spent ELSE 0 END"
_ANEW = f"""began = EXCLUDED.began, spent = {_SPENT},
        soft_at = CASE WHEN u.began = EXCLUDED.began THEN u.soft_at END"""
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
        reserved = u.reserved + %(amount)s, hard_at = CASE WHEN u.began = EXCLUDED.began THEN u.hard_at END, {_ANEW}
    WHERE (SELECT a.hard IS NULL OR u.reserved + %(amount)s + {_SPENT} <= a.hard
           FROM applies a WHERE a.id = u.budget_id)
    RETURNING u.budget_id
)
SELECT a.id, held.budget_id IS NOT NULL, a.hard, a.period, a.began FROM applies a
LEFT JOIN held ON held.budget_id = a.id ORDER BY a.id"""

# Webhooks are told in the same statement: of the settling that reaches `soft`, and of the period's first refusal.
_TOLD = """jsonb_build_object('budget', budget_id, 'period', period, 'user', (
    SELECT s.key FROM tenants_subject s
    WHERE s.tenant_id = {of}.tenant_id AND s.id = coalesce(nullif({of}.subject, %(nobody)s), {of}.whose)))"""


def giving_back(among: str, subject: str, amount: str, cost: str) -> str:
    """The CTEs that give what a call held back to its budgets, count its cost and tell whom that makes reach `soft`.

    `among` names relations to join (it ends in a comma, or is empty) and the arguments are expressions over them,
    `among` giving `budgets`. They stand in a WITH, as `mine`, `due` and `warned`; %(nobody)s must be given.
    """
    return f"""mine AS MATERIALIZED (
    SELECT u.tenant_id, u.budget_id, u.subject, b.period, b.subject_id AS whose, {amount} AS amount, {cost} AS cost,
           u.soft_at IS NULL AND u.began = {BEGAN} AND u.spent + {cost} >= b.soft AS reached
    FROM {among} runs_budgetuse u JOIN runs_budget b ON b.tenant_id = u.tenant_id AND b.id = u.budget_id
    WHERE u.tenant_id = %(tenant)s AND u.budget_id = ANY(budgets) AND u.subject IN ({subject}, %(nobody)s)
    ORDER BY u.budget_id FOR UPDATE OF u
), due AS (
    UPDATE runs_budgetuse u SET reserved = u.reserved - mine.amount, spent = u.spent + mine.cost,
        soft_at = CASE WHEN mine.reached THEN clock_timestamp() ELSE u.soft_at END
    FROM mine WHERE u.tenant_id = mine.tenant_id AND u.budget_id = mine.budget_id AND u.subject = mine.subject
    RETURNING mine.*
), warned AS ({outbox("due", event="'budget.soft'", data=_TOLD.format(of="due"), where="due.reached")})"""


_GIVE_BACK = f"""
WITH held AS (SELECT %(budgets)s::uuid[] AS budgets, %(amount)s::bigint AS amount, %(cost)s::bigint AS cost),
{giving_back("held,", "%(subject)s", "held.amount", "held.cost")}
SELECT"""
_REFUSED = f"""
WITH short AS MATERIALIZED (
    SELECT b.id, CASE WHEN b.each_user THEN %(subject)s ELSE %(nobody)s END AS subject, b.subject_id AS whose, b.period,
           {BEGAN} AS began
    FROM runs_budget b WHERE b.tenant_id = %(tenant)s AND b.id = ANY(%(budgets)s)
), noted AS (
    INSERT INTO runs_budgetuse AS u (id, tenant_id, budget_id, subject, began, spent, reserved, hard_at)
    SELECT gen_random_uuid(), %(tenant)s, id, subject, began, 0, 0, clock_timestamp() FROM short ORDER BY id
    ON CONFLICT (tenant_id, budget_id, subject) DO UPDATE SET hard_at = EXCLUDED.hard_at, {_ANEW}
    WHERE u.hard_at IS NULL OR u.began <> EXCLUDED.began
    RETURNING u.tenant_id, u.budget_id, u.subject
), told AS (SELECT noted.*, short.whose, short.period FROM noted JOIN short ON short.id = noted.budget_id)
{outbox("told", event="'budget.hard'", data=_TOLD.format(of="told"))}"""


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


class Short(OverBudget):
    """Some budgets have not so much left as a call could cost."""

    def __init__(self, detail: str, payer: Payer, budgets: Sequence[UUID], period: str) -> None:
        super().__init__(detail, period=period)
        self.payer, self.budgets = payer, budgets


@dataclass(frozen=True, slots=True)
class Hold:
    """So many micro-units, held of these budgets."""

    amount: int
    budgets: Sequence[UUID] = ()


def reserve(payer: Payer, amount: int) -> Hold:
    """Hold an amount of every budget that applies, within the tenant's transaction.

    Raises Short when one has not so much left; the transaction must then be rolled back, and `note_refusal` be called.
    """
    if amount == 0:
        return Hold(0)
    with connections[APP].cursor() as cursor:
        cursor.execute(_RESERVE, payer.parameters(amount=amount))
        rows = cursor.fetchall()
    short = [row for row in rows if not row[1]]
    if short:
        raise _short(payer, amount, short)
    return Hold(amount, [row[0] for row in rows])


def note_refusal(short: BaseException | None) -> None:
    """Note the first call of a period that a budget refused, and tell of it, once nothing of the call is left.

    Whatever else a call came to nothing for is passed over.
    """
    if not isinstance(short, Short):
        return
    with tenant_tx(short.payer.tenant_id), connections[APP].cursor() as cursor:
        cursor.execute(_REFUSED, short.payer.parameters(budgets=list(short.budgets)))


def settle(payer: Payer, hold: Hold, cost: int) -> None:
    """Give a hold back and count what was really spent, within the tenant's transaction."""
    if not hold.budgets:
        return
    with connections[APP].cursor() as cursor:
        cursor.execute(_GIVE_BACK, payer.parameters(budgets=list(hold.budgets), amount=hold.amount, cost=cost))


def in_currency(micro: int) -> str:
    """An amount in millionths, as people write it: `12.5 EUR`, never rounded."""
    return f"{(Decimal(micro) / 1_000_000).normalize():f} {settings.CURRENCY}"


def _short(payer: Payer, amount: int, rows: Sequence[tuple[UUID, bool, int, str, date]]) -> Short:
    _, _, hard, period, _ = rows[0]
    told = f"of {in_currency(hard)} a {period} is spent or held: not enough is left for"
    again = "tomorrow" if period == "day" else "on the first of next month"
    return Short(
        f"A budget {told} a call that may cost {in_currency(amount)}. It begins anew {again} (UTC);"
        " an admin of your organisation can raise it.",
        payer, [row[0] for row in rows], period,
    )  # fmt: skip
