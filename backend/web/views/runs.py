"""One's runs: the list, one in full with why it came out so, stopping it, rating it."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from backend.web.drawing import feature_page, line_of, origins_of, view_of
from backend.web.pages import PageRequest, answer, for_members
from features.find import find_feature
from features.resolve import serve_warm
from features.runs.accept import find_run
from features.runs.dispatch import ring
from features.runs.finish import cancel
from features.runs.finish import rate as keep_rating
from features.runs.listing import my_runs
from features.runs.models import Run
from features.runs.replay import replay
from tenants.actor import Actor
from tenants.errors import Conflict, Malformed, NotFound

PAGE = 30


def found_run(run_id: UUID, actor: Actor) -> Run:
    """A run that the actor may see. Raises NotFound, which says the same of a missing one and another's."""
    run = find_run(run_id, actor)
    if run is None:
        raise NotFound
    return run


@require_safe
@for_members
def runs(request: PageRequest) -> HttpResponseBase:
    """My runs, newest first; `?feature=` of one feature, `?before=` the page of older ones."""
    actor, key, before = request.actor, request.GET.get("feature"), _id(request.GET.get("before"))
    feature = find_feature(key, actor) if key else None
    with actor.present():
        found = my_runs(actor, feature=feature, before=before, most=PAGE + 1)
        context: dict[str, Any] = {"here": "runs", "feature": None}
        if feature is not None:
            context |= feature_page(feature, serve_warm(feature, actor.tenant_id, actor.acting_for()), actor)
    query = request.GET.copy()
    query["before"] = str(found[PAGE - 1].id) if len(found) > PAGE else ""
    context |= {
        "lines": [line_of(run) for run in found[:PAGE]],
        "older_url": f"?{query.urlencode()}" if query["before"] else "",
    }
    return answer(request, "web/runs.html", context, part="lines")


@require_safe
@for_members
def run(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """A run in full: what went in, what came out, and which layer decided each field of the behavior between."""
    actor = request.actor
    found = found_run(run_id, actor)
    with actor.present():
        now = serve_warm(found.feature, actor.tenant_id, actor.acting_for())
        mine = found.subject_id == actor.acting_for().id
        context = {
            "here": "runs", "run": view_of(found, actor), "origins": origins_of(found, now),
            "may_replay": mine and "run.create" in actor.can, "replay_of": found.replay_of,
        }  # fmt: skip
    return answer(request, "web/run.html", context)


@require_POST
@for_members
def stop(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """Stop a run. One that has ended meanwhile is simply shown."""
    actor = request.actor
    found = found_run(run_id, actor)
    with suppress(Conflict):  # it was quicker
        cancel(found, by=actor)
    return _after(request, run_id, oob=True)


@require_POST
@for_members
def again(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """Ask a run's input again on the behavior that it was asked with, and show the new run."""
    accepted = replay(found_run(run_id, request.actor), "same", by=request.actor)
    ring()
    return redirect("web:run", accepted.run_id)


@require_POST
@for_members
def rate(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """Say whether an output is right. A correction that was given through the API is kept."""
    actor, verdict = request.actor, request.POST.get("verdict", "")
    if verdict not in ("good", "bad"):
        raise Malformed("Say good or bad.")
    found = found_run(run_id, actor)
    keep_rating(found, {**(found.feedback or {}), "verdict": verdict}, by=actor)
    return _after(request, run_id, oob=False)


def _after(request: PageRequest, run_id: UUID, *, oob: bool) -> HttpResponseBase:
    """Answer the output as it stands now, with `oob` also the button; or without htmx go to where the run is shown."""
    actor = request.actor
    found = found_run(run_id, actor)
    if not request.htmx:
        return redirect("web:run", run_id)
    with actor.present():
        served = serve_warm(found.feature, actor.tenant_id, actor.acting_for())
        context = feature_page(found.feature, served, actor)
        context |= {"run": view_of(found, actor), "may_run": "run.create" in actor.can, "oob": oob}
    return answer(request, "web/use.html", context, part="output")


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Malformed("That is no page of this list.") from None
