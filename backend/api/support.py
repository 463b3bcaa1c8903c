"""Whether the vendor's support may look at an organisation's runs and behavior: its admins say, and for how long."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.models import SupportGrant
from tenants.support import MOST_HOURS, end_support, grant_support

from .door import Door, page
from .fields import Strict, Text, Whole
from .schema import PAGING
from .shapes import SUPPORT, answers, listed


class SupportBody(Strict):
    """For how long, and why."""

    hours = Whole(min_value=1, max_value=MOST_HOURS)
    reason = Text(max_length=500)


class SupportAccess(Door):
    """Support access of the organisation."""

    @extend_schema(parameters=PAGING, responses=answers(listed(SUPPORT)), summary="What was granted (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("support.grant")
        rows = SupportGrant.objects.filter(tenant_id=self.actor.tenant_id)
        return page(request, rows, _json, actor=self.actor)

    @extend_schema(
        request=SupportBody, responses=answers(SUPPORT, 201),
        summary="Let the vendor's support look for some hours; each look is in the audit (admins)",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("support.grant")
        return Response(_json(grant_support(**self.read(SupportBody), by=self.actor)), status=201)

    @extend_schema(responses={204: None}, summary="End it, from the next request on (admins)")
    def delete(self, request: Request) -> Response:
        self.actor.need("support.grant")
        end_support(by=self.actor)
        return Response(status=204)


def _json(row: SupportGrant) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "reason": row.reason,
        "granted_by": row.granted_by,
        "created": row.created_at,
        "until": row.until,
        "ended": row.ended_at,
    }
