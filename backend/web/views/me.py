"""What is one's own: name and time zone, the locks of one's login, where one is signed in, leaving."""

from functools import lru_cache
from zoneinfo import available_timezones

from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.sessions import end_others, sessions_of
from backend.web.pages import PageRequest, answer, for_people
from tenants.actions import change_profile, leave
from tenants.errors import AppError, Conflict, Invalid, Malformed

TEMPLATE = "web/me.html"


@lru_cache(maxsize=32)
def zone_options(chosen: str) -> SafeString:
    """The time zones that this machine knows, as options; hundreds, each found in a file, so rarely made anew."""
    zones = ((SafeString(" selected" if zone == chosen else ""), zone) for zone in sorted(available_timezones()))
    return format_html_join("", "<option{}>{}</option>", zones)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def me(request: PageRequest) -> HttpResponseBase:
    """All of it on one page. `?leave=yes` asks before one leaves the organisation."""
    if request.method == "POST":
        return _act(request)
    return _show(request)


def _act(request: PageRequest) -> HttpResponseBase:
    post = request.POST
    try:
        match post.get("act"):
            case "profile":
                change_profile(request.user, name=post.get("name", "").strip()[:200], time_zone=post.get("zone", ""))
                told = _("Saved.")
            case "end-sessions":
                end_others(request, request.user)
                told = _("You are signed out everywhere but here.")
            case "leave":
                told = _("You have left %(name)s.") % {"name": request.actor.in_tenant().name}
                leave(by=request.actor)
            case _:
                raise Malformed("Say what to do: profile, end-sessions or leave.")
    except (Invalid, Conflict) as error:
        return _show(request, error=error, status=error.status)
    messages.success(request, told)
    return redirect("web:home" if post.get("act") == "leave" else "web:me")


def _show(request: PageRequest, *, error: AppError | None = None, status: int = 200) -> HttpResponseBase:
    user, actor = request.user, request.actor
    sessions = sessions_of(request, user)
    context = {
        "here": "me",
        "tab": "me",
        "person": user,
        "zones": zone_options(user.time_zone),
        "second_factor": is_mfa_enabled(user),
        "required": actor.tenant is not None and actor.tenant.require_mfa,
        "sessions": sessions,
        "elsewhere": len(sessions) > 1,
        "may_leave": "member.leave" in actor.can,
        "leaving": request.GET.get("leave") == "yes" and "member.leave" in actor.can,
        "error": error,
    }
    return answer(request, TEMPLATE, context, status=status)
