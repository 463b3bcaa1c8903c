"""What I (or my organisation) was served and when; put it back as it was, stay on a version, follow again."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.confirming import rehearse, whole
from backend.web.drawing import feature_page
from backend.web.lanes import began, picture
from backend.web.moments import Past, past_of, then_of
from backend.web.pages import PageRequest, answer, for_members
from backend.web.parts import Picture
from backend.web.templatetags.b import exactly
from features.actions.overrides import Layer, whose
from features.actions.pins import Moved, pin, restore, unpin
from features.find import find_feature
from features.models import Feature
from features.runs.listing import counted_runs
from features.runs.models import Run
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound

from .runs import found_run

TEMPLATE = "web/timeline.html"
PIECES = 28  # into which the picture cuts its time to count runs


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def timeline(request: PageRequest, key: str, layer: Layer) -> HttpResponseBase:
    """The picture and the events, a chosen moment (`?at=` or `?run=`), and with `?confirm=` what an act would do."""
    if layer == "tenant":
        request.actor.need("override.tenant")
    feature = find_feature(key, request.actor)
    if request.method == "POST":
        return _act(request, feature, layer)
    return _show(request, feature, layer, request.GET)


def _show(
    request: PageRequest, feature: Feature, layer: Layer, asked: Mapping[str, str], *, error: AppError | None = None,
    done: dict[str, str] | None = None, status: int = 200, **headers: str,
) -> HttpResponseBase:  # fmt: skip
    actor = request.actor
    at, run = _moment(asked.get("at")), _run(request, feature, layer, asked.get("run"))
    before = _moment(request.GET.get("before"))
    confirmation = moment = None
    with actor.present():
        past = past_of(feature, layer, actor, before=before)
        try:
            if at or run:
                then = then_of(feature, layer, actor, at, run)
                moment = past.moment(then, run.created_at if run else at or then.at, run)
            if asked.get("confirm") and not done and not error:
                confirmation = rehearse(past, asked, at, run)
        except (NotFound, Conflict, Invalid) as refused:
            error, status = refused, refused.status
        older = past.history.older
        span = request.GET.get("span", "month")
        context = {
            **feature_page(feature, past.now, actor),
            "events": past.events(at),
            "stay": past.stay(),
            "moment": moment,
            "confirmation": confirmation,
            "done": done,
            "error": {"title": error.title, "detail": error.detail} if error else None,
            "older_url": f"?before={exactly(older)}" if older else "",
            "layer": layer,
            "picture": None if before else _picture(past, span, run.created_at if run else at),
            "oob": bool(request.htmx),
        }
    return answer(request, TEMPLATE, context, part="sides", status=status, **headers)


def _picture(past: Past, span: str, chosen: datetime | None) -> Picture:
    start, now = began(past, span), past.now.at
    who = whose(past.layer, past.actor)
    counted = counted_runs(past.actor.tenant_id, who, past.feature, start, now, PIECES) if start < now else []
    return picture(past, span=span, chosen=chosen, counted=counted)


def _act(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    try:
        match post.get("act"):
            case "restore":
                run = _run(request, feature, layer, post.get("run"))
                receipt = dict(run.receipt) if run else None
                moved = restore(feature, layer, at=_moment(post.get("at")), receipt=receipt, by=actor).moved
            case "pin":
                until = _until(post.get("until", ""))
                moved = pin(feature, layer, kind="base", version=whole(post.get("version")), until=until, by=actor)
            case "unpin":
                moved = unpin(feature, layer, by=actor)
            case _:
                raise Malformed("Say what to do: restore, pin or unpin.")
    except (NotFound, Conflict, Invalid) as error:
        return _show(request, feature, layer, {}, error=error, status=error.status)
    done = _done(feature, layer, moved, post.get("act", ""), request)
    if not request.htmx:
        messages.success(request, f"{done['strong']} {done['text']}")
        return redirect(request.path)
    return _show(request, feature, layer, {}, done=done, HX_Push_Url=request.path)


def _done(feature: Feature, layer: Layer, moved: Moved, act: str, request: PageRequest) -> dict[str, str]:
    with request.actor.present():
        letter = past_of(feature, layer, request.actor).letters.get(moved.after.digest, "")
    tenant = request.actor.in_tenant().name
    words = {"feature": feature.title, "letter": letter, "n": moved.after.base, "tenant": tenant}
    match act:
        case "restore":
            strong = _("%(feature)s is back to behavior %(letter)s.") if letter else _("%(feature)s is back as it was.")
        case "pin":
            mine, ours = (
                _("You stay on version %(n)d of %(feature)s."),
                _("%(tenant)s stays on version %(n)d of %(feature)s."),
            )
            strong = mine if layer == "user" else ours
        case _:
            mine = _("You follow the vendor again, at version %(n)d of %(feature)s.")
            ours = _("%(tenant)s follows the vendor again, at version %(n)d of %(feature)s.")
            strong = mine if layer == "user" else ours
    ours = _("It reaches everyone at %(tenant)s who has not chosen otherwise.") % words
    return {"strong": strong % words, "text": _("Nobody else was changed.") if layer == "user" else ours}


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Malformed("That is no moment.") from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _run(request: PageRequest, feature: Feature, layer: Layer, text: str | None) -> Run | None:
    """One's own run of this feature: what somebody else was served is not one's to go back to."""
    if not text or layer == "tenant":
        return None
    try:
        run = found_run(UUID(text), request.actor)
    except ValueError:
        raise NotFound from None
    if run.feature_id != feature.id or run.subject_id != request.actor.acting_for().id:
        raise NotFound
    return run


def _until(text: str) -> datetime | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:5]) <= 3650):
        raise Malformed("Say for how many days.")
    return timezone.now() + timedelta(days=int(text))
