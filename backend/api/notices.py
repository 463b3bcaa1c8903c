"""The inbox: what concerns one's behavior and is not of one's own doing."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.notices import Notice, inbox, mark_read

from .door import Door, flag, page_of
from .fields import Nothing
from .schema import PAGING
from .shapes import NOTICE, answers, listed

UNREAD = OpenApiParameter("unread", OpenApiTypes.BOOL, description="only what was not read yet")


class Notices(Door):
    """The inbox."""

    @extend_schema(
        parameters=[UNREAD, *PAGING], responses=answers(listed(NOTICE)), summary="What there is to know or to decide"
    )
    def get(self, request: Request) -> Response:
        self.actor.acting_for()
        unread = flag(request, "unread")
        notices = [notice_json(notice) for notice in inbox(self.actor)]
        return page_of(request, notices, lambda notice: not (unread and notice["read"]))


class ReadNotice(Door):
    """One notice."""

    @extend_schema(request=None, responses={204: None}, summary="Mark a notice as read")
    def post(self, request: Request, notice_id: UUID) -> Response:
        self.read(Nothing)
        mark_read(notice_id, by=self.actor)
        return Response(status=204)


def notice_json(notice: Notice) -> dict[str, Any]:
    """A notice as the API shows it."""
    return {
        "id": str(notice.id),
        "kind": notice.kind,
        "feature": notice.feature.key if notice.feature else None,
        "layer": notice.layer,
        "at": notice.at,
        "title": notice.title,
        "text": notice.text,
        "action": {"href": notice.action.href, "api": notice.action.api},
        "read": notice.read,
    }
