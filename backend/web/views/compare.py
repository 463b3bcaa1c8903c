"""Two runs side by side: what went in, what came out, which behavior answered, and what differs in each."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backend.web.differing import differences_of
from backend.web.drawing import changed_parts, receipt_of, view_of
from backend.web.pages import PageRequest, answer, for_members
from backend.web.parts import ComparedRuns, Difference, RunSide
from backend.web.rendering import render_output
from backend.web.trying import sides_of
from features.contents import titles_of
from features.engine import diff
from features.explain import hidden_between
from features.runs.models import Run, State
from features.runs.receipts import served_by
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Malformed

from .runs import found_run


@require_safe
@for_members
def compare(request: PageRequest) -> HttpResponseBase:
    """Compare `?a=` with `?b=`; the list sends two of `?run=`, of which the older comes first."""
    picked = request.GET.getlist("run")
    if len(picked) == 2:
        return redirect(f"{reverse('web:compare')}?{urlencode(dict(zip('ab', sorted(picked), strict=True)))}")
    first, second = (_found(request.GET.get(name, ""), request.actor) for name in "ab")
    with request.actor.present():
        context = {"here": "runs", "compared": _compared(first, second, request.actor)}
    return answer(request, "web/compare.html", context)


def _found(text: str, actor: Actor) -> Run:
    try:
        run_id = UUID(text)
    except ValueError:
        raise Malformed(_("Choose two runs to compare: tick them in the list.")) from None
    return found_run(run_id, actor)


def _compared(first: Run, second: Run, actor: Actor) -> ComparedRuns:
    before, after = served_by(first), served_by(second)
    inputs, outputs = after.effective.fields["input"], after.effective.fields["output"]
    one = first.feature_id == second.feature_id
    nodes = [render_output(run.output, outputs) if run.state == State.SUCCEEDED else () for run in (first, second)]
    return ComparedRuns(
        a=_side(first, before, actor, is_first=True),
        b=_side(second, after, actor),
        one_feature=one,
        same_input=first.input == second.input,
        given=changed_parts(first.input or {}, second.input or {}, inputs),
        same_output=first.output == second.output and first.state == second.state,
        sides=sides_of(*nodes),
        same_behavior=first.receipt["digest"] == second.receipt["digest"],
        behavior=_behavior(first, before, after) if one else (),
        address=f"?a={second.pk}&b={first.pk}",
    )


def _side(run: Run, served: Served, actor: Actor, *, is_first: bool = False) -> RunSide:
    view = view_of(run, actor, served)
    return RunSide(view, view.receipt or receipt_of(run), is_first)


def _behavior(run: Run, before: Any, after: Any) -> list[Difference]:
    """The fields that differ between what both were served; of a hidden one only that it does."""
    changes = diff(before.effective.fields, after.effective.fields)
    hidden = hidden_between(before, after, "user")
    titles = {**titles_of(run.feature, before.choice.base), **titles_of(run.feature, after.choice.base)}
    return differences_of(changes, hidden, titles, after.effective.fields["input"])
