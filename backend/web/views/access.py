"""How people come in, for admins: whether a second factor is asked of them, and whether support may look."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.pages import PageRequest, answer, for_members
from tenants.actions import require_mfa
from tenants.errors import AppError, Invalid, Malformed
from tenants.models import SupportGrant
from tenants.people import names_of
from tenants.support import MOST_HOURS, end_support, grant_support, live_grants

TEMPLATE = "web/access.html"
USUAL_HOURS = 24


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def access(request: PageRequest) -> HttpResponseBase:
    """Both on one page."""
    request.actor.need("support.grant")
    if request.method == "POST":
        return _act(request)
    return _show(request)


def _act(request: PageRequest) -> HttpResponseBase:
    post, actor = request.POST, request.actor
    try:
        match post.get("act"):
            case "require":
                require_mfa(post.get("required") == "yes", by=actor)
                told = _("Saved. It counts from everybody's next request.")
            case "grant":
                hours, reason = post.get("hours", ""), post.get("reason", "").strip()
                if not (hours.isascii() and hours.isdecimal() and 1 <= int(hours[:9]) <= MOST_HOURS):
                    raise Invalid(_("Say for how many hours, at most %(n)d.") % {"n": MOST_HOURS})
                if not 1 <= len(reason) <= 500:
                    raise Invalid(_("Say why, in at most 500 characters."))
                grant_support(hours=int(hours), reason=reason, by=actor)
                told = _("The vendor's support may look now.")
            case "end":
                end_support(by=actor)
                told = _("Nobody of the vendor may look any more.")
            case _:
                raise Malformed("Say what to do: require, grant or end.")
    except Invalid as error:
        return _show(request, error=error, status=error.status)
    messages.success(request, told)
    return redirect(request.path)


def _show(request: PageRequest, *, error: AppError | None = None, status: int = 200) -> HttpResponseBase:
    actor = request.actor
    with actor.present():
        live: SupportGrant | None = live_grants().first()
        by = names_of([live.granted_by], actor).get(live.granted_by, "") if live else ""
    context = {
        "here": "people",
        "tab": "access",
        "required": actor.in_tenant().require_mfa,
        "live": live,
        "granted_by": by,
        "hours": USUAL_HOURS,
        "most_hours": MOST_HOURS,
        "error": error,
        "typed": request.POST if error else {},
    }
    return answer(request, TEMPLATE, context, status=status)
