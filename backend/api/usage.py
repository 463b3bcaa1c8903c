"""What was used: runs, tokens and money, by feature, user, model, layer or day."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.runs.usage import BY, VENDOR_BY, Used, used, used_by_all
from tenants.errors import Malformed

from .door import Door, moment
from .runs_read import cost_json
from .runs_shapes import USAGE_ROW
from .shapes import TEXT, answers, array, shape


class Usage(Door):
    """What was used."""

    @extend_schema(
        parameters=[
            OpenApiParameter("by", str, enum=BY),
            OpenApiParameter("from", OpenApiTypes.DATETIME),
            OpenApiParameter("to", OpenApiTypes.DATETIME),
        ],
        responses=answers(shape(by=TEXT, items=array(USAGE_ROW))),
        summary="Runs, tokens and cost (admins)",
    )
    def get(self, request: Request) -> Response:
        self.actor.need("usage.read")
        asked = request.query_params.get("by", "feature")
        by = next((one for one in BY if one == asked), None)
        if by is None:
            raise Malformed(f"by is one of {', '.join(BY)}.")
        since, until = moment(request.query_params.get("from"), "from"), moment(request.query_params.get("to"), "to")
        with self.actor.present():
            found = used(self.actor.tenant_id, by, since=since, until=until)
        return Response({"by": by, "items": [_json(row) for row in found]})


class VendorUsage(Door):
    """What all organisations used."""

    @extend_schema(
        parameters=[
            OpenApiParameter("by", str, enum=VENDOR_BY),
            OpenApiParameter("from", OpenApiTypes.DATETIME),
            OpenApiParameter("to", OpenApiTypes.DATETIME),
        ],
        responses=answers(shape(by=TEXT, items=array(USAGE_ROW))),
        summary="Runs, tokens and cost of every organisation, never content (operators)",
    )
    def get(self, request: Request) -> Response:
        self.actor.need("usage.vendor")
        asked = request.query_params.get("by", "tenant")
        by = next((one for one in VENDOR_BY if one == asked), None)
        if by is None:
            raise Malformed(f"by is one of {', '.join(VENDOR_BY)}.")
        since, until = moment(request.query_params.get("from"), "from"), moment(request.query_params.get("to"), "to")
        with self.actor.present():
            found = used_by_all(by, since=since, until=until)
        return Response({"by": by, "items": [_json(row) for row in found]})


def _json(row: Used) -> dict[str, Any]:
    return {
        "key": row.key, "runs": row.runs, "input_tokens": row.input_tokens,
        "cached_input_tokens": row.cached_input_tokens, "output_tokens": row.output_tokens, "cached": row.cached,
        "cost": cost_json(row.cost),
        "estimated_tokens": {"base": row.base_tokens, "tenant": row.tenant_tokens, "user": row.user_tokens},
    }  # fmt: skip
