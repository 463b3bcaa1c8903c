"""Whom moves of a feature reach, for operators: what was asked so far, one of them in full, and a new question."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.web.looking import AskForm, impact_lines, legend_of, move_words
from backend.web.pages import PageRequest, answer, for_people
from backend.web.publishing import titles_for
from backend.web.reaching import impact_csv, impact_view
from backend.web.reading import place_in
from backend.web.tables import csv_answer
from features.find import find_feature
from features.impact import find_impact, impacts_of, look
from features.models import Feature
from features.published import read_published

LIST, ONE = "web/vendor_impacts.html", "web/vendor_impact.html"
PAGE = 30


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def impacts(request: PageRequest, key: str) -> HttpResponseBase:
    """A feature's impacts, the newest first, `?before=` an impact's id the older ones; and the form that asks."""
    request.actor.need("impact.read")
    feature = find_feature(key, request.actor)
    if request.method != "POST":
        return _list(request, feature)
    form = _form(request, feature, request.POST)
    with form.trying():
        return redirect("web:vendor_impact", look(feature, **form.question(), by=request.actor).id)
    return _list(request, feature, form)


def _form(request: PageRequest, feature: Feature, data: Any = None) -> AskForm:
    with request.actor.present():
        row = read_published(feature)
    versions = [version.number for version in row.versions]
    to = next((number for number in versions if number != row.current), row.current)
    return AskForm(data, versions=versions, initial={"to": to, "withdraw": row.current})


def _list(request: PageRequest, feature: Feature, form: AskForm | None = None) -> HttpResponseBase:
    form = form or _form(request, feature)
    place = place_in(request.GET.get("before"))
    with request.actor.present():
        rows = impacts_of(feature).order_by("-id")
        found = list((rows.filter(pk__lt=place) if place else rows)[: PAGE + 1])
        lines = impact_lines(found[:PAGE], request.actor)
    context = {
        "here": "vendor", "feature": feature, "lines": lines, "form": form,
        "legend": legend_of(lines),
        "older": lines[-1].id if len(found) > PAGE else "", "later": place is not None,
    }  # fmt: skip
    return answer(request, LIST, context, status=form.status)


@require_safe
@for_people
def impact(request: PageRequest, impact_id: UUID) -> HttpResponseBase:
    """One of them as a picture and a table; `?class=`, `?find=`, `?org=` narrow it, `?format=csv` takes it away."""
    actor = request.actor
    row = find_impact(impact_id, actor)
    if request.GET.get("format") == "csv":
        return csv_answer(f"impact-{row.feature.key}-{row.to}", impact_csv(row, actor))
    shown = impact_view(row, request.GET.dict(), actor, titles_for(row.feature, row.to, actor))
    with actor.present():
        line = impact_lines([row], actor)[0]
    context = {
        "here": "vendor", "feature": row.feature, "line": line, "impact": shown, "to": row.to,
        "title": _("%(feature)s: %(move)s") % {"feature": row.feature.title, "move": move_words(row)},
        "may_roll_out": row.kind == "look" and row.stage is None and "rollout.manage" in actor.can,
    }  # fmt: skip
    return answer(request, ONE, context, part="impact")
