"""What takes two operators: what was asked for, and the verbs of another."""

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from backend.web.pages import PageRequest, answer, for_people
from backend.web.reading import id_in
from features.actions.approvals import approve, refuse
from tenants.approvals import approval_lines, find_approval
from tenants.errors import AppError, ApprovalNeeded, Conflict, Forbidden, Invalid, Malformed, NotFound

TEMPLATE = "web/approvals.html"


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def approvals(request: PageRequest) -> HttpResponseBase:
    """The newest requests, open ones with their verbs."""
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
    lines = [(row, row.requested_by == actor.label) for row in approval_lines(actor)]
    may = "approval.decide" in actor.can
    return answer(request, TEMPLATE, {"here": "approvals", "lines": lines, "may": may, "error": error}, status=status)
