"""Use a feature: a form made from its input contract, and what comes of it."""

from statistics import median
from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.drawing import feature_page, line_of, money, view_of
from backend.web.forms import InputForm, blank_form, read_form
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import RunLine, Sample
from backend.web.reading import id_in
from backend.web.rendering import summary_line
from features.models import Feature
from features.runs.accept import accept
from features.runs.bells import ring
from features.runs.listing import my_runs
from features.runs.models import Run, State
from features.runs.taking import Asked
from features.samples import samples_for
from tenants.actor import Actor
from tenants.errors import AppError, NotFound

from .runs import found_run

EARLIER, SAMPLES = 6, 3


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def use(request: PageRequest, key: str) -> HttpResponseBase:
    """The form and the output side by side; `?run=` shows an earlier run, `?sample=` fills an example in."""
    feature = overview_of(request).feature(key)
    if request.method == "POST":
        return _draw(request, feature) if request.POST.get("act") == "draw" else _run(request, feature)
    run = _chosen(request, feature)
    context = _context(request, feature, run=run, sample=_place(request.GET.get("sample", "")))
    return answer(request, "web/use.html", {**context, "oob": bool(request.htmx)}, part="output")


def _draw(request: PageRequest, feature: Feature) -> HttpResponseBase:
    """The form with a draft in it that was kept on the person's device. Nothing of it is judged yet."""
    contract = overview_of(request).served(feature).effective.fields["input"]
    form = read_form(contract, dict(request.POST.lists())).without_problems()
    return answer(request, "web/use.html", _context(request, feature, form=form), part="form")


def _run(request: PageRequest, feature: Feature) -> HttpResponseBase:
    actor = request.actor
    contract = overview_of(request).served(feature).effective.fields["input"]
    form = read_form(contract, dict(request.POST.lists()))
    if form.problems:
        return _refused(request, feature, form, 422)
    try:
        run_id = accept(feature, form.value, asked=_asked(request), by=actor).run_id
    except AppError as error:
        told = {"title": error.title, "detail": error.detail, "request": request.id}
        form = form.with_problems(error.errors)
        return _refused(request, feature, form, error.status, None if form.problems else told)
    ring()
    here = f"{request.path}?run={run_id}"
    if not request.htmx:
        return redirect(here)
    context = _context(request, feature, form=form, run=found_run(run_id, actor))
    return answer(request, "web/use.html", {**context, "oob": True}, part="output", HX_Push_Url=here)


def _refused(
    request: PageRequest, feature: Feature, form: InputForm, status: int, error: dict[str, str] | None = None
) -> HttpResponseBase:
    context = {**_context(request, feature, form=form), "error": error}
    return answer(request, "web/use.html", context, part="form", status=status, HX_Retarget="#form")


def _context(
    request: PageRequest, feature: Feature, *, form: InputForm | None = None, run: Run | None = None,
    sample: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    actor = request.actor
    with actor.present():
        served = overview_of(request).served(feature)
        earlier = my_runs(actor, feature=feature, most=EARLIER)
        samples = [] if run or form else samples_for(served, SAMPLES)
        start: Any = run.input if run else samples[sample] if sample is not None and sample < len(samples) else None
        return {
            **feature_page(feature, served, actor),
            "form": form or blank_form(served.effective.fields["input"], start),
            "draft_key": f"input:{actor.tenant_id}:{actor.label}:{feature.key}",
            "samples": [Sample(place, summary_line(value, 50)) for place, value in enumerate(samples)],
            "may_run": "run.create" in actor.can,
            "usually": _usually(earlier),
            "earlier": [line_of(row) for row in earlier],
            "run": view_of(run, actor) if run else None,
            "asked": _asked(request),
            "error": None,
        }


def _asked(request: PageRequest) -> Asked:
    """What somebody asks of a run beside its input: that nothing of it is kept, that the model answers anew."""
    return Asked(store=request.POST.get("unstored") != "yes", fresh=request.POST.get("fresh") == "yes")


def earlier_of(feature: Feature, actor: Actor) -> list[RunLine]:
    """One's last runs of a feature, as they are listed under the form; within the actor's transaction."""
    return [line_of(row) for row in my_runs(actor, feature=feature, most=EARLIER)]


def _place(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else None


def _chosen(request: PageRequest, feature: Feature) -> Run | None:
    text = request.GET.get("run")
    if text is None:
        return None
    run = found_run(id_in(text), request.actor)
    if run.feature_id != feature.id:
        raise NotFound
    return run


def _usually(earlier: list[Run]) -> str:
    """How long and how dear the last runs were, from those that are listed anyway."""
    done = [run for run in earlier if run.state == State.SUCCEEDED and run.finished_at]
    if not done:
        return ""
    seconds = median((run.finished_at - run.created_at).total_seconds() for run in done if run.finished_at)
    cost = money(int(median(run.cost for run in done)))
    words = {"seconds": f"{seconds:.0f}" if seconds >= 1 else _("under 1"), "cost": cost}
    return (_("Usually %(seconds)s s, about %(cost)s") if cost else _("Usually %(seconds)s s")) % words
