"""Days of an organisation's ledger as the page of usage and budgets shows them: sums, a forecast, shares."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from features.overview import Overview
from features.runs.budgets import Spending, budgets_of, spendings
from features.runs.models import Budget
from features.runs.usage import By, Used, spent_by_day, used
from tenants.actor import Actor
from tenants.people import names_of
from tenants.subjects import MEMBER_PREFIX

from .days import Days, months_of
from .drawing import MICRO, money
from .parts import BudgetLine, Figure, UsagePage, UsedLine
from .words import layer_of_key

GROUPS: Mapping[By, Any] = {
    "feature": gettext_lazy("Feature"), "user": gettext_lazy("Person"), "model": gettext_lazy("Model"),
    "layer": gettext_lazy("Layer"), "day": gettext_lazy("Day"),
}  # fmt: skip
LAST_DAYS = 7  # what is expected is what these cost, on average


def usage_page(overview: Overview, days: Days, by: By) -> UsagePage:
    """All that the page shows; within the actor's transaction."""
    actor = overview.actor
    spent = spent_by_day(actor.tenant_id, days.since, days.until)
    by_feature = used(actor.tenant_id, "feature", since=days.since, until=days.until)
    rows = by_feature if by == "feature" else used(actor.tenant_id, by, since=days.since, until=days.until)
    budgets = spendings(budgets_of(actor))
    whole = next((one for one in budgets if _is_whole(one.budget)), None) if days.going else None
    total = sum(spent.values())
    expected = _expected(spent, days)
    return UsagePage(
        month=days.month, asked=days.asked, title=days.title,
        figures=_figures(by_feature, total, expected, whole, days),
        chart=_chart(spent, days, expected, whole), days=_days(spent, days),
        lines=used_lines(rows, by, overview), by=by, groups=[(key, str(word)) for key, word in GROUPS.items()],
        months=months_of(days), total=money(total) or money_of_nothing(), over=days.over, estimated=by == "layer",
        budgets=budget_lines(budgets, actor, _rate(spent, days)),
    )  # fmt: skip


def used_lines(rows: Sequence[Used], by: By, overview: Overview) -> list[UsedLine]:
    """The rows of "Where it goes", the dearest first; days as they were."""
    actor = overview.actor
    titles = _titles(rows, by, overview)
    total = sum(row.cost for row in rows)
    ordered = rows if by == "day" else sorted(rows, key=lambda row: (-row.cost, -row.runs, row.key))
    return [
        used_line(
            row, titles.get(row.key, row.key), total, href=_runs_of(row, by),
            layers=_layers(row, actor) if by == "layer" else (),
        )
        for row in ordered
    ]  # fmt: skip


def used_line(row: Used, title: str, total: int, *, href: str = "", layers: Sequence[tuple[int, str]] = ()) -> UsedLine:
    """One row of what was used, whose cost is a share of a total in micro-units."""
    asked = row.runs - row.cached
    return UsedLine(
        key=row.key, title=title, runs=row.runs, cached=share_of(row.cached, row.runs),
        tokens=f"{(row.input_tokens + row.output_tokens) // asked:,}" if asked else "–",
        repaired=share_of(row.repaired, row.runs, places=1), each=money(row.cost // asked) if asked else "",
        cost=money(row.cost), share=f"{row.cost * 100 / total:.1f}%" if total else "0%", href=href, layers=layers,
    )  # fmt: skip


def _layers(row: Used, actor: Actor) -> list[tuple[int, str]]:
    whose = (_("vendor"), actor.in_tenant().name, _("people"))
    return list(zip((row.base_tokens, row.tenant_tokens, row.user_tokens), whose, strict=True))


def budget_lines(budgets: Iterable[Spending], actor: Actor, rate: int = 0) -> list[BudgetLine]:
    """Budgets as people read them. `rate` is what all runs together cost in a day of late, for the whole one's end."""
    found = list(budgets)
    labels = [one.budget.subject.key for one in found if one.budget.subject is not None]
    names = names_of([label for label in labels if label.startswith(MEMBER_PREFIX)], actor)
    return [_budget_line(one, names, actor, rate) for one in found]


def _budget_line(one: Spending, names: Mapping[str, str], actor: Actor, rate: int) -> BudgetLine:
    budget = one.budget
    bound = budget.hard if budget.hard is not None else budget.soft
    state = "hard" if one.hard_reached else "soft" if one.soft_reached else ""
    left = (bound or 0) - one.spent
    runs_out = None
    if _is_whole(budget) and rate and budget.hard is not None and left > 0:
        end = datetime.now(UTC) + timedelta(days=left / rate)
        runs_out = end if end < one.ends else None
    return BudgetLine(
        id=str(budget.id), title=budget_title(budget, names, actor), period=str(PERIODS[Budget.Period(budget.period)]),
        spent=amount(one.spent), bound=amount(bound or 0), share=share_of(min(one.spent, bound or 0), bound or 0),
        does=_does(budget), state=state, ends=one.ends, soft=typed(budget.soft), hard=typed(budget.hard),
        held=money(one.reserved), runs_out=runs_out,
    )  # fmt: skip


def budget_title(budget: Budget, names: Mapping[str, str], actor: Actor) -> str:
    """ "All of Acme", "Each person", "Alice", and of what."""
    if budget.each_user:
        whose = _("Each person")
    elif budget.subject is not None:
        whose = names.get(budget.subject.key, budget.subject.key)
    else:
        whose = _("All of %(tenant)s") % {"tenant": actor.in_tenant().name}
    return f"{whose}, {budget.feature.title}" if budget.feature else whose


PERIODS = {Budget.Period.DAY: gettext_lazy("a day"), Budget.Period.MONTH: gettext_lazy("a month")}


def amount(micro: int) -> str:
    """An amount without its currency: "348.20"."""
    return (money(micro) or money_of_nothing()).removesuffix(f" {settings.CURRENCY}")


def typed(micro: int | None) -> str:
    """An amount as it is typed into a form."""
    return "" if micro is None else f"{micro / MICRO:f}".rstrip("0").rstrip(".")


def money_of_nothing() -> str:
    return f"0.00 {settings.CURRENCY}"


def _does(budget: Budget) -> str:
    told = []
    if budget.hard is not None:
        told.append(_("stops at %(amount)s") % {"amount": amount(budget.hard)})
    if budget.soft is not None:
        told.append(_("warns at %(amount)s") % {"amount": amount(budget.soft)})
    return ", ".join(told)


def _is_whole(budget: Budget) -> bool:
    """Whether it is the one that binds everything of the month."""
    alone = budget.subject_id is None and not budget.each_user and budget.feature_id is None
    return alone and budget.period == Budget.Period.MONTH


def _rate(spent: Mapping[date, int], days: Days) -> int:
    """What a day of late cost on average, in micro-units: of the last whole days, or of today if there is no other."""
    if not days.going:
        return 0
    began = min(spent, default=days.today)
    late = [days.today - timedelta(days=n) for n in range(1, LAST_DAYS + 1)]
    inside = [day for day in late if day >= began] or [days.today]
    return sum(spent.get(day, 0) for day in inside) // len(inside)


def _expected(spent: Mapping[date, int], days: Days) -> int:
    return sum(spent.values()) + _rate(spent, days) * (days.length - days.begun)


def _figures(rows: Sequence[Used], total: int, expected: int, whole: Spending | None, days: Days) -> list[Figure]:
    runs, cached = sum(row.runs for row in rows), sum(row.cached for row in rows)
    asked = runs - cached
    saved = sum(row.cost * row.cached // (row.runs - row.cached) for row in rows if row.runs > row.cached)
    bound = whole.budget.hard if whole else None
    of = _("%(share)s of %(bound)s") % {"share": share_of(total, bound), "bound": amount(bound)} if bound else ""
    figures = [Figure(_("Spent so far") if days.going else _("Spent"), money(total) or money_of_nothing(), of)]
    if days.going:
        last = days.since + timedelta(days=days.length - 1)
        on = _("Expected on %(day)s") % {"day": date_format(last, "j F")}
        figures.append(Figure(on, money(expected) or money_of_nothing(), *_warning(expected, whole)))
    each = _("%(amount)s each") % {"amount": money(total // asked)} if asked and total else ""
    figures.append(Figure(_("Runs"), f"{runs:,}", each))
    gain = _("saved about %(amount)s") % {"amount": money(saved)} if saved else ""
    figures.append(Figure(_("Answered from cache"), share_of(cached, runs), gain))
    return figures


def _warning(expected: int, whole: Spending | None) -> tuple[str, bool]:
    if whole is None:
        return _("no budget for the month"), False
    hard, soft = whole.budget.hard, whole.budget.soft
    if hard is not None and expected > hard:
        return _("over the stop at %(amount)s") % {"amount": amount(hard)}, True
    if soft is not None and expected > soft:
        return _("over the warning at %(amount)s") % {"amount": amount(soft)}, True
    return _("within the budget"), False


def _chart(spent: Mapping[date, int], days: Days, expected: int, whole: Spending | None) -> dict[str, Any]:
    """Days of the month, what was spent by the end of each, and where it is going."""
    line, gone = [], 0
    for number in range(days.begun):
        gone += spent.get(days.first + timedelta(days=number), 0)
        line.append(round(gone / MICRO, 6))
    rest = days.length - days.begun
    values = line + [None] * rest
    ahead: list[float | None] = [None] * days.length
    if rest and line:
        step = (expected / MICRO - line[-1]) / rest
        ahead = [None] * (days.begun - 1) + [round(line[-1] + step * n, 6) for n in range(rest + 1)]
    limits: list[dict[str, Any]] = []
    if whole is not None:
        for micro, role, word in (
            (whole.budget.hard, "bad", _("Stop at")),
            (whole.budget.soft, "attention", _("Warn at")),
        ):
            if micro is not None:
                limits.append({"at": micro / MICRO, "role": role, "words": f"{word} {amount(micro)}"})
    highest = max([expected / MICRO, gone / MICRO, *(one["at"] for one in limits)], default=0)
    return {
        "times": [int((days.since + timedelta(days=n)).timestamp()) for n in range(days.length)],
        "values": values, "ahead": ahead, "limits": limits, "top": highest * 1.12 or 1, "currency": settings.CURRENCY,
    }  # fmt: skip


def _days(spent: Mapping[date, int], days: Days) -> list[tuple[str, str, str]]:
    told, gone = [], 0
    for number in range(days.begun):
        day = days.first + timedelta(days=number)
        gone += spent.get(day, 0)
        told.append((date_format(day, "j M"), amount(spent.get(day, 0)), amount(gone)))
    return told


def _titles(rows: Sequence[Used], by: By, overview: Overview) -> dict[str, str]:
    actor = overview.actor
    if by == "feature":
        return {feature.key: feature.title for feature in overview.features}
    if by == "user":
        members = [row.key for row in rows if row.key.startswith(MEMBER_PREFIX)]
        itself = {"": _("%(tenant)s itself") % {"tenant": actor.in_tenant().name}}
        return {**itself, **{key: _("Somebody who has left") for key in members}, **names_of(members, actor)}
    if by == "layer":
        return {row.key: layer_of_key(row.key, actor.in_tenant().name) for row in rows}
    if by == "day":
        return {row.key: date_format(date.fromisoformat(row.key), "j F") for row in rows}
    return {"": _("No model was asked")}


def _runs_of(row: Used, by: By) -> str:
    """The address of a row's runs, where the list of runs can show just them."""
    return f"{reverse('web:runs')}?feature={row.key}" if by == "feature" else ""


def share_of(part: int, whole: int | None, *, places: int = 0) -> str:
    return f"{part * 100 / whole:.{places}f}%" if whole else "0%"
