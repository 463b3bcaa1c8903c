"""API keys: one's own, and for admins the organisation's. The text of a key is in the answer that makes it alone."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.key_lines import LASTS, ORGANISATION, Key, Place, own_place
from backend.web.pages import PageRequest, answer, for_members, for_people
from backend.web.parts import KeyLine
from backend.web.reading import id_in, moment_in, place_in
from tenants.actions import limit_key
from tenants.errors import AppError, Conflict, Forbidden, Invalid, Malformed, NotFound
from tenants.limits import requests_of_tenant, runs_of_tenant
from tenants.models import ApiKey

TEMPLATE = "web/keys.html"
LIMITS = ("requests_per_minute", "concurrent_runs")


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def my_keys(request: PageRequest) -> HttpResponseBase:
    """One's own keys, which act as oneself; operators' too. `?revoke=`, `?rotate=` a key's id ask before it is done."""
    return _page(request, own_place(request.actor))


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def org_keys(request: PageRequest) -> HttpResponseBase:
    """Every key of the organisation; here service keys are made, which act for its software's users."""
    request.actor.need("key.manage")
    return _page(request, ORGANISATION)


def _page(request: PageRequest, place: Place) -> HttpResponseBase:
    if request.method != "POST":
        return _show(request, place)
    try:
        match request.POST.get("act"):
            case "make":
                (row, text), made = _made(request, place), {}
            case "rotate":
                old = _key(request, place, request.POST.get("id"))
                row, text = place.rotate(old, moment_in(request.POST.get("until"), "until"), request.actor)
                made = {"rotated": place.find(request.actor, old.id)}
            case "revoke":
                return _revoked(request, place)
            case "limit":
                return _limited(request, place)
            case _:
                raise Malformed("Say what to do: make, rotate, limit or revoke.")
    except (Invalid, Conflict, Forbidden, NotFound) as error:
        return _show(request, place, error=error, status=error.status)
    shown = _show(request, place, made={"name": row.name, "text": text, **made})
    shown["Cache-Control"] = "no-store"
    return shown


def _made(request: PageRequest, place: Place) -> tuple[Key, str]:
    post = request.POST
    name = post.get("name", "").strip()
    if not 1 <= len(name) <= 100:
        raise Invalid(_("Say what the key is for, in at most 100 characters."))
    ends = moment_in(post.get("ends"), "expires")
    if ends is None and post.get("lasts") not in LASTS:
        raise Invalid(_("Choose how long the key lasts."))
    if ends is None and (days := LASTS[post["lasts"]]):
        ends = timezone.now() + timedelta(days=days)
    scopes = [scope for scope in place.scopes if scope in post.getlist("scope")]
    return place.make(name, scopes, ends, request.actor)


def _revoked(request: PageRequest, place: Place) -> HttpResponseBase:
    row = _key(request, place, request.POST.get("id"))
    place.revoke(row, request.actor)
    messages.success(request, _("“%(name)s” is revoked. It is refused from now on.") % {"name": row.name})
    return redirect(request.path) if not request.htmx else _show(request, place, oob=True)


def _limited(request: PageRequest, place: Place) -> HttpResponseBase:
    """Give a key lower limits than its organisation's, or by an empty box the organisation's again."""
    if place is not ORGANISATION:
        raise Forbidden(_("Limits are given where all keys of the organisation stand."))
    row = _key(request, place, request.POST.get("id"))
    given = {name: _limit(request.POST.get(name, "").strip()) for name in LIMITS}
    assert isinstance(row, ApiKey)  # an operator's stands elsewhere
    limit_key(row, given, by=request.actor)
    messages.success(request, _("Saved. It counts at the key's next request."))
    return redirect(request.path) if not request.htmx else _show(request, place, oob=True)


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:9]) >= 1 and len(text) < 9):
        raise Invalid(_("A limit is a whole number from 1, or empty for the organisation's."))
    return int(text)


def _show(
    request: PageRequest, place: Place, *, made: dict[str, Any] | None = None, error: AppError | None = None,
    status: int = 200, oob: bool = False,
) -> HttpResponseBase:  # fmt: skip
    actor, may_limit = request.actor, place is ORGANISATION
    opened = {verb: _opened(request, place, verb, error) for verb in ("revoke", "limits", "rotate")}
    context = {
        **place.context(request.actor, place_in(request.GET.get("before"))),
        "made": made,
        "going": opened["revoke"],
        "turned": opened["rotate"],
        "zone": timezone.get_current_timezone_name(),
        "may_limit": may_limit,
        "limits": opened["limits"] if may_limit else None,
        "most": (requests_of_tenant(actor.in_tenant()), runs_of_tenant(actor.in_tenant())) if may_limit else None,
        "error": error,
        "typed": request.POST if error else {},
        "chosen": request.POST.getlist("scope") if error else place.scopes[:2],
        "oob": oob,
    }
    return answer(request, TEMPLATE, context, part="keys", status=status)


def _opened(request: PageRequest, place: Place, verb: str, error: AppError | None) -> KeyLine | None:
    """The key whose form of a verb is open: by the address, or because what it sent was refused."""
    posted = error is not None and request.POST.get("act") == {"limits": "limit"}.get(verb, verb)
    asked = request.POST.get("id") if posted else request.GET.get(verb) if request.method != "POST" else None
    return place.line(_key(request, place, asked), request.actor) if asked else None


def _key(request: PageRequest, place: Place, text: str | None) -> Key:
    row: Key | None = place.find(request.actor, id_in(text))
    if row is None:
        raise NotFound
    return row
