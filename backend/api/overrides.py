"""Overrides: read, saved whole or field by field, taken out, rolled back."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.overrides import (
    Saved,
    delete_override,
    newest,
    override_json,
    rollback_override,
    save_operation,
    save_override,
    subject_id_of,
    whose,
)
from features.explain import suspended_json
from features.find import find_feature
from features.models import Override
from tenants.errors import Malformed

from .door import Door, Strict, expected_of, page
from .shapes import OVERRIDE, REVISIONS

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="the ETag last seen")
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="`*`: there is none yet")
CONDITIONS = [IF_MATCH, IF_NONE_MATCH]


class OverrideBody(Strict):
    """The whole override: operations on fields, and for a tenant the rules that bind its users."""

    set = serializers.DictField(required=False)
    append = serializers.DictField(required=False)
    remove = serializers.ListField(child=serializers.CharField(), required=False)
    rules = serializers.DictField(required=False)
    message = serializers.CharField(max_length=500, required=False, allow_blank=True)


class RollbackBody(Strict):
    """The revision to go back to."""

    revision = serializers.IntegerField(min_value=1)


class OverrideDoor(Door):
    """The whole override of a layer."""

    @extend_schema(responses=OVERRIDE, summary="What this layer changes")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        found, who = find_feature(feature, self.actor), whose(layer, self.actor)  # type: ignore[arg-type]
        self.actor.need(f"override.{layer}" if layer == "tenant" else "feature.read")
        with self.actor.present():
            row = newest(found, who)
            return Response(override_json(row), headers={"ETag": row.etag if row else '"0"'})

    @extend_schema(request=OverrideBody, parameters=CONDITIONS, responses=OVERRIDE, summary="Replace the override")
    def put(self, request: Request, feature: str, layer: str) -> Response:
        body = self.read(OverrideBody)
        message = body.pop("message", "")
        found, expected = find_feature(feature, self.actor), expected_of(request, required=True)
        saved = save_override(found, layer, body, expected=expected, message=message, by=self.actor)  # type: ignore[arg-type]
        return answer(saved)

    @extend_schema(parameters=CONDITIONS, responses=OVERRIDE, summary="Inherit everything again")
    def delete(self, request: Request, feature: str, layer: str) -> Response:
        found = find_feature(feature, self.actor)
        return answer(delete_override(found, layer, expected=expected_of(request), by=self.actor))  # type: ignore[arg-type]


class OverrideField(Door):
    """One operation of an override."""

    @extend_schema(
        request=OpenApiTypes.OBJECT, parameters=CONDITIONS, responses=OVERRIDE,
        summary='Change one field: {"set": value}, {"append": text} or {"remove": true}',
    )  # fmt: skip
    def put(self, request: Request, feature: str, layer: str, field: str) -> Response:
        if not isinstance(request.data, dict):
            raise Malformed("Send one JSON object.")
        return self._save(request, feature, layer, field, request.data)

    @extend_schema(parameters=CONDITIONS, responses=OVERRIDE, summary="Inherit one field again")
    def delete(self, request: Request, feature: str, layer: str, field: str) -> Response:
        return self._save(request, feature, layer, field, None)

    def _save(self, request: Request, feature: str, layer: str, field: str, document: Any) -> Response:
        found, expected = find_feature(feature, self.actor), expected_of(request)
        return answer(save_operation(found, layer, field, document, expected=expected, by=self.actor))  # type: ignore[arg-type]


class Revisions(Door):
    """The history of an override."""

    @extend_schema(responses=REVISIONS, summary="Its revisions, newest first")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        found = find_feature(feature, self.actor)
        self.actor.need(f"override.{layer}" if layer == "tenant" else "feature.read")
        subject_id = subject_id_of(layer, self.actor)  # type: ignore[arg-type]
        rows = Override.objects.filter(feature=found, subject_id=subject_id)
        return page(request, rows, override_json, actor=self.actor, by="number")


class Rollback(Door):
    """Go back to an old revision."""

    @extend_schema(
        request=RollbackBody, parameters=CONDITIONS, responses=OVERRIDE,
        summary="A new revision equal to an old one; never refused",
    )  # fmt: skip
    def post(self, request: Request, feature: str, layer: str) -> Response:
        body = self.read(RollbackBody)
        found, expected = find_feature(feature, self.actor), expected_of(request)
        saved = rollback_override(found, layer, body["revision"], expected=expected, by=self.actor)  # type: ignore[arg-type]
        return answer(saved)


def answer(saved: Saved) -> Response:
    """A saved revision, and which of its operations today's rules keep inactive."""
    body = {**override_json(saved.row), "suspended": [suspended_json(item, frozenset()) for item in saved.suspended]}
    return Response(body, headers={"ETag": saved.row.etag})
