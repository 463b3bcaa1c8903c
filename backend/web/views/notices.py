"""The one inbox: what waits, was withdrawn, or ends; read when one says so."""

from uuid import UUID

from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from backend.web.pages import PageRequest, answer, for_members, overview_of
from backend.web.parts import NoticeLine
from backend.web.reading import number_in
from features.notices import Notice, inbox, mark_read

TEMPLATE = "web/notices.html"
ICONS = {
    "held": "git-merge", "conflict": "git-merge", "suspended": "lock", "withdrawn": "alert-triangle",
    "pin_ending": "pin", "model_ending": "cube", "retiring": "clock", "key_ending": "key",
    "budget_soft": "receipt", "budget_hard": "ban",
}  # fmt: skip
TO_DECIDE = ("held", "conflict")
PAGE = 50


@require_safe
@for_members
def notices(request: PageRequest) -> HttpResponseBase:
    """What there is to know and to decide, newest first. `?show=unread` leaves out what was read, `?after=` goes on."""
    return _show(request)


@require_safe
@for_members
def count(request: PageRequest) -> HttpResponseBase:
    """How many notices are unread, for the menu."""
    unread = sum(not notice.read for notice in inbox(request.actor, overview_of(request).known))
    return answer(request, "web/parts/notice_count.html", {"count": unread})


@require_POST
@for_members
def read(request: PageRequest, notice_id: UUID) -> HttpResponseBase:
    """Mark one as read. Raises NotFound for one that is not in one's inbox."""
    mark_read(notice_id, by=request.actor)
    if not request.htmx:
        return redirect("web:notices")
    return _show(request, trigger="notices-read")


def _show(request: PageRequest, *, trigger: str = "") -> HttpResponseBase:
    asked = request.POST if request.method == "POST" else request.GET
    found = inbox(request.actor, overview_of(request).known)
    unread = [notice for notice in found if not notice.read]
    show, after = "unread" if asked.get("show") == "unread" else "all", number_in(asked.get("after")) or 0
    shown = unread if show == "unread" else found
    context = {
        "here": "notices",
        "lines": [_line(notice) for notice in shown[after : after + PAGE]],
        "show": show,
        "after": after,
        "next": after + PAGE if len(shown) > after + PAGE else None,
        "counts": [("all", len(found)), ("unread", len(unread))],
    }
    made = answer(request, TEMPLATE, context, part="inbox")
    if trigger:
        made["HX-Trigger"] = trigger
    return made


def _line(notice: Notice) -> NoticeLine:
    """A notice with the page where one sees to it: what is to be decided is decided under Upgrade."""
    href = notice.action.href
    if notice.kind in TO_DECIDE and notice.feature is not None:
        page = "web:org_upgrade" if notice.layer == "tenant" else "web:upgrade"
        href = reverse(page, args=[notice.feature.key])
    elif notice.layer == "tenant" and notice.feature is not None and href.startswith("/f/"):
        href = reverse("web:org_timeline", args=[notice.feature.key])
    return NoticeLine(
        id=str(notice.id),
        kind=notice.kind,
        icon=ICONS[notice.kind],
        feature=notice.feature.title if notice.feature else "",
        layer=notice.layer,
        at=notice.at,
        title=notice.title,
        text=notice.text,
        href=href,
        read=notice.read,
        decide=notice.kind in TO_DECIDE,
    )
