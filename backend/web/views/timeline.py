"""What I (or my organisation) was served and when; put it back as it was, stay on a version, follow again."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.confirming import rehearse, whole
from backend.web.drawing import feature_page
from backend.web.lanes import began, picture
from backend.web.moments import Past, past_of, then_of
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import Picture
from backend.web.reading import id_in, moment_in
from backend.web.templatetags.b import exactly
from backend.web.trying import place_of, trial_of
from features.actions.overrides import Expected, Layer, whose
from features.actions.pins import Moved, etag_of, pin, pin_now, restore, restore_pin, unpin
from features.models import Feature
from features.runs.listing import counted_runs
from features.runs.models import Run
from features.runs.preview import Wish, start_preview
from tenants.errors import AppError, Conflict, Invalid, Malformed, NotFound, Stale, TooMany

from .runs import found_run

TEMPLATE = "web/timeline.html"
INPUTS = 10  # of one's last ones, on which the effect of an act is shown
REASON = 200  # characters
ASKED = ("confirm", "at", "run", "version")  # what an address says of an act
PIECES = 28  # into which the picture cuts its time to count runs


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def timeline(request: PageRequest, key: str, layer: Layer) -> HttpResponseBase:
    """The picture and the events, a chosen moment (`?at=` or `?run=`), and with `?confirm=` what an act would do."""
    if layer == "tenant":
        request.actor.need("override.tenant")
    feature = overview_of(request).feature(key)
    if request.method == "POST":
        return _act(request, feature, layer)
    return _show(request, feature, layer, request.GET)


def _show(
    request: PageRequest, feature: Feature, layer: Layer, asked: Mapping[str, str], *, error: AppError | None = None,
    done: dict[str, str] | None = None, trial_error: dict[str, str] | None = None, status: int = 200, **headers: str,
) -> HttpResponseBase:  # fmt: skip
    actor = request.actor
    at, run = _moment(asked.get("at")), _run(request, feature, layer, asked.get("run"))
    before = _moment(request.GET.get("before"))
    confirmation = moment = None
    with actor.present():
        overview = overview_of(request)
        head = feature_page(feature, overview.served(feature), actor)
        past = past_of(overview.served(feature, layer), layer, actor, before=before)
        try:
            if asked.get("confirm") and not done:
                confirmation = rehearse(past, asked, at, run)
        except (NotFound, Conflict, Invalid) as refused:
            error, status = refused, refused.status
        try:
            if (at or run) and confirmation is None:  # which says the same of the moment, and what would come of it
                then = then_of(feature, layer, actor, at, run)
                moment = past.moment(then, run.created_at if run else at or then.at, run)
        except (NotFound, Conflict, Invalid) as refused:
            error, status = refused, refused.status
        trial = None
        if confirmation and asked.get("preview"):
            address = f"{request.path}{confirmation.query}&preview="
            number = place_of(asked.get("input", ""))
            trial = trial_of(id_in(asked["preview"]), number, past.now, actor, address=address)
        older = past.history.older
        span = request.GET.get("span", "month")
        context = {
            **head,
            "events": past.events(at),
            "stay": past.stay(),
            "moment": moment,
            "confirmation": confirmation,
            "done": done,
            "error": {"title": error.title, "detail": error.detail} if error else None,
            "typed": request.POST if error else {},
            "zone": timezone.get_current_timezone_name(),
            "older_url": f"?before={exactly(older)}" if older else "",
            "layer": layer,
            "picture": None if before else _picture(past, span, run.created_at if run else at),
            "oob": bool(request.htmx),
            "trial": trial,
            "trial_error": trial_error,
            "may_try": "run.create" in actor.can,
            "inputs": INPUTS,
            "draft_key": f"stay:{actor.tenant_id}:{actor.label}:{layer}:{feature.key}",
        }
    return answer(request, TEMPLATE, context, part="sides", status=status, **headers)


def _picture(past: Past, span: str, chosen: datetime | None) -> Picture:
    start, now = began(past, span), past.now.at
    who = whose(past.layer, past.actor)
    counted = counted_runs(past.actor.tenant_id, who, past.feature, start, now, PIECES) if start < now else []
    return picture(past, span=span, chosen=chosen, counted=counted)


def _act(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    post, act = request.POST, request.POST.get("act", "")
    if act == "try":
        return _try(request, feature, layer)
    carry_out = ACTS.get(act)
    if carry_out is None:
        raise Malformed("Say what to do: restore, pin, unpin, undo or try.")
    try:
        moved = carry_out(request, feature, layer, post)
    except Invalid as error:  # what was typed can be mended in the form that it was typed in
        asked = {"confirm": act, **_asked(post)}
        return _show(request, feature, layer, asked, error=error, status=error.status)
    except (NotFound, Conflict, Stale) as error:
        return _show(request, feature, layer, {}, error=error, status=error.status)
    done = _done(feature, layer, moved, act, request)
    if not request.htmx:
        messages.success(request, f"{done['strong']} {done['text']}")
        return redirect(request.path)
    return _show(request, feature, layer, {}, done=done, HX_Push_Url=request.path)


def _restore(request: PageRequest, feature: Feature, layer: Layer, post: QueryDict) -> Moved:
    run = _run(request, feature, layer, post.get("run"))
    return restore(
        feature, layer, at=_moment(post.get("at")), receipt=dict(run.receipt) if run else None,
        run=run.pk if run else None, until=_until(post), reason=_reason(post), by=request.actor,
    ).moved  # fmt: skip


def _pin(request: PageRequest, feature: Feature, layer: Layer, post: QueryDict) -> Moved:
    until, version = _until(post), whole(post.get("version"))
    return pin(feature, layer, kind="base", version=version, until=until, reason=_reason(post), by=request.actor)


def _unpin(request: PageRequest, feature: Feature, layer: Layer, _post: QueryDict) -> Moved:
    return unpin(feature, layer, by=request.actor)


def _undo(request: PageRequest, feature: Feature, layer: Layer, post: QueryDict) -> Moved:
    """Take the last act back: the stay of before again, or without one follow. Raises Stale if it moved since."""
    expected = Expected(etag=post.get("now", ""))
    if not post.get("former"):
        return unpin(feature, layer, expected=expected, by=request.actor)
    with request.actor.present():
        if etag_of(pin_now(feature, whose(layer, request.actor))) != expected.etag:
            raise Stale(_("It has changed since: there is nothing to undo any more."))
        return restore_pin(feature, layer, id_in(post.get("former", "")), by=request.actor).moved


ACTS: dict[str, Callable[[PageRequest, Feature, Layer, QueryDict], Moved]] = {
    "restore": _restore, "pin": _pin, "unpin": _unpin, "undo": _undo,
}  # fmt: skip


def _try(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    """Answer one's last inputs with what is served now and with what would be. Only when asked, since it costs."""
    post, asked = request.POST, _asked(request.POST)
    wishes: dict[str, dict[str, Any]] = {
        "restore": {"restore": {"run": id_in(asked["run"])} if asked.get("run") else {"at": _moment(post.get("at"))}},
        "pin": {"pin": {"kind": "base", "version": whole(asked["version"]) if asked.get("version") else None}},
        "unpin": {},
    }
    wish = wishes.get(post.get("confirm", ""))
    if wish is None:
        raise Malformed("Say what to try: restore, pin or unpin.")
    try:
        preview = start_preview(feature, layer, Wish(**wish), recent=INPUTS, by=request.actor)
    except (Invalid, TooMany, Conflict, NotFound) as error:
        told = " ".join(one.message for one in error.errors if one.rule not in ("cost", "none"))
        words = {"title": error.detail, "detail": told}
        return _show(request, feature, layer, asked, trial_error=words, status=error.status)
    if not request.htmx:
        return redirect(f"{request.path}?{urlencode({**asked, 'preview': str(preview.id)})}")
    return _show(request, feature, layer, {**asked, "preview": str(preview.id)})


def _done(feature: Feature, layer: Layer, moved: Moved, act: str, request: PageRequest) -> dict[str, str]:
    with request.actor.present():
        past = past_of(overview_of(request).served(feature, layer), layer, request.actor)
    letter = past.letters.get(moved.after.digest, "")
    tenant = request.actor.in_tenant().name
    words = {"feature": feature.title, "letter": letter, "n": moved.after.base, "tenant": tenant}
    act = act if act != "undo" else "restore"
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
    told = {"strong": strong % words, "text": _("Nobody else was changed.") if layer == "user" else ours}
    former = str(moved.previous.pk) if moved.previous else ""
    if (moved.pin or former) and request.POST.get("act") != "undo":
        told |= {"undo": "yes", "former": former, "now": etag_of(moved.pin)}
    return told


def _reason(post: QueryDict) -> str:
    return post.get("reason", "").strip()[:REASON]


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the first day there is begins in the east before there was one
        raise Malformed("That is no moment.") from None


def _run(request: PageRequest, feature: Feature, layer: Layer, text: str | None) -> Run | None:
    """One's own run of this feature: what somebody else was served is not one's to go back to."""
    if not text or layer == "tenant":
        return None
    run = found_run(id_in(text), request.actor)
    if run.feature_id != feature.id or run.subject_id != request.actor.acting_for().id:
        raise NotFound
    return run


def _asked(post: QueryDict) -> dict[str, str]:
    return {name: str(post[name]) for name in ASKED if name in post}


def _until(post: QueryDict) -> datetime | None:
    """The end of a stay: the moment typed, else so many days from now; None for neither. Raises Invalid, Malformed."""
    ends, days = moment_in(post.get("ends"), "until"), post.get("until", "")
    if ends or not days:
        return ends
    if not (days.isascii() and days.isdecimal() and 0 < int(days[:5]) <= 3650):
        raise Malformed("Say for how many days.")
    return timezone.now() + timedelta(days=int(days))
