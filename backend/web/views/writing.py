"""Operators write versions: YAML, checked as it is typed, tried on samples, published."""

from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from backend.actors import session_uuid
from backend.web.confirming import whole
from backend.web.pages import PageRequest, answer, for_people
from backend.web.parts import Trial, Written
from backend.web.trying import place_of, vendor_trial
from backend.web.writing import begun, checked, published, trial_parts
from features.find import find_feature
from features.models import Feature
from features.runs.trying import SAMPLES, start_sample_preview
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound, OverBudget, TooMany

TEMPLATE = "web/vendor_edit.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def edit(request: PageRequest, key: str = "") -> HttpResponseBase:
    """Write the next version of a feature (`?from=n`: beginning with version n), or a new feature."""
    request.actor.need("version.publish" if key else "feature.create")
    feature = find_feature(key, request.actor) if key else None
    if request.method == "POST":
        return _act(request, feature)
    preview = session_uuid(request.GET.get("preview")) if request.GET.get("preview") else None
    if preview is not None:
        place = place_of(request.GET.get("input", ""))
        trial: Trial = vendor_trial(preview, place, request.actor, address=_address(request))
        return answer(request, TEMPLATE, {"here": "vendor", "trial": trial, "written": None}, part="trial")
    start = whole(request.GET["from"]) if request.GET.get("from") else None
    return _show(request, checked(begun(feature, start, request.actor), feature, request.actor))


def _act(request: PageRequest, feature: Feature | None) -> HttpResponseBase:
    post = request.POST
    start = whole(post.get("from")) if feature else None
    opened = begun(feature, start, request.actor)
    text = post.get("text", "").replace("\r\n", "\n")
    written = replace(opened, text=text, message=post.get("message", "").strip()[:500])
    match post.get("act"):
        case "check":
            return _show(request, checked(written, feature, request.actor), part="checked")
        case "try" if feature is not None:
            return _try(request, feature, written)
        case "publish" | "move" as how:
            return _publish(request, feature, written, move=how == "move")
    raise Malformed(_("Say what to do: check, try, publish or move."))


def _publish(request: PageRequest, feature: Feature | None, written: Written, *, move: bool) -> HttpResponseBase:
    try:
        made, version = published(written, feature, move=move, by=request.actor)
    except (Invalid, Conflict) as error:
        found = replace(checked(written, feature, request.actor), refused=error.detail)
        return _show(request, found, part="page", status=error.status)
    words = {"feature": made.title, "n": version.number}
    if feature is None:
        told = _("%(feature)s is there, and runs.")
    elif move:
        told = _("Version %(n)d of %(feature)s is published and current.")
    else:
        told = _("Version %(n)d of %(feature)s is published. Nobody was moved.")
    messages.success(request, told % words)
    there = reverse("web:vendor_versions", args=[made.key])
    return HttpResponseClientRedirect(there) if request.htmx else redirect(there)


def _try(request: PageRequest, feature: Feature, written: Written) -> HttpResponseBase:
    """Run the vendor's own samples through what is written and through the version that it began from."""
    try:
        parts = trial_parts(written)
        preview = start_sample_preview(feature, **parts, before=written.start, samples=SAMPLES, by=request.actor)
        trial = vendor_trial(preview.id, None, request.actor, address=_address(request))
    except (Invalid, Conflict, NotFound, OverBudget, TooMany) as error:
        return _trial(request, written, error=error)
    return _trial(request, written, trial=trial)


def _address(request: PageRequest) -> str:
    return f"{request.path}?preview="


def _trial(
    request: PageRequest, written: Written, *, trial: Trial | None = None, error: AppError | None = None
) -> HttpResponseBase:
    if not request.htmx:
        return _show(request, replace(written, trial=trial), status=error.status if error else 200)
    context = {"here": "vendor", "written": written, "trial": trial, "trial_error": error}
    return answer(request, TEMPLATE, context, part="trial", status=error.status if error else 200)


def _show(request: PageRequest, written: Written, *, part: str = "page", status: int = 200) -> HttpResponseBase:
    context = {"here": "vendor", "written": written, "trial": written.trial, "may_move": not written.rolling}
    return answer(request, TEMPLATE, context, part=part, status=status)
