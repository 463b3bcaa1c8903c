"""Who is in the organisation, as what, and who is asked to come: for admins."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backend.web.membership import invitation_lines, member_lines, roles_to_give
from backend.web.pages import PageRequest, answer, for_members
from backend.web.reading import id_in, place_in
from tenants.actions import add_member, change_role, find_member, remove_member
from tenants.errors import AppError, Conflict, Forbidden, Invalid, Malformed, NotFound, TooMany, Unavailable
from tenants.invitations import invitation_named, invite, revoke_invitation, send_again
from tenants.models import Member

TEMPLATE = "web/members.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def members(request: PageRequest) -> HttpResponseBase:
    """Everybody with their role, and the invitations. `?remove=` a member's id asks before it is done.

    `?q=` a part of a name or address, `?after=` the next page of members, `?before=` that of invitations.
    """
    request.actor.need("member.manage")
    if request.method == "POST":
        return _act(request)
    return _show(request)


def _act(request: PageRequest) -> HttpResponseBase:
    try:
        told = _done(request)
    except (Invalid, Conflict, Forbidden, NotFound, TooMany, Unavailable) as error:
        return _show(request, error=error, status=error.status)
    messages.success(request, told)
    return redirect(request.path) if not request.htmx else _show(request, plain=True, oob=True)


def _done(request: PageRequest) -> str:
    """Carry out what was asked for, and say it."""
    post, actor = request.POST, request.actor
    match post.get("act"):
        case "invite":
            made = invite(email=post.get("email", "").strip(), role=post.get("role", ""), by=actor)
            return _("%(email)s is invited. The link in the mail is good for a week.") % {"email": made.email}
        case "add":
            told = {name: post.get(name, "").strip() for name in ("email", "name")}
            if not 1 <= len(told["email"]) <= 254 or len(told["name"]) > 200 or "@" not in told["email"]:
                raise Invalid(_("Say their e-mail address, and a name of at most 200 characters if you like."))
            added = add_member(**told, role=post.get("role", ""), by=actor)
            return _("%(name)s is a member from now on. Nothing was sent to them: tell them.") % {"name": added.user}
        case "resend":
            sent = send_again(invitation_named(id_in(post.get("id")), actor), by=actor)
            return _("%(email)s is mailed a new link. The one before is dead.") % {"email": sent.email}
        case "revoke":
            row = invitation_named(id_in(post.get("id")), actor)
            revoke_invitation(row, by=actor)
            return _("The invitation of %(email)s is revoked.") % {"email": row.email}
        case "role":
            member = change_role(_member(request, post.get("id")), post.get("role", ""), by=actor)
            return _("%(name)s is %(role)s now.") % {"name": member.user, "role": member.role}
        case "remove":
            member = _member(request, post.get("id"))
            remove_member(member, by=actor)
            return _("%(name)s is no longer a member, and their keys have ended.") % {"name": member.user}
    raise Malformed("Say what to do: invite, add, resend, revoke, role or remove.")


def _show(
    request: PageRequest, *, error: AppError | None = None, status: int = 200, plain: bool = False, oob: bool = False
) -> HttpResponseBase:
    actor = request.actor
    remove = "" if plain or request.method == "POST" else request.GET.get("remove", "")
    going, place = _member(request, remove) if remove else None, place_in(request.GET.get("before"))
    invited, older = invitation_lines(actor, place)
    search, after = request.GET.get("q", "").strip()[:100], place_in(request.GET.get("after"))
    lines, more = member_lines(actor, search, after)
    asked = {name: value for name, value in (("q", search), ("after", after)) if value}
    context: dict[str, Any] = {
        "here": "people",
        "lines": lines,
        "search": search,
        "first": after is None,
        "more_url": f"?{urlencode({**asked, 'after': more})}" if more else "",
        "same_url": f"{request.path}?{urlencode(asked)}",
        "invited": invited,
        "older": older,
        "later": place is not None,
        "roles": roles_to_give(actor),
        "going": {"id": str(going.id), "name": str(going.user)} if going else None,
        "error": error,
        "typed": request.POST if error else {},
        "oob": oob,
    }
    return answer(request, TEMPLATE, context, part="members", status=status)


def _member(request: PageRequest, text: str | None) -> Member:
    return find_member(id_in(text), request.actor)
