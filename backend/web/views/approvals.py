"""What takes two operators: what was asked for, and the verbs of another."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from backend.web.pages import PageRequest, answer, for_people
from backend.web.reading import id_in, page_of, place_in
from features.actions.approvals import approve, refuse
from tenants.approvals import approvals as approvals_of_all
from tenants.approvals import find_approval
from tenants.errors import AppError, ApprovalNeeded, Conflict, Forbidden, Invalid, Malformed, NotFound

TEMPLATE = "web/approvals.html"
PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def approvals(request: PageRequest) -> HttpResponseBase:
    """The newest requests, open ones with their verbs; `?before=` goes on."""
    request.actor.need("version.read")
    if request.method != "POST":
        return _show(request)
    act = request.POST.get("act")
    if act not in ("approve", "refuse"):
        raise Malformed("Say what to do: approve or refuse.")
    row = find_approval(id_in(request.POST.get("id")), request.actor)
    try:
        (approve if act == "approve" else refuse)(row, by=request.actor)
    except (Conflict, Forbidden, Invalid, NotFound) as error:
        return _show(request, error=error, status=error.status)
    messages.success(request, _("Approved, and done.") if act == "approve" else _("Refused."))
    return redirect(request.path)


def asked_for(request: PageRequest, asked: ApprovalNeeded) -> HttpResponseBase:
    """Go to where what was just asked for waits for another operator, and say so."""
    messages.info(request, asked.detail)
    return HttpResponseClientRedirect(reverse("web:approvals")) if request.htmx else redirect("web:approvals")


def _show(request: PageRequest, *, error: AppError | None = None, status: int = 200) -> HttpResponseBase:
    actor = request.actor
    place = place_in(request.GET.get("before"))
    with actor.present():
        found, older = page_of(approvals_of_all(), place, PAGE)
    context = {
        "here": "approvals", "lines": [(row, row.requested_by == actor.label) for row in found],
        "may": "approval.decide" in actor.can, "error": error, "older": older, "later": place is not None,
    }  # fmt: skip
    return answer(request, TEMPLATE, context, status=status)
