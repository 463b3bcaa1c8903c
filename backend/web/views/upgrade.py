"""An upgrade: why one is still on the old version, what the new one would do, and deciding; for me or for all of us."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from backend.web.confirming import whole
from backend.web.drawing import feature_page
from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import Verdict
from backend.web.reading import id_in
from backend.web.telling import author_words
from backend.web.trying import INPUTS, place_of, trial_of
from backend.web.upgrading import Upgrading
from backend.web.waiting import conflicts_of_tenant
from features.actions.conflicts import Resolved, resolve
from features.actions.overrides import Expected, Layer, rollback_override
from features.actions.pins import Moved, pin, unpin
from features.models import Feature
from features.runs.preview import Wish, start_preview
from tenants.errors import AppError, Conflict, Forbidden, Invalid, Malformed, NotFound, Problem, Stale, TooMany
from tenants.people import names_of

TEMPLATE = "web/upgrade.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def upgrade(request: PageRequest, key: str, layer: Layer) -> HttpResponseBase:
    """The page of a layer; `?preview=` shows outputs side by side, and `&input=` which of them."""
    if layer == "tenant":
        request.actor.need("override.tenant")
    feature = overview_of(request).feature(key)
    if request.method != "POST":
        if "preview" in request.GET:
            return _trial(request, feature, layer, request.GET["preview"])
        return _show(request, Upgrading.of(feature, layer, request.actor))
    match request.POST.get("act"):
        case "look":
            return _look(request, feature, layer)
        case "take":
            return _take(request, feature, layer)
        case "try":
            return _try(request, feature, layer)
        case "undo":
            return _undo(request, feature, layer)
    raise Malformed("Say what to do: look, take, try or undo.")


@require_safe
@for_members
def conflicts(request: PageRequest) -> HttpResponseBase:
    """Every feature on which the organisation's own changes wait for a decision."""
    request.actor.need("override.tenant")
    context = {"here": "conflicts", "lines": conflicts_of_tenant(overview_of(request))}
    return answer(request, "web/conflicts.html", context)


def _look(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    """Rehearse what the form decides, and say what it comes to before it is done."""
    page = Upgrading.of(feature, layer, request.actor, request.POST.dict())
    try:
        verdict, _resolved, _moved = _rehearse(page, request)
    except (Invalid, Stale, NotFound, Conflict) as error:
        return _refused(request, page, error)
    return _show(request, page, verdict=verdict, part="decision")


def _take(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    """Decide, and follow. What was looked at and what comes of it now must be the same behavior."""
    actor = request.actor
    page = Upgrading.of(feature, layer, actor, request.POST.dict())
    try:
        verdict, resolved, moved = _rehearse(page, request)
        if verdict.after != request.POST.get("after", ""):
            return _show(request, page, verdict=_anew(page, resolved, verdict), part="decision")
        before = page.found.row
        if resolved is not None:
            resolve(feature, layer, page.decisions(), **_expected(page, request), by=actor)
        if moved is not None:
            unpin(feature, layer, by=actor)
    except (Invalid, Stale, NotFound, Conflict) as error:
        return _refused(request, page, error)
    done = _done(page, verdict)
    messages.success(request, done)
    if not request.htmx:
        return redirect(request.path)
    fresh = Upgrading.of(feature, layer, actor)
    undo: dict[str, Any] | None = None
    if resolved is not None and before is not None and moved is None and fresh.found.row is not None:
        undo = {"revision": before.number, "etag": fresh.found.row.etag}
    ended = page.found.before.choice.pin
    if moved is not None and resolved is None and ended is not None and ended.kind == "base":
        undo = {"version": page.old}
    return _show(request, fresh, undo=undo, whole=True)


def _undo(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    """Back to the revision, or the stay, of before."""
    actor, post = request.actor, request.POST
    page = Upgrading.of(feature, layer, actor)
    try:
        if "version" in post:
            pin(feature, layer, kind="base", version=whole(post["version"]), by=actor)
        else:
            expected = Expected(etag=post.get("etag", ""))
            rollback_override(feature, layer, whole(post.get("revision")), expected=expected, by=actor)
    except (Invalid, Stale, NotFound) as error:
        return _refused(request, page, error)
    fresh = Upgrading.of(feature, layer, actor)
    messages.success(request, _("It is as it was before, on version %(n)d.") % {"n": fresh.old})
    return _show(request, fresh, whole=True) if request.htmx else redirect(request.path)


def _rehearse(page: Upgrading, request: PageRequest) -> tuple[Verdict, Resolved | None, Moved | None]:
    """Decide and follow without keeping it. Raises Forbidden, Invalid for what is not decided, and Stale."""
    if not page.may:
        raise Forbidden(_("There is nothing here for you to decide."))
    decisions, pinned = page.decisions(), page.state == "pinned"
    if not decisions and not pinned:
        undecided = [Problem(f"/fields/{item.field}", "undecided", _("Choose one of these.")) for item in page.open]
        raise Invalid(_("Decide at least one of them first."), errors=undecided)
    resolved = moved = None
    with page.actor.rehearsing():  # one after the other, as they are done then
        if decisions:
            resolved = resolve(page.feature, page.layer, decisions, **_expected(page, request), by=page.actor)
        if pinned:
            moved = unpin(page.feature, page.layer, by=page.actor)
    done = moved or resolved
    assert done is not None
    return page.verdict(resolved, done.after.digest, done.after.base), resolved, moved


def _expected(page: Upgrading, request: PageRequest) -> dict[str, Any]:
    """What the person had before their eyes: the revision and the version."""
    version = whole(request.POST.get("version"))
    return {"expected": Expected(etag=request.POST.get("etag", "")), "version": version}


def _anew(page: Upgrading, resolved: Resolved | None, verdict: Verdict) -> Verdict:
    return page.verdict(resolved, verdict.after, page.new if verdict.takes else page.old, anew=True)


def _try(request: PageRequest, feature: Feature, layer: Layer) -> HttpResponseBase:
    """Answer one's last inputs with both behaviors, in workers. Only when asked, since it costs."""
    actor = request.actor
    page = Upgrading.of(feature, layer, actor, request.POST.dict())
    try:
        decisions = page.decisions() if page.may and page.state != "pinned" else {}
        decided = bool(decisions) and all(item.field in decisions for item in page.open if item.rebased.holds)
        wish = Wish(resolve=decisions) if decided and "hold" not in decisions.values() else Wish(version=page.new)
        preview = start_preview(feature, layer, wish, recent=INPUTS, by=actor)
    except (Invalid, TooMany, Conflict, NotFound) as error:
        told = " ".join(one.message for one in error.errors if one.rule not in ("cost", "none"))
        words = {"title": error.detail, "detail": told}
        context = {**_base(request, page), "trial_error": words}
        return answer(request, TEMPLATE, context, part="trial", status=error.status)
    if not request.htmx:
        return redirect(f"{request.path}?preview={preview.id}")
    return _trial(request, feature, layer, str(preview.id))


def _trial(request: PageRequest, feature: Feature, layer: Layer, text: str) -> HttpResponseBase:
    page = Upgrading.of(feature, layer, request.actor)
    number, address = place_of(request.GET.get("input", "")), f"{request.path}?preview="
    trial = trial_of(id_in(text), number, page.found.after, request.actor, address=address)
    return answer(request, TEMPLATE, {**_base(request, page), "trial": trial}, part="trial")


def _refused(request: PageRequest, page: Upgrading, error: AppError) -> HttpResponseBase:
    """Say what is wrong beside what it is about, and keep what was chosen and typed. Stale: both sides are shown."""
    problems = page.problems_of(error)
    general = " ".join(problems.pop("", [])) or ("" if problems else error.detail)
    if isinstance(error, Stale):
        general = _who_saved(page, error)
    fields = {item.field for item in page.open}
    general = " ".join([general, *(" ".join(told) for field, told in problems.items() if field not in fields)]).strip()
    shown = page.page(problems, general)
    context = {**_base(request, page), "upgrade": shown}
    return answer(request, TEMPLATE, context, part="upgrade", status=error.status, HX_Retarget="#upgrade")


def _who_saved(page: Upgrading, error: Stale) -> str:
    if "version" in error.extra:
        told = _("The vendor has moved on to version %(n)d while you were deciding.") % {"n": error.extra["version"]}
    elif (row := page.found.row) is not None:
        with page.actor.present():
            names = names_of([row.author], page.actor)
        who = author_words(row.author, names, page.actor)
        told = _("%(who)s saved revision %(n)d while you were deciding.") % {"who": who, "n": row.number}
    else:
        told = error.detail
    return told + " " + _("What you chose and typed is kept below, beside what is there now.")


def _done(page: Upgrading, verdict: Verdict) -> str:
    words = {"n": page.new, "feature": page.feature.title, "tenant": page.actor.in_tenant().name, "old": page.old}
    if not verdict.takes or page.new == page.old:
        told = _("The decisions are saved.")
    elif page.layer == "user":
        told = _("You are on version %(n)d of %(feature)s.") % words
    else:
        told = _("%(tenant)s is on version %(n)d of %(feature)s.") % words
    reach = _("Nobody else was changed.") if page.layer == "user" else _(
        "It reaches everyone at %(tenant)s who has not chosen otherwise.") % words  # fmt: skip
    return f"{told} {reach}"


def _base(request: PageRequest, page: Upgrading) -> dict[str, Any]:
    actor = request.actor
    with actor.present():
        context = feature_page(page.feature, overview_of(request).served(page.feature), actor)
    return {**context, "layer": page.layer, "upgrade": page.page(), "inputs": INPUTS, "trial": None,
            "may_try": "run.create" in actor.can,
            "draft_key": f"decide:{actor.tenant_id}:{actor.label}:{page.layer}:{page.feature.key}"}  # fmt: skip


def _show(
    request: PageRequest, page: Upgrading, *, verdict: Verdict | None = None, undo: dict[str, Any] | None = None,
    part: str = "upgrade", whole: bool = False,
) -> HttpResponseBase:  # fmt: skip
    """Draw the page or a part; `whole` for htmx too, where the menu and the tabs have changed as well."""
    context = {**_base(request, page), "verdict": verdict, "undo": undo}
    if not whole:
        return answer(request, TEMPLATE, context, part=part)
    return answer(request, TEMPLATE, context, HX_Retarget="body", HX_Reswap="innerHTML show:window:top")
