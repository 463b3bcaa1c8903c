"""One's runs, for admins another's: the list, one in full with why it came out so, stopping it, rating it."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from backend.actors import subject_named
from backend.web.drawing import calls_of, feature_page, line_of, origins_of, view_of
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.reading import place_in
from backend.web.rendering import copy_text, render_output
from backend.web.searching import read_search
from features.people import Person, person_named
from features.released import released
from features.runs.accept import find_run
from features.runs.bells import ring
from features.runs.correcting import may_exemplify
from features.runs.finish import cancel
from features.runs.finish import rate as keep_rating
from features.runs.models import Run, State
from features.runs.receipts import served_by
from features.runs.replay import On, replay
from features.runs.seeking import sought_runs
from tenants.actor import Actor
from tenants.errors import Conflict, Malformed, NotFound
from tenants.people import names_of

PAGE = 30
NOTE = 2000  # characters that one says of an output at most, as by the API
FILES = {"txt": "text/plain", "json": "application/json"}


def found_run(run_id: UUID, actor: Actor) -> Run:
    """A run that the actor may see. Raises NotFound, which says the same of a missing one and another's."""
    run = find_run(run_id, actor)
    if run is None:
        raise NotFound
    return run


@require_safe
@for_members
def runs(request: PageRequest) -> HttpResponseBase:
    """My runs, newest first; `?feature=&state=&rating=&q=&since=` narrow it, `?before=` is the page of older ones.

    `?user=` are another's, for admins.
    """
    actor, asked, before = request.actor, request.GET, place_in(request.GET.get("before"))
    overview = overview_of(request)
    feature = overview.feature(asked["feature"]) if asked.get("feature") else None
    person = person_asked(asked.get("user"), actor)
    search = read_search(asked, feature)
    search = replace(search, sought=replace(search.sought, who=person.who if person else None))
    with actor.present():
        found = sought_runs(actor, search.sought, before=before, most=PAGE + 1)
        context: dict[str, Any] = {"here": "people" if person else "runs", "feature": None}
        context |= {"search": search.drawn(overview.features)}
        context |= {"person": person, "user": asked.get("user", "") if person else ""}
        if feature is not None and person is None:
            context |= feature_page(feature, overview.served(feature), actor)
    query = asked.copy()
    query.pop("before", None)
    newest = f"?{query.urlencode()}"
    query["before"] = str(found[PAGE - 1].id) if len(found) > PAGE else ""
    context |= {
        "lines": [line_of(run) for run in found[:PAGE]],
        "older_url": f"?{query.urlencode()}" if query["before"] else "",
        "later": before is not None,
        "newest_url": newest,
        "may_run": "run.create" in actor.can,
    }
    return answer(request, "web/runs.html", context, part="lines")


@require_safe
@for_members
def run(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """A run in full: what went in, what came out, and which layer decided each field of the behavior between."""
    actor = request.actor
    found = found_run(run_id, actor)
    with actor.present():
        now = overview_of(request).served(found.feature)
        then = served_by(found)
        mine, whose = found.subject_id == actor.acting_for().id, found.subject.key
        may = mine and "run.create" in actor.can and found.input is not None
        versions = sorted(released(found.feature, actor.tenant_id, now.who)) if may else []
        context = {
            **feature_page(found.feature, now, actor), "run": view_of(found, actor, then),
            "here": "runs" if mine else "people", "whose": "" if mine else whose,
            "name": "" if mine else names_of([whose], actor).get(whose, whose),
            "origins": origins_of(found, then, now), "may_replay": may, "replay_of": found.replay_of,
            "calls": calls_of(found), "versions": versions,
            "may_exemplify": mine and found.state == State.SUCCEEDED and may_exemplify(now, "user", actor),
        }  # fmt: skip
    return answer(request, "web/run.html", context)


@require_safe
@for_members
def download(request: PageRequest, run_id: UUID, form: str) -> HttpResponseBase:
    """An output as a file: `txt` as it is copied, `json` as it is. Raises NotFound for a run without one."""
    actor = request.actor
    found = found_run(run_id, actor)
    if found.output is None or form not in FILES:
        raise NotFound
    with actor.present():
        contract = served_by(found).effective.fields["output"]
    text = copy_text(render_output(found.output, contract))
    if form == "json":
        text = json.dumps(found.output, ensure_ascii=False, indent=2) + "\n"
    name = f"{found.feature.key}-{found.created_at:%Y-%m-%d-%H%M}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type=f"{FILES[form]}; charset=utf-8", headers=headers)


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
    """Ask a run's input again, as it was asked (`on=same`), as one is served now, or on a version; show the new run."""
    on = request.POST.get("on", "same")
    if on not in ("same", "current") and not (on.isascii() and on.isdecimal() and len(on) < 9):
        raise Malformed("Say same, current, or a version.")
    wanted: On = on if on in ("same", "current") else int(on)  # type: ignore[assignment]  # one of the two words
    accepted = replay(found_run(run_id, request.actor), wanted, by=request.actor)
    ring()
    return redirect("web:run", accepted.run_id)


@require_POST
@for_members
def rate(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """Say whether an output is right, and why if one likes. A correction that there is stays."""
    actor, verdict = request.actor, request.POST.get("verdict", "")
    if verdict not in ("good", "bad"):
        raise Malformed("Say good or bad.")
    found = found_run(run_id, actor)
    said = {**(found.feedback or {}), "verdict": verdict}
    if "note" in request.POST:
        said["note"] = request.POST["note"].replace("\0", "").strip()[:NOTE]
    keep_rating(found, said, by=actor)
    return _after(request, run_id, oob=False)


def _after(request: PageRequest, run_id: UUID, *, oob: bool) -> HttpResponseBase:
    """Answer the output as it stands now, with `oob` also the button; or without htmx go to where the run is shown."""
    actor = request.actor
    found = found_run(run_id, actor)
    if not request.htmx:
        return redirect("web:run", run_id)
    with actor.present():
        context = feature_page(found.feature, overview_of(request).served(found.feature), actor)
        context |= {"run": view_of(found, actor), "may_run": "run.create" in actor.can, "oob": oob}
    return answer(request, "web/use.html", context, part="output")


def person_asked(key: str | None, actor: Actor) -> Person | None:
    """Whose runs are asked for, where it is not one's own. Raises Forbidden and NotFound."""
    if not key:
        return None
    actor.need("run.others")
    return person_named(actor, subject_named(actor, key))
