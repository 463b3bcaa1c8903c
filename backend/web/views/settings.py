"""The organisation's policy: what its people may do, and what is kept of their runs; for admins."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.pages import PageRequest, answer, for_members
from backend.web.policy_form import PolicyForm
from backend.web.telling import author_words
from features.actions.policy import hold_policy, policy_now, set_policy
from features.models import Policy
from tenants.actor import Actor
from tenants.limits import requests_of_tenant, runs_of_tenant
from tenants.people import names_of

TEMPLATE = "web/settings.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def settings(request: PageRequest) -> HttpResponseBase:
    """Look at it, and change it: it counts at everybody's next request.

    What somebody else changed meanwhile stays; where both changed the same, they are asked (412).
    """
    request.actor.need("policy.manage")
    if request.method != "POST":
        return _show(request)
    form = PolicyForm(request.POST)
    with form.trying():
        form.given()
        if _saved(form, request.actor):
            messages.success(request, _("Saved. It counts at everybody's next request."))
            return _show(request, oob=True) if request.htmx else redirect("web:org_settings")
    return _show(request, form)


def _saved(form: PolicyForm, by: Actor) -> bool:
    """Lay what was changed over the policy, which nobody else changes meanwhile; False where both changed the same."""
    with by.present():
        hold_policy(by.tenant_id)
        row = policy_now()
        now, mine = _values(row), form.asked()
        seen = form.seen_values(now)
        changed = {name: value for name, value in mine.items() if value != seen.get(name)}
        clashing = [name for name, value in changed.items() if now[name] not in (seen.get(name), value)]
        if clashing:
            form.saved_meanwhile(clashing, changed, now, author_words(row.author, names_of([row.author], by), by))
            return False
        set_policy(**changed, by=by)
    return True


def _show(request: PageRequest, form: PolicyForm | None = None, *, oob: bool = False) -> HttpResponseBase:
    tenant = request.actor.in_tenant()
    with request.actor.present():
        policy = policy_now()
    limits = {"requests": requests_of_tenant(tenant), "runs": runs_of_tenant(tenant)}
    context = {"here": "settings", "form": form or PolicyForm.of(_values(policy)), "limits": limits, "oob": oob}
    return answer(request, TEMPLATE, context, part="page", status=form.status if form else 200)


def _values(policy: Policy) -> dict[str, Any]:
    """A policy as `set_policy` takes it."""
    return {name: getattr(policy, name) for name in ("users_may_pin", "users_may_override", "store", "retention_days")}
