"""Batches: many inputs of one feature at once, out of a file; how far they are, what became of each, the results."""

import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect

from backend.web.batching import (
    WORDS,
    columns,
    example_line,
    form_of,
    item_lines,
    line_of_batch,
    looked_over,
    output_names,
    refusal_lines,
    results_as_csv,
    sheet_of,
    view_of_batch,
)
from backend.web.drawing import feature_page
from backend.web.pages import PageRequest, answer, features_to_use, for_members, overview_of
from backend.web.parts import LookedOver
from backend.web.reading import number_in, place_in
from backend.web.tables import csv_answer
from features.models import Feature
from features.runs.batch_ends import cancel_batch
from features.runs.batches import batches_of, find_batch, take_batch
from features.runs.bells import ring
from features.runs.items import Body, Form
from features.runs.looking import look_over
from features.runs.models import Batch, State
from features.runs.progress import REFUSED, count, count_each, some_results
from features.runs.taking import Asked
from features.samples import samples_for
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound
from tenants.people import names_of

from .runs import person_asked

NEW, LIST, ONE = "web/batch_new.html", "web/batches.html", "web/batch.html"
PAGE, ITEMS, SAMPLES, HEAD = 20, 20, 3, 4096
SHOWS = {"wrong": (State.FAILED, REFUSED), "answered": (State.SUCCEEDED,), "all": ()}
_ONCE = re.compile(r"[0-9a-f]{32}")


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def new(request: PageRequest, key: str) -> HttpResponseBase:
    """A new batch: choose a file, see what it comes to and what it may cost, start it; `?format=csv` to fill one in."""
    feature = overview_of(request).feature(key)
    if request.method == "POST":
        return _given(request, feature)
    if request.GET.get("format") == "csv":
        contract, samples = _contract(request, feature)
        return csv_answer(f"{feature.key}-batch", "".join(sheet_of(contract, samples)))
    return _new(request, feature)


def _given(request: PageRequest, feature: Feature) -> HttpResponseBase:
    """Look a file over, or start the batch that was looked over."""
    name = "".join(request.POST.getlist("act")[-1:])  # a form's second button sends its own after the form's
    if name not in ("look", "start"):
        raise Malformed("Say what to do: look or start.")
    request.actor.need("run.create")
    try:
        file = _file(request)
        if name == "start":
            return _start(request, feature, file)
        looked = look_over(feature, _body(file), _form(file), by=request.actor)
    except AppError as error:
        status = 422 if isinstance(error, Malformed) else error.status  # it is the file that is wrong
        return _new(request, feature, error=error, status=status)
    contract, _samples = _contract(request, feature)
    return _new(request, feature, looked=looked_over(file.name or "", looked, contract))


def _start(request: PageRequest, feature: Feature, file: "UploadedFile[bytes]") -> HttpResponseBase:
    """Take in what was looked over, and nothing else. Raises what `take_batch` raises."""
    post, once = request.POST, request.POST.get("once", "")
    if not _ONCE.fullmatch(once):
        raise Malformed("Look at the file first.")
    if _body(file).digest() != post.get("seen"):
        raise Conflict(_("This is not the file that was looked at. Look at it first."))
    asked = Asked(store=post.get("unstored") != "yes", fresh=post.get("fresh") == "yes")
    taken = take_batch(
        feature, _body(file), _form(file), asked=asked, idempotency_key=f"page-{once}", by=request.actor
    )  # fmt: skip
    if not taken.replayed:
        ring()
    here = resolve_url("web:batch", taken.id)
    return HttpResponseClientRedirect(here) if request.htmx else redirect(here)


def _file(request: PageRequest) -> "UploadedFile[bytes]":
    given = request.FILES.get("file")
    if given is None or isinstance(given, list):
        raise Invalid(_("Choose a file first."))
    return given


def _body(file: "UploadedFile[bytes]") -> Body:
    """A file from its beginning, which is read piece by piece whatever its length."""
    file.seek(0)
    return Body(file.file, settings.BATCH_BYTES)  # type: ignore[arg-type]


def _form(file: "UploadedFile[bytes]") -> Form:
    file.seek(0)
    form = form_of(file.read(HEAD))
    file.seek(0)
    return form


def _contract(request: PageRequest, feature: Feature) -> tuple[Any, list[Any]]:
    """The input schema that one is served, and a few inputs of it."""
    with request.actor.present():
        served = overview_of(request).served(feature)
        return served.effective.fields["input"], samples_for(served, SAMPLES)


def _new(
    request: PageRequest, feature: Feature, *, looked: LookedOver | None = None, error: AppError | None = None,
    status: int = 200,
) -> HttpResponseBase:  # fmt: skip
    actor = request.actor
    contract, samples = _contract(request, feature)
    with actor.present():
        context = feature_page(feature, overview_of(request).served(feature), actor)
    context |= {
        "columns": columns(contract),
        "example": example_line(contract, samples),
        "may_run": "run.create" in actor.can,
        "most_bytes": settings.BATCH_BYTES,
        "looked": looked,
        "error": error,
        "wrong": refusal_lines(error, contract) if error else [],
        "typed": request.POST,
    }
    return answer(request, NEW, context, part="looked", status=status)


@require_safe
@for_members
def batches(request: PageRequest) -> HttpResponseBase:
    """One's batches, newest first; `?feature=`, `?before=` the page of older.

    For admins `?whose=all` everybody's, and `?user=` another's.
    """
    actor, asked, overview = request.actor, request.GET, overview_of(request)
    feature = overview.feature(asked["feature"]) if asked.get("feature") else None
    everybody = asked.get("whose") == "all" and "run.others" in actor.can
    before, person = place_in(asked.get("before")), person_asked(asked.get("user"), actor)
    of = person.who if person else None
    with actor.present():
        found = list(batches_of(actor, feature=feature, everybody=everybody, of=of, before=before)[: PAGE + 1])
        counts = count_each(found[:PAGE])
        names = names_of({row.author for row in found}, actor)
        context: dict[str, Any] = {"here": "runs", "feature": None}
        if feature is not None and person is None:
            context |= feature_page(feature, overview.served(feature), actor)
    query = asked.copy()
    query["before"] = str(found[PAGE - 1].id) if len(found) > PAGE else ""
    context |= {
        "lines": [line_of_batch(row, counts[row.pk], names, actor) for row in found[:PAGE]],
        "everybody": everybody,
        "person": person,
        "may_see_all": "run.others" in actor.can,
        "may_run": "run.create" in actor.can,
        "features": features_to_use(overview) if feature is None else [],
        "older_url": f"?{query.urlencode()}" if query["before"] else "",
        "later": before is not None,
    }
    return answer(request, LIST, context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def batch(request: PageRequest, batch_id: UUID) -> HttpResponseBase:
    """One batch as it goes; `?show=` wrong, answered or all items, `?after=` a place, `?confirm=cancel` asks first."""
    row = found_batch(batch_id, request)
    if request.method != "POST":
        return _one(request, row)
    if request.POST.get("act") != "cancel":
        raise Malformed("Say what to do: cancel.")
    try:
        cancel_batch(row, by=request.actor)
    except Conflict as error:
        return _one(request, row, refused=error)
    messages.success(request, _("Cancelled. What was answered by then is kept."))
    return redirect("web:batch", row.pk)


def found_batch(batch_id: UUID, request: PageRequest) -> Batch:
    """A batch that one may see. Raises NotFound, which says the same of a missing one and another's."""
    row = find_batch(batch_id, request.actor)
    if row is None:
        raise NotFound
    return row


def _one(request: PageRequest, row: Batch, *, refused: AppError | None = None) -> HttpResponseBase:
    actor, asked = request.actor, request.GET
    show, after = asked.get("show"), number_in(asked.get("after"))
    if show is not None and show not in SHOWS:
        raise Malformed("There are items of these kinds: wrong, answered, all.")
    overview = overview_of(request)
    with actor.present():
        now = count(row)
        wrong = now.failed + row.refused
        show = show or ("wrong" if wrong or now.left else "all")
        names = names_of({row.author}, actor)
        view = view_of_batch(row, now, names, actor)
        found = some_results(row, -1 if after is None else after, states=SHOWS[show], most=ITEMS + 1)
        contract = overview.served(row.feature).effective.fields["input"]
    context = {
        "here": "runs",
        "batch": view,
        "lines": item_lines(found[:ITEMS], contract),
        "words": {str(state): str(word) for state, word in WORDS.items()},
        "show": show,
        "shows": [("wrong", wrong), ("answered", now.succeeded), ("all", row.items)],
        "next_after": found[ITEMS - 1]["place"] if len(found) > ITEMS else None,
        "later": after is not None,
        "confirm": asked.get("confirm") == "cancel" and view.may_cancel and request.method != "POST",
        "live_url": f"{request.path}?show={show}" + (f"&after={after}" if after is not None else ""),
        "refused": refused,
    }
    return answer(request, ONE, context, status=refused.status if refused else 200)


@require_safe
@for_members
def results(request: PageRequest, batch_id: UUID) -> HttpResponseBase:
    """A batch's results as a sheet, in the order of its items, however many there are."""
    row = found_batch(batch_id, request)
    name = f"{row.feature.key}-{row.created_at:%Y-%m-%d-%H%M}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "private, no-store"}
    lines = results_as_csv(row, output_names(row, request.actor), request.actor, request)
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)
