"""The vendor's house: which models aliases mean and what they cost, and how the machinery is."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.api.health import parts_away
from backend.web.confirming import whole
from backend.web.filled import EndForm, Filled, TargetForm
from backend.web.housekeeping import alias_lines, other_targets, reach_words
from backend.web.pages import PageRequest, answer, for_people
from features.actions.targets import (
    OfAlias,
    Remapped,
    add_target,
    end_target,
    keep_target,
    point_alias,
    rehearse_target,
    target_of,
    targets_by_alias,
)
from features.runs.health import health
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound

MODELS = "web/vendor_models.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def models(request: PageRequest) -> HttpResponseBase:
    """Aliases and their targets. `?confirm=point|end|keep&alias=&revision=` says whom an act would reach."""
    request.actor.need("model.manage")
    if request.method == "POST":
        return _act(request)
    asked = request.GET
    if not asked.get("confirm"):
        return _models(request)
    act, alias, revision = asked["confirm"], asked.get("alias", ""), whole(asked.get("revision"))
    found = targets_by_alias(request.actor)
    others = other_targets(found, alias, revision) if act == "end" else []
    given = {"ends": None, "replacement": others[0][0] if others else None}
    try:
        done = _carried_out(act, alias, revision, request, given, dry_run=True)
    except (Conflict, Invalid, NotFound) as refused:
        return _models(request, found, refused=refused)
    confirm = {"act": act, "alias": alias, "revision": revision, "reach": reach_words(done)}
    return _models(request, found, confirm={**confirm, "form": EndForm(others=others) if act == "end" else None})


def _act(request: PageRequest) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    act = post.get("act", "")
    if act not in ("add", "look"):
        return _moved(request, act, post.get("alias", ""), whole(post.get("revision")))
    form = TargetForm(post)
    with form.trying():
        if act == "look":
            return _models(request, form=form, reach=reach_words(rehearse_target(**form.target(), by=actor)))
        target = add_target(**form.target(), by=actor)
        told = _("%(alias)s means %(model)s from the next run on.") % {"alias": target.alias, "model": target.model}
        messages.success(request, told)
        return redirect("web:vendor_models")
    return _models(request, form=form, status=form.status)


def _moved(request: PageRequest, act: str, alias: str, revision: int) -> HttpResponseBase:
    """Point an alias to one of its targets, end one, or serve one again."""
    found = targets_by_alias(request.actor) if act == "end" else []
    form = EndForm(request.POST, others=other_targets(found, alias, revision))
    if act == "end" and not form.is_valid():
        return _end_again(request, alias, revision, form, 422)
    try:
        done = _carried_out(act, alias, revision, request, form.cleaned_data if act == "end" else {})
    except Invalid as error:
        form.refuse(error)
        return _end_again(request, alias, revision, form, error.status)
    except (Conflict, NotFound) as refused:
        return _models(request, refused=refused, status=refused.status)
    told = _("Done: %(alias)s, target %(n)d.") % {"alias": done.target.alias, "n": done.target.revision}
    messages.success(request, told)
    return redirect("web:vendor_models")


def _end_again(request: PageRequest, alias: str, revision: int, form: EndForm, status: int) -> HttpResponseBase:
    """The question of an end once more, with what is wrong beside what was typed."""
    reach = reach_words(target_of(alias, revision, request.actor))
    confirm = {"act": "end", "alias": alias, "revision": revision, "reach": reach, "form": form}
    return _models(request, confirm=confirm, status=status)


def _carried_out(
    act: str, alias: str, revision: int, request: PageRequest, given: dict[str, Any], *, dry_run: bool = False
) -> Remapped:
    match act:
        case "point":
            return point_alias(alias, revision, by=request.actor, dry_run=dry_run)
        case "end":
            at, stand_in = given["ends"], given.get("replacement")
            return end_target(alias, revision, at=at, replacement=stand_in, by=request.actor, dry_run=dry_run)
        case "keep":
            return keep_target(alias, revision, by=request.actor, dry_run=dry_run)
    raise Malformed(_("Say what to do: add, look, point, end or keep."))


def _models(
    request: PageRequest, found: Sequence[OfAlias] | None = None, *, form: Filled | None = None, confirm: Any = None,
    reach: Any = None, refused: AppError | None = None, status: int = 200,
) -> HttpResponseBase:  # fmt: skip
    aliases = alias_lines(targets_by_alias(request.actor) if found is None else found, request.actor)
    context = {
        "here": "models", "aliases": aliases, "form": form or TargetForm(), "confirm": confirm,
        "reach": reach, "refused": refused, "currency": settings.CURRENCY,
    }  # fmt: skip
    return answer(request, MODELS, context, part="page", status=refused.status if refused else status)


@require_safe
@for_people
def system(request: PageRequest) -> HttpResponseBase:
    """Queue, workers and what they stand on, renewed while one looks."""
    request.actor.need("usage.vendor")
    context = {"here": "system", "health": health(), "away": parts_away()}
    return answer(request, "web/vendor_system.html", context, part="health")
