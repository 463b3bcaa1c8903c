"""What was used: runs, tokens and money, by feature, user, model, layer or day."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

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

F = TypeVar("F", bound=Callable[..., Response])


def _documented(groups: tuple[str, ...], summary: str) -> Callable[[F], F]:
    return extend_schema(
        parameters=[
            OpenApiParameter("by", str, enum=groups, description="what each row is of"),
            OpenApiParameter("from", OpenApiTypes.DATETIME, description="from then on; from the beginning if not said"),
            OpenApiParameter("to", OpenApiTypes.DATETIME, description="before then; up to now if not said"),
        ],
        responses=answers(shape(by=TEXT, items=array(USAGE_ROW))),
        summary=summary,
    )


class _Used(Door):
    """What was used in a time, by one of some groups."""

    def answered(
        self, request: Request, groups: tuple[str, ...], *, otherwise: str, read: Callable[..., Sequence[Used]]
    ) -> Response:
        """Answer `read(by, since=, until=)`; `otherwise` is the group when none is asked for."""
        asked = request.query_params.get("by", otherwise)
        by = next((one for one in groups if one == asked), None)
        if by is None:
            raise Malformed(f"by is one of {', '.join(groups)}.")
        since, until = moment(request.query_params.get("from"), "from"), moment(request.query_params.get("to"), "to")
        if since is not None and until is not None and until <= since:
            raise Malformed("to lies after from.")
        with self.actor.present():
            found = read(by, since=since, until=until)
        return Response({"by": by, "items": [_json(row) for row in found]})


class Usage(_Used):
    """What was used."""

    @_documented(BY, "Runs, tokens and cost (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("usage.read")
        return self.answered(request, BY, otherwise="feature", read=partial(used, self.actor.tenant_id))


class VendorUsage(_Used):
    """What all organisations used."""

    @_documented(VENDOR_BY, "Runs, tokens and cost of every organisation, never content (operators)")
    def get(self, request: Request) -> Response:
        self.actor.need("usage.vendor")
        return self.answered(request, VENDOR_BY, otherwise="tenant", read=used_by_all)


def _json(row: Used) -> dict[str, Any]:
    return {
        "key": row.key, "runs": row.runs, "input_tokens": row.input_tokens,
        "cached_input_tokens": row.cached_input_tokens, "output_tokens": row.output_tokens, "cached": row.cached,
        "cost": cost_json(row.cost),
        "estimated_tokens": {"base": row.base_tokens, "tenant": row.tenant_tokens, "user": row.user_tokens},
    }  # fmt: skip
