"""Correct it: the output of a run as a form of its own; the correction is kept, and if wished as an example of mine."""

from urllib.parse import urlsplit
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.boxes import problem_words
from backend.web.drawing import changed_parts, feature_page, view_of
from backend.web.forms import InputForm, blank_form, read_form
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import Correcting
from backend.web.rendering import summary_line
from features.contents import titles_of
from features.runs.correcting import correct as keep_correction
from features.runs.correcting import may_exemplify, take_correction_back
from features.runs.models import Run, State
from features.runs.receipts import served_by
from features.served import Served
from tenants.errors import AppError, Conflict, Invalid, Malformed

from .runs import found_run
from .use import earlier_of

TEMPLATE = "web/use.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def correct(request: PageRequest, run_id: UUID) -> HttpResponseBase:
    """The output as a form; `act` says what to do with what was sent: save it, look what it changes, or draw it."""
    run = found_run(run_id, request.actor)
    request.actor.need("run.rate")
    if run.state != State.SUCCEEDED:
        raise Conflict(_("Only an output can be corrected, and this run has none."))
    with request.actor.present():
        then = served_by(run)
    contract = then.effective.fields["output"]
    if request.method != "POST":
        start = (run.feedback or {}).get("correction") or run.output
        return _show(request, run, blank_form(contract, start), then)
    form = read_form(contract, dict(request.POST.lists()))
    match request.POST.get("act"):
        case "save":
            return _save(request, run, form, then)
        case "look" | "draw":
            return _show(request, run, form.without_problems(), then)
        case "take-back":
            return _done(request, take_correction_back(run, by=request.actor), _("The correction is taken back."))
    raise Malformed("Say what to do: save, look, draw or take-back.")


def _save(request: PageRequest, run: Run, form: InputForm, then: Served) -> HttpResponseBase:
    """Keep the correction, and the example with it or neither."""
    if form.problems:
        return _show(request, run, form, then, status=422)
    example = summary_line(run.input, 40) if request.POST.get("example") == "yes" else None
    try:
        kept = keep_correction(run, form.value, example=example, by=request.actor)
    except Invalid as error:
        return _refused(request, run, form, then, error)
    told = _("The correction is kept with the run.")
    if example is not None:
        told = _("The correction is kept, and is an example of yours from your next run on.")
    return _done(request, kept, told)


def _refused(request: PageRequest, run: Run, form: InputForm, then: Served, error: AppError) -> HttpResponseBase:
    """Say what is wrong beside its control, or above the form where it is of the example."""
    within = "/correction"
    beside = [problem for problem in error.errors if problem.pointer.startswith(within)]
    with request.actor.present():
        titles = titles_of(run.feature, run.receipt["base"])
    others = [problem for problem in error.errors if problem not in beside]
    words = "" if beside else " ".join([error.detail, *problem_words(others, "", titles)])
    return _show(request, run, form.with_problems(beside, within), then, problem=words, status=error.status)


def _show(
    request: PageRequest, run: Run, form: InputForm, then: Served, *, problem: str = "", status: int = 200
) -> HttpResponseBase:
    """Draw the form beside what the run was served `then`."""
    actor, post = request.actor, request.POST
    with actor.present():
        now = overview_of(request).served(run.feature)
        mine = run.subject_id == actor.acting_for().id
        correcting = Correcting(
            form=form,
            change=changed_parts(run.output, form.value, then.effective.fields["output"]),
            may_exemplify=mine and run.input is not None and may_exemplify(now, "user", actor),
            example=request.method != "POST" or post.get("example") == "yes",
            problem=problem,
        )
        context = {**feature_page(run.feature, now, actor), "run": view_of(run, actor, then), "correcting": correcting}
    if request.htmx:
        return answer(request, TEMPLATE, context, part="output", status=status)
    return answer(request, "web/run.html", {**context, "here": "runs"}, status=status)


def _done(request: PageRequest, run: Run, told: str) -> HttpResponseBase:
    messages.success(request, told)
    if not request.htmx:
        return redirect(reverse("web:run", args=[run.pk]))
    actor = request.actor
    with actor.present():
        now = overview_of(request).served(run.feature)
        context = {**feature_page(run.feature, now, actor), "run": view_of(run, actor), "told": True}
        if urlsplit(request.htmx.current_url or "").path == reverse("web:use", args=[run.feature.key]):
            context["earlier"] = earlier_of(run.feature, actor)
    return answer(request, TEMPLATE, context, part="output")
