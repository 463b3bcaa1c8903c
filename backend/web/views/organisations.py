"""Organisations, for operators: what each uses, a new one, its state and limits, and whether support may look."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.days import month_asked
from backend.web.filled import Filled
from backend.web.housekeeping import tenant_lines
from backend.web.jobs import erased_organisations
from backend.web.organisation_forms import EraseTenantForm, LimitsForm, NewTenantForm, StateForm
from backend.web.organisations import find_organisation, organisation_view
from backend.web.pages import PageRequest, answer, for_people
from features.resolve import clock
from tenants.actions import create_tenant, limit_tenant, login_for, set_tenant_state
from tenants.errors import Malformed
from tenants.isolation import OPERATOR
from tenants.models import Tenant, User
from tenants.privacy import confirmation, erase_tenant

LIST, ONE = "web/vendor_tenants.html", "web/vendor_tenant.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def organisations(request: PageRequest) -> HttpResponseBase:
    """Every organisation with what it used in a month (`?month=`): counts and money, never content; and a new one."""
    request.actor.need("tenant.list")
    request.actor.need("usage.vendor")
    if request.method != "POST":
        return _list(request, NewTenantForm())
    request.actor.need("tenant.create")
    form = NewTenantForm(request.POST)
    with form.trying():
        given = form.given()
        with request.actor.present():  # without the organisation no login for its owner either
            owner = login_for(given["owner"])
            create_tenant(slug=given["slug"], name=given["name"], owner=owner, by=request.actor)
        messages.success(request, _told_to(owner) % given)
        return redirect("web:vendor_tenant", given["slug"])
    return _list(request, form)


def _told_to(owner: User) -> str:
    """What an operator is told of a new organisation: its owner gets no mail, and a new one has no password yet."""
    if owner.has_usable_password():
        return _("%(name)s is there. %(owner)s owns it, and signs in as before.")
    return _("%(name)s is there. Tell %(owner)s, who owns it, to choose a password by “Forgot your password?” here.")


def _list(request: PageRequest, form: Filled) -> HttpResponseBase:
    month = month_asked(request.GET.get("month"), clock(OPERATOR).date())
    may = "tenant.create" in request.actor.can
    context = {
        "here": "tenants", "page": tenant_lines(month, request.actor), "form": form, "may_create": may,
        "erasures": erased_organisations(request.actor),
    }  # fmt: skip
    return answer(request, LIST, context, status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def organisation(request: PageRequest, slug: str) -> HttpResponseBase:
    """One of them: its state, its limits, leave for support; closed, it can be erased."""
    request.actor.need("tenant.list")
    tenant = find_organisation(slug, request.actor)
    if request.method != "POST":
        return _one(request, tenant)
    act = request.POST.get("act", "")
    if act not in FORMS:
        raise Malformed("Say what to do: state, limits or erase.")
    request.actor.need(f"tenant.{act}")
    form = FORMS[act](request.POST)
    with form.trying():
        messages.success(request, _acted(act, tenant, form.given(), request))
        return redirect(request.path)
    return _one(request, tenant, {act: form}, status=form.status)


FORMS: dict[str, type[Filled]] = {"state": StateForm, "limits": LimitsForm, "erase": EraseTenantForm}


def _acted(act: str, tenant: Tenant, given: dict[str, Any], request: PageRequest) -> str:
    match act:
        case "state":
            set_tenant_state(tenant, given["state"], reason=given["reason"].strip(), by=request.actor)
        case "limits":
            limit_tenant(tenant, given, by=request.actor)
        case _:
            erase_tenant(tenant, confirm=given["confirm"].strip(), by=request.actor)
            return _("It is being erased, all of it.")
    return _("Saved. It counts from everybody's next request.")


def _one(
    request: PageRequest, tenant: Tenant, typed: dict[str, Filled] | None = None, *, status: int = 200
) -> HttpResponseBase:
    limits = {"requests_per_minute": tenant.requests_per_minute, "concurrent_runs": tenant.concurrent_runs}
    forms = {
        "state": StateForm(initial={"state": tenant.state}), "limits": LimitsForm(initial=limits),
        "erase": EraseTenantForm(), **(typed or {}),
    }  # fmt: skip
    may = {verb: f"tenant.{verb}" in request.actor.can for verb in ("state", "limits", "erase")}
    may["look"] = "support.enter" in request.actor.can
    context = {
        "here": "tenants", "one": organisation_view(tenant, request.actor), "forms": forms, "may": may,
        "confirmation": confirmation(tenant),
    }  # fmt: skip
    return answer(request, ONE, context, status=status)
