"""Operators write versions: as YAML or in a form, checked as they type, tried on samples, published."""

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
from backend.web.writing import as_form, as_typed, begun, checked, filled, published, trial_parts
from features.actions.written import comments_in
from features.find import find_feature
from features.models import Feature
from features.runs.trying import SAMPLES, start_sample_preview
from tenants.errors import AppError, ApprovalNeeded, Conflict, Invalid, Malformed, NotFound, OverBudget, TooMany

from .approvals import asked_for

TEMPLATE = "web/vendor_edit.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def edit(request: PageRequest, key: str = "") -> HttpResponseBase:
    """Write the next version of a feature (`?from=n`: beginning with version n), or a new feature.

    `?as=form` shows it as a form. Both are one document, and what is typed goes along from one to the other.
    """
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
    written = begun(feature, start, request.actor)
    if request.GET.get("as") == "form":
        return _form(request, feature, written)
    return _show(request, checked(written, feature, request.actor))


def _act(request: PageRequest, feature: Feature | None) -> HttpResponseBase:
    post = request.POST
    start = whole(post.get("from")) if feature else None
    opened = begun(feature, start, request.actor)
    text = post.get("text", "").replace("\r\n", "\n")
    written = replace(opened, text=text, message=post.get("message", "").strip()[:500])
    if post.get("act") == "form":
        return _form(request, feature, written)
    if post.get("as") == "form":
        written = filled(written, dict(post.lists()), request.actor)
    match post.get("act"):
        case "check":
            return _show(request, checked(written, feature, request.actor), part="checked")
        case "draw" if written.form:
            return _show(request, checked(as_typed(written, request.actor), feature, request.actor))
        case "yaml":
            return _yaml(request, feature, written)
        case "try" if feature is not None:
            return _try(request, feature, written)
        case "publish" | "move" as how:
            return _publish(request, feature, written, move=how == "move")
    raise Malformed(_("Say what to do: check, try, publish, move, form or yaml."))


def _form(request: PageRequest, feature: Feature | None, written: Written) -> HttpResponseBase:
    """From the text to the form, once somebody knows that comments stay behind."""
    try:
        drawn = as_form(written, request.actor)
        comments = 0 if request.POST.get("sure") else comments_in(written.text)
    except Invalid as error:
        found = replace(checked(written, feature, request.actor), unheld=error.detail)
        return _show(request, found, status=error.status)
    if comments:
        return _show(request, replace(checked(written, feature, request.actor), comments=comments))
    return _show(request, checked(drawn, feature, request.actor), address=f"{_here(written)}as=form")


def _yaml(request: PageRequest, feature: Feature | None, written: Written) -> HttpResponseBase:
    """From the form to the text, unless no text could say what stands there."""
    found = checked(written if not written.whole else replace(written, form=None), feature, request.actor)
    if not written.whole:
        return _show(
            request, replace(found, unheld=_("Put right what is marked first: no text can say it.")), status=422
        )
    return _show(request, found, address=_here(written)[:-1])


def _here(written: Written) -> str:
    return f"?from={written.start}&" if written.key else "?"


def _publish(request: PageRequest, feature: Feature | None, written: Written, *, move: bool) -> HttpResponseBase:
    try:
        made, version = published(written, feature, move=move, by=request.actor)
    except ApprovalNeeded as asked:
        return asked_for(request, asked)
    except (Invalid, Conflict) as error:
        found = checked(as_typed(written, request.actor), feature, request.actor)
        return _show(request, replace(found, refused=error.detail), status=error.status)
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


def _show(
    request: PageRequest, written: Written, *, part: str = "page", status: int = 200, address: str | None = None
) -> HttpResponseBase:
    context = {"here": "vendor", "written": written, "trial": written.trial, "may_move": not written.rolling}
    there = {} if address is None else {"HX_Replace_Url": f"{request.path}{address}"}
    return answer(request, TEMPLATE, context, part=part, status=status, **there)
