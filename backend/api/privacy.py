"""People's data: all of it as a file, and the erasing of it; and whether the audit's chain is whole."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from backend.listening import listening
from tenants.actor import Actor
from tenants.privacy import (
    ask_for_export,
    erase_subject,
    erasures_of,
    exports_of,
    has_expired,
    open_export,
    pieces_of,
)
from tenants.privacy_models import Erasure, Export
from tenants.walking import STRETCH, Place, Verified, verified

from .door import Door, found, page
from .fields import Strict
from .privacy_shapes import ERASURE, EXPORT, VERIFIED
from .runs import one_by_one
from .schema import PAGING
from .shapes import answers, listed

ZIP = "application/zip"
AFTER = [
    OpenApiParameter("after", OpenApiTypes.INT, description="`sequence` of the answer before, or one kept since then"),
    OpenApiParameter("digest", str, description="`digest` of the same answer"),
]


class Exports(Door):
    """Files with all that the organisation has."""

    while_suspended = True

    @extend_schema(parameters=PAGING, responses=answers(listed(EXPORT)), summary="The exports asked for (admins)")
    def get(self, request: Request) -> Response:
        return page(request, exports_of(self.actor), export_json, actor=self.actor)

    @extend_schema(
        request=None, responses=answers(EXPORT, 202),
        summary="Ask for all that the organisation has, as a zip of NDJSON files that a worker makes (admins)",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("data.export")
        self.read(Strict)
        export = ask_for_export(by=self.actor)
        return Response(export_json(export), status=202, headers={"Location": f"/api/v1/export/{export.id}"})


class OneExport(Door):
    """One export."""

    @extend_schema(responses=answers(EXPORT), summary="How far an export is, and what is in it (admins)")
    def get(self, request: Request, export_id: UUID) -> Response:
        return Response(export_json(found(exports_of(self.actor), export_id, self.actor)))


class ExportFile(Door):
    """An export's file."""

    @extend_schema(
        operation_id="get_export_file", responses={(200, ZIP): OpenApiTypes.BINARY},
        summary="Take an export's file, which the audit notes (admins)",
    )  # fmt: skip
    def get(self, request: Request, export_id: UUID) -> HttpResponseBase:
        export = open_export(export_id, by=self.actor)
        name = f"{self.actor.in_tenant().slug}-{export.created_at:%Y-%m-%d}.zip"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(export.bytes),
            "Cache-Control": "no-store",
        }
        return StreamingHttpResponse(
            _sent(pieces_of(export), self.actor, request._request), content_type=ZIP, headers=headers
        )


async def _sent(pieces: Iterator[bytes], actor: Actor, request: HttpRequest) -> AsyncIterator[bytes]:
    with listening(actor, request) as listener:
        async for piece in listener.hear(one_by_one(pieces)):
            yield piece


class EraseSubject(Door):
    """The erasing of one subject."""

    while_suspended = True

    @extend_schema(
        request=None, responses=answers(ERASURE, 202),
        summary="Erase all that is kept of an end user, or of a member who has left (admins)",
    )  # fmt: skip
    def post(self, request: Request, subject: str) -> Response:
        self.actor.need("subject.erase")
        self.read(Strict)
        erasure = erase_subject(subject_named(self.actor, subject), by=self.actor)
        return Response(erasure_json(erasure), status=202, headers={"Location": f"/api/v1/erasures/{erasure.id}"})


class Erasures(Door):
    """Erasures, with their reports."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(ERASURE)),
        summary="The erasures asked for (admins); for operators those of organisations",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        return page(request, erasures_of(self.actor), erasure_json, actor=self.actor)


class OneErasure(Door):
    """One erasure."""

    @extend_schema(responses=answers(ERASURE), summary="How far an erasure is, and its report (admins, operators)")
    def get(self, request: Request, erasure_id: UUID) -> Response:
        return Response(erasure_json(found(erasures_of(self.actor), erasure_id, self.actor)))


class AuditVerify(Door):
    """The audit's chain."""

    @extend_schema(
        parameters=AFTER, responses=answers(VERIFIED),
        summary=f"Walk the audit's chain, {STRETCH} events at a time: is it as it was written? (admins)",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        self.actor.need("audit.read")
        return walked(request, self.actor.tenant_id)


def walked(request: Request, tenant_id: UUID | None) -> Response:
    """Answer with the next stretch of a chain, after the place that the caller names. Raises Malformed."""
    after = Place.read(request.query_params.get("after"), request.query_params.get("digest"))
    return Response(verified_json(verified(tenant_id, after=after, most=STRETCH)))


def verified_json(found: Verified) -> dict[str, Any]:
    """What walking a chain came to, as the API shows it."""
    return {
        "whole": found.whole,
        "events": found.events,
        "sequence": found.sequence,
        "digest": found.digest,
        "end": found.end,
        "faults": [{"sequence": fault.sequence, "kind": fault.kind} for fault in found.faults],
    }


def export_json(row: Export) -> dict[str, Any]:
    """An export as the API shows it."""
    return {
        "id": str(row.id),
        "state": "expired" if has_expired(row) else row.state,
        "created": row.created_at,
        "finished": row.finished_at,
        "expires": row.expires_at,
        "bytes": row.bytes,
        "sha256": row.digest or None,
        "manifest": row.manifest,
    }


def erasure_json(row: Erasure) -> dict[str, Any]:
    """An erasure as the API shows it."""
    return {
        "id": str(row.id),
        "state": row.state,
        "of": row.kind,
        "subject": None if row.subject is None else str(row.subject),
        "created": row.created_at,
        "finished": row.finished_at,
        "report": row.report,
        "digest": row.digest or None,
    }
