"""An operator looks into an organisation that lets the vendor's support: its runs and behavior, until when, audited."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backend.actors import looking_in, subject_named
from backend.api.door import moment
from backend.web.drawing import calls_of, line_of, view_of
from backend.web.organisations import find_organisation
from backend.web.pages import PageRequest, answer, for_people
from backend.web.peopled import in_full
from backend.web.reading import place_in
from backend.web.searching import read_search
from features.actions.policy import policy_now
from features.availability import features_for
from features.find import find_feature
from features.models import Feature
from features.resolve import serve, serve_warm
from features.runs.listing import runs_of_all
from features.runs.models import Run
from features.runs.seeking import sought_runs
from tenants.actor import Actor
from tenants.models import Tenant
from tenants.subjects import MEMBER_PREFIX, Who, tenant_itself
from tenants.support import open_to_support

from .runs import found_run

LOOK, ONE_RUN, BEHAVIOR = "web/vendor_look.html", "web/vendor_look_run.html", "web/vendor_look_behavior.html"
PAGE = 30


def within(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page within an organisation: `view(request, by, seen, …)` with who looks, and what each such page is given.

    Without leave, or after it, the page says how the organisation gives it. Raises Forbidden without the role support.
    """

    @require_safe
    @for_people
    @wraps(view)
    def behind(request: PageRequest, /, slug: str, **named: Any) -> HttpResponseBase:
        request.actor.need("support.enter")
        found = open_to_support(slug)
        if found is None:
            closed = {"here": "tenants", "organisation": find_organisation(slug, request.actor), "until": None}
            return answer(request, LOOK, closed, status=403)
        tenant, until = found
        by = looking_in(request.actor, tenant, until, request)
        return view(request, by, _seen(tenant, until), **named)

    return behind


def _seen(tenant: Tenant, until: datetime) -> dict[str, Any]:
    return {"here": "tenants", "organisation": tenant, "until": until}


@within
def look(request: PageRequest, by: Actor, seen: dict[str, Any]) -> HttpResponseBase:
    """Everybody's runs, newest first; `?feature=`, `?state=`, `?rating=`, `?user=` narrow them, `?before=` goes on."""
    asked, place = request.GET, place_in(request.GET.get("before"))
    with by.present():
        features = list(features_for(by).order_by("title"))
        feature = next((one for one in features if one.key == asked.get("feature")), None)
        search = read_search({name: asked[name] for name in ("state", "rating") if name in asked}, feature)
        of = subject_named(by, asked["user"]) if asked.get("user") else None
        among = runs_of_all(by, of).select_related("subject")
        found = sought_runs(by, search.sought, before=place, most=PAGE + 1, among=among)
        policy = policy_now()
    query = asked.copy()
    query["before"] = str(found[PAGE - 1].id) if len(found) > PAGE else ""
    context = {
        **seen, "features": features, "search": search.drawn(features), "user": asked.get("user", ""), "policy": policy,
        "lines": [(line_of(run), run.subject.key, _whose(run, by)) for run in found[:PAGE]], "later": place is not None,
        "older_url": f"?{query.urlencode()}" if query["before"] else "",
    }  # fmt: skip
    return answer(request, LOOK, context)


@within
def run(request: PageRequest, by: Actor, seen: dict[str, Any], run_id: UUID) -> HttpResponseBase:
    """A run in full: what went in, what came out, and the calls that were made."""
    found = found_run(run_id, by)
    with by.present():
        context = {**seen, "run": view_of(found, by), "calls": calls_of(found)}
    context |= {"user": found.subject.key, "whose": _whose(found, by)}
    return answer(request, ONE_RUN, context)


@within
def behavior(request: PageRequest, by: Actor, seen: dict[str, Any], feature: str) -> HttpResponseBase:
    """What the organisation is served of a feature, or `?user=` somebody of it, and `?at=` was then, field by field."""
    found, at = find_feature(feature, by), moment(request.GET.get("at") or None)
    user = request.GET.get("user", "").strip()
    who = subject_named(by, user) if user else tenant_itself(by.tenant_id)
    context = {**seen, "feature": found, "user": user, "at": at, "looked": _looked(found, who, at, by)}
    return answer(request, BEHAVIOR, context)


def _whose(run: Run, by: Actor) -> str:
    """Whose run it is, as far as support is told: the organisation's own, a member's, or a user's by their key."""
    key = run.subject.key
    if run.subject_id == by.tenant_id:
        return by.in_tenant().name
    return _("a member") if key.startswith(MEMBER_PREFIX) else key


def _looked(feature: Feature, who: Who, at: datetime | None, by: Actor) -> Any:
    by.need("behavior.others")
    with by.present():
        now = serve_warm(feature, by.tenant_id, who)
        return in_full(now if at is None else serve(feature, by.tenant_id, who, at), today=now)
