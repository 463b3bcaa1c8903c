"""What an organisation's runs cost, and the budgets that bound it; for admins."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.actors import subject_named
from backend.web.days import Days, DaysForm, days_asked
from backend.web.filled import AmountsForm, BudgetForm, Filled
from backend.web.pages import PageRequest, answer, for_members, for_people, overview_of
from backend.web.reading import id_in
from backend.web.spending import GROUPS, budget_lines, typed, usage_page, used_lines
from backend.web.tables import csv_answer, table
from backend.web.vendor_spending import GROUPS as VENDOR_GROUPS
from backend.web.vendor_spending import vendor_usage_csv, vendor_usage_page
from features.find import find_feature
from features.resolve import clock
from features.runs.budgets import add_budget, budgets_of, change_budget, find_budget, remove_budget, spendings
from features.runs.models import Budget
from features.runs.usage import By, used
from tenants.actor import Actor
from tenants.errors import Malformed
from tenants.isolation import OPERATOR
from tenants.people import member_called
from tenants.subjects import Who

BUDGETS = "web/budgets.html"


@require_safe
@for_members
def usage(request: PageRequest) -> HttpResponseBase:
    """A month: `?month=2026-11`, or `?since=` and `?until=`; and `?by=` feature, user, model, layer or day."""
    days, form, by = _asked(request)
    with request.actor.present():
        shown = usage_page(overview_of(request), days, by)
    context = {"here": "usage", "usage": shown, "form": form}
    return answer(request, "web/usage.html", context, part="where", status=form.status)


@require_safe
@for_members
def usage_csv(request: PageRequest) -> HttpResponseBase:
    """The same rows to take away, in whole numbers: tokens, and money in millionths of the currency."""
    days, form, by = _asked(request)
    _refuse_no_days(form)
    with request.actor.present():
        rows = used(request.actor.tenant_id, by, since=days.since, until=days.until)
        titles = {line.key: line.title for line in used_lines(rows, by, overview_of(request))}
    head = [by, "name", "runs", "cached", "repaired", "input_tokens", "cached_input_tokens", "output_tokens"]
    text = table([*head, "cost_micro", "base_tokens", "tenant_tokens", "user_tokens"], (
        [row.key, titles[row.key], row.runs, row.cached, row.repaired, row.input_tokens, row.cached_input_tokens,
         row.output_tokens, row.cost, row.base_tokens, row.tenant_tokens, row.user_tokens] for row in rows
    ))  # fmt: skip
    return csv_answer(f"usage-{days.file}-by-{by}", text)


def _asked(request: PageRequest) -> tuple[Days, DaysForm, By]:
    request.actor.need("usage.read")
    days, form = days_asked(request.GET.dict(), clock().date())
    by = next((one for one in GROUPS if one == request.GET.get("by", "feature")), None)
    if by is None:
        raise Malformed(_("Usage is shown by feature, user, model, layer or day."))
    return days, form, by


def _refuse_no_days(form: DaysForm) -> None:
    """A file is not made of other days than those asked for. Raises Malformed."""
    if form.is_bound and form.errors:
        raise Malformed(" ".join(str(wrong) for told in form.errors.values() for wrong in told))


@require_safe
@for_people
def vendor_usage(request: PageRequest) -> HttpResponseBase:
    """The same of every organisation, for operators; `?by=` tenant, feature, model or day, `?format=csv`."""
    request.actor.need("usage.vendor")
    days, form = days_asked(request.GET.dict(), clock(OPERATOR).date())
    by = next((one for one in VENDOR_GROUPS if one == request.GET.get("by", "tenant")), None)
    if by is None:
        raise Malformed(_("Usage is shown by tenant, feature, model or day."))
    if request.GET.get("format") == "csv":
        _refuse_no_days(form)
        return csv_answer(f"usage-{days.file}-by-{by}", vendor_usage_csv(days, by, request.actor))
    shown = vendor_usage_page(days, by, request.actor)
    context = {"here": "tenants", "usage": shown, "form": form}
    return answer(request, "web/vendor_usage.html", context, part="where", status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def budgets(request: PageRequest) -> HttpResponseBase:
    """Budgets: add one, change amounts (`?edit=`), remove one (`?remove=` asks first)."""
    request.actor.need("budget.manage")
    if request.method == "POST":
        return _act(request)
    return _budgets(request)


def _act(request: PageRequest) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    match post.get("act"):
        case "add":
            form: Filled = _new(request, post)
            with form.trying():
                _add(form.given(), actor)
                return _done(request, _("The budget binds from the next call on. What was spent already counts."))
            return _budgets(request, form=form, status=form.status)
        case "change":
            budget, form = _budget(request), AmountsForm(post, prefix="amounts")
            with form.trying():
                change_budget(budget, **form.given(), by=actor)
                return _done(request, _("The amounts bind from the next call on."))
            return _budgets(request, amounts=form, status=form.status)
        case "remove":
            remove_budget(_budget(request), by=actor)
            return _done(request, _("The budget is gone."))
    raise Malformed(_("Say what to do: add, change or remove."))


def _done(request: PageRequest, told: str) -> HttpResponseBase:
    messages.success(request, told)
    return _budgets(request, plain=True, oob=True) if request.htmx else redirect("web:org_budgets")


def _add(given: dict[str, Any], actor: Actor) -> None:
    feature = find_feature(given["feature"], actor) if given["feature"] else None
    user = _person(given["person"], actor) if given["whose"] == "one" else None
    add_budget(
        period=given["period"], soft=given["soft"], hard=given["hard"], feature=feature, user=user,
        each_user=given["whose"] == "each", by=actor,
    )  # fmt: skip


def _person(text: str, actor: Actor) -> Who:
    """A member by e-mail address, else a user by the key that the customer's software calls them by."""
    with actor.present():
        member = member_called(text) if "@" in text else None
    return member or subject_named(actor, text)


def _budget(request: PageRequest) -> Budget:
    return find_budget(id_in(request.POST.get("budget")), request.actor)


def _new(request: PageRequest, data: Any = None) -> BudgetForm:
    features = [(feature.key, feature.title) for feature in overview_of(request).features]
    return BudgetForm(data, features=features, initial={"whose": "all", "period": Budget.Period.MONTH})


def _budgets(
    request: PageRequest, *, form: Filled | None = None, amounts: Filled | None = None, status: int = 200,
    plain: bool = False, oob: bool = False,
) -> HttpResponseBase:  # fmt: skip
    with request.actor.present():
        found = spendings(budgets_of(request.actor))
        lines = budget_lines(found, request.actor)
    asked: Any = {} if plain else request.GET
    edited = next((one.budget for one in found if str(one.budget.id) == asked.get("edit")), None)
    if edited is not None and amounts is None:
        initial = {"soft": typed(edited.soft), "hard": typed(edited.hard)}
        amounts = AmountsForm(initial=initial, prefix="amounts")
    context = {
        "here": "usage", "lines": lines, "form": form or _new(request), "amounts": amounts, "oob": oob,
        "editing": str(edited.id) if edited else "", "confirm": asked.get("remove", ""),
    }  # fmt: skip
    return answer(request, BUDGETS, context, part="page", status=status)
