"""Where the link of an invitation leads: choose a name and a password, or say yes as who one is signed in as."""

from typing import Any

from allauth.account.utils import perform_login
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from backend.actors import TENANT_OF_SESSION
from backend.web.join_form import JoinForm
from backend.web.pages import PageRequest
from tenants.errors import Conflict
from tenants.invitations import Invited, accept_as, accept_as_new, find_invitation
from tenants.models import Member, User

TEMPLATE = "web/join.html"


@require_http_methods(["GET", "HEAD", "POST"])
def join(request: PageRequest, text: str) -> HttpResponseBase:
    """Show who invites to what, and let them in. Raises NotFound for a link that is not, or no longer, good."""
    found = find_invitation(text)
    signed_in: User | AnonymousUser = request.user
    person = None if isinstance(signed_in, AnonymousUser) else signed_in
    if person is not None and person.email != found.invitation.email:
        return _show(request, found, {"other": person.email}, 403)
    if person is not None:
        return _enter(request, accept_as(text, person)) if request.method == "POST" else _show(request, found, {})
    if found.known:
        return _show(request, found, {"next": request.path})
    form = JoinForm(request.POST or None, email=found.invitation.email)
    if not form.is_valid():
        told = {"form": form, "rules": password_validators_help_texts()}
        return _show(request, found, told, 422 if form.is_bound else 200)
    return _open(request, text, found, form)


def _open(request: PageRequest, text: str, found: Invited, form: JoinForm) -> HttpResponseBase:
    try:
        member = accept_as_new(text, name=form.cleaned_data["name"], password=form.cleaned_data["password"])
    except Conflict:  # they chose a password in another window in the meantime
        return _show(request, found, {"next": request.path}, 409)
    perform_login(request, member.user)
    return _enter(request, member)


def _enter(request: PageRequest, member: Member) -> HttpResponseBase:
    request.session[TENANT_OF_SESSION] = str(member.tenant_id)
    return redirect("web:home")


def _show(request: PageRequest, found: Invited, more: dict[str, Any], status: int = 200) -> HttpResponseBase:
    context = {"invitation": found.invitation, "organisation": found.tenant.name, **more}
    made = render(request, TEMPLATE, context, status=status)
    made["Referrer-Policy"] = "strict-origin"  # the address is the way in; without an origin the form would be refused
    made["Cache-Control"] = "no-store"
    return made
