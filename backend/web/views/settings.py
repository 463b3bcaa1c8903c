"""The organisation's policy: what its people may do, and what is kept of their runs; for admins."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.filled import PolicyForm
from backend.web.pages import PageRequest, answer, for_members
from features.actions.policy import policy_now, set_policy
from features.models import Policy
from tenants.limits import requests_of_tenant, runs_of_tenant

TEMPLATE = "web/settings.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def settings(request: PageRequest) -> HttpResponseBase:
    """Look at it, and change it: it counts at everybody's next request."""
    request.actor.need("policy.manage")
    if request.method != "POST":
        return _show(request)
    form = PolicyForm(request.POST)
    with form.trying():
        given = form.given()
        set_policy(
            users_may_pin=given["days"] if given["pins"] == "days" else given["pins"], store=given["store"],
            users_may_override=given["users_may_override"], retention_days=given["retention_days"], by=request.actor,
        )  # fmt: skip
        messages.success(request, _("Saved. It counts at everybody's next request."))
        return _show(request, oob=True) if request.htmx else redirect("web:org_settings")
    return _show(request, form)


def _show(request: PageRequest, form: PolicyForm | None = None, *, oob: bool = False) -> HttpResponseBase:
    tenant = request.actor.in_tenant()
    with request.actor.present():
        policy = policy_now()
    limits = {"requests": requests_of_tenant(tenant), "runs": runs_of_tenant(tenant)}
    form = form or PolicyForm(initial=_initial(policy))
    context = {"here": "settings", "form": form, "limits": limits, "oob": oob}
    return answer(request, TEMPLATE, context, part="page", status=form.status)


def _initial(policy: Policy) -> dict[str, Any]:
    days = policy.users_may_pin if policy.users_may_pin.isdecimal() else ""
    return {
        "pins": "days" if days else policy.users_may_pin, "days": days, "store": policy.store,
        "users_may_override": policy.users_may_override, "retention_days": policy.retention_days,
    }  # fmt: skip
