"""What takes two operators: what was asked for, and another operator's word."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.approvals import approve, refuse
from tenants.approvals import approvals
from tenants.models import Approval

from .door import Door, found, page
from .fields import Strict
from .schema import PAGING
from .shapes import APPROVAL, answers, listed


class Approvals(Door):
    """Everything that was asked for."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(APPROVAL)), summary="What operators asked for, newest first"
    )
    def get(self, request: Request) -> Response:
        self.actor.need("version.read")
        return page(request, approvals(), _json, actor=self.actor)


class Approve(Door):
    """Another operator's yes."""

    @extend_schema(
        request=None, responses=answers(APPROVAL), summary="Approve what another operator asked for: it is done"
    )
    def post(self, request: Request, approval_id: UUID) -> Response:
        self.actor.need("approval.decide")
        self.read(Strict)
        return Response(_json(approve(found(approvals(), approval_id, self.actor), by=self.actor)))


class Refuse(Door):
    """Another operator's no."""

    @extend_schema(request=None, responses=answers(APPROVAL), summary="Refuse it, or take one's own request back")
    def post(self, request: Request, approval_id: UUID) -> Response:
        self.actor.need("approval.decide")
        self.read(Strict)
        return Response(_json(refuse(found(approvals(), approval_id, self.actor), by=self.actor)))


def _json(row: Approval) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "action": row.action,
        "feature": row.feature,
        "parameters": row.parameters,
        "state": row.state,
        "requested_by": row.requested_by,
        "requester": str(row.operator.user),
        "created": row.created_at,
        "expires": row.expires_at,
        "decided_by": row.decided_by or None,
        "decided": row.decided_at,
    }
