"""Overrides: read, saved whole or field by field, taken out, rolled back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.overrides import (
    Saved,
    delete_override,
    etag_of,
    override_json,
    override_now,
    rollback_override,
    save_operation,
    save_override,
    whose,
)
from features.engine import pointer
from features.explain import suspended_json
from features.find import find_feature
from features.models import Override
from tenants.errors import AppError, Malformed
from tenants.subjects import Who

from .door import Door, expected_of, page
from .fields import Object, Strict, Text, Whole
from .schema import CONDITIONS, PAGING
from .shapes import ANYTHING, JSON, OVERRIDE, TEXT, answers, listed

ONE_OPERATION = {
    "oneOf": [
        {"type": "object", "properties": {name: kind}, "required": [name], "additionalProperties": False}
        for name, kind in {"set": ANYTHING, "append": TEXT, "remove": {"const": True}}.items()
    ]
}


class OverrideBody(Strict):
    """The whole override: operations on fields, and for a tenant the rules that bind its users."""

    set = Object(required=False)
    append = Object(required=False)
    remove = serializers.ListField(child=Text(trim_whitespace=False), required=False)
    rules = Object(required=False)
    message = Text(max_length=500, required=False, allow_blank=True)


class RollbackBody(Strict):
    """The revision to go back to."""

    revision = Whole(min_value=1)


class LayerDoor(Door):
    """What the doors of a layer share."""

    def _whose(self, layer: str) -> Who:
        """Whose override is read: an organisation's by its admins only. Raises Forbidden and NotFound."""
        who = whose(layer, self.actor)  # type: ignore[arg-type]
        self.actor.need("override.tenant" if layer == "tenant" else "feature.read")
        return who

    def _may_write(self, layer: str) -> None:
        """Before the body is judged. Raises Forbidden, and NotFound where there is no such layer."""
        whose(layer, self.actor)  # type: ignore[arg-type]
        self.actor.need(f"override.{layer}")


class OverrideDoor(LayerDoor):
    """The whole override of a layer, as a save would replace it: under one's own snapshot, what that keeps."""

    conditional = True

    @extend_schema(responses=answers(OVERRIDE), summary="What this layer changes")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        who = self._whose(layer)
        found = find_feature(feature, self.actor)
        with self.actor.present():
            row = override_now(found, who, self.actor.tenant_id)
            return Response(override_json(row), headers={"ETag": etag_of(row)})

    @extend_schema(
        request=OverrideBody, parameters=CONDITIONS, responses=answers(OVERRIDE), summary="Replace the override"
    )
    def put(self, request: Request, feature: str, layer: str) -> Response:
        self._may_write(layer)
        body = self.read(OverrideBody)
        message = body.pop("message", "")
        found, expected = find_feature(feature, self.actor), expected_of(request, required=True)
        saved = save_override(found, layer, body, expected=expected, message=message, by=self.actor)  # type: ignore[arg-type]
        return answer(saved)

    @extend_schema(parameters=CONDITIONS, responses=answers(OVERRIDE), summary="Inherit everything again")
    def delete(self, request: Request, feature: str, layer: str) -> Response:
        self._may_write(layer)
        found = find_feature(feature, self.actor)
        return answer(delete_override(found, layer, expected=expected_of(request), by=self.actor))  # type: ignore[arg-type]


class OverrideField(LayerDoor):
    """One operation of an override."""

    conditional = True

    @extend_schema(
        request={JSON: ONE_OPERATION}, parameters=CONDITIONS, responses=answers(OVERRIDE),
        summary='Change one field: {"set": value}, {"append": text} or {"remove": true}',
    )  # fmt: skip
    def put(self, request: Request, feature: str, layer: str, field: str) -> Response:
        self._may_write(layer)
        if not isinstance(request.data, dict):
            raise Malformed("Send one JSON object.")
        return self._save(request, feature, layer, field, request.data)

    @extend_schema(parameters=CONDITIONS, responses=answers(OVERRIDE), summary="Inherit one field again")
    def delete(self, request: Request, feature: str, layer: str, field: str) -> Response:
        self._may_write(layer)
        return self._save(request, feature, layer, field, None)

    def _save(self, request: Request, feature: str, layer: str, field: str, document: Any) -> Response:
        found, expected = find_feature(feature, self.actor), expected_of(request)
        with _pointing_into_one(field):
            return answer(save_operation(found, layer, field, document, expected=expected, by=self.actor))  # type: ignore[arg-type]


class Revisions(LayerDoor):
    """The history of an override."""

    @extend_schema(parameters=PAGING, responses=answers(listed(OVERRIDE)), summary="Its revisions, newest first")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        who = self._whose(layer)
        rows = Override.objects.filter(feature=find_feature(feature, self.actor), subject_id=who.id)
        return page(request, rows, override_json, actor=self.actor, by="number")


class Rollback(LayerDoor):
    """Go back to an old revision."""

    conditional = True

    @extend_schema(
        request=RollbackBody, parameters=CONDITIONS, responses=answers(OVERRIDE),
        summary="A new revision equal to an old one; never refused",
    )  # fmt: skip
    def post(self, request: Request, feature: str, layer: str) -> Response:
        self._may_write(layer)
        body = self.read(RollbackBody)
        found, expected = find_feature(feature, self.actor), expected_of(request)
        saved = rollback_override(found, layer, body["revision"], expected=expected, by=self.actor)  # type: ignore[arg-type]
        return answer(saved)


@contextmanager
def _pointing_into_one(field: str) -> Iterator[None]:
    """Let problems point into the one operation that was sent, not into a whole override."""
    try:
        yield
    except AppError as wrong:
        wrong.errors = tuple(
            replace(problem, pointer=re.sub(f"^/(set|append){re.escape(pointer(field))}", r"/\1", problem.pointer))
            for problem in wrong.errors
        )
        raise


def answer(saved: Saved) -> Response:
    """A saved revision, and which of its operations today's rules keep inactive."""
    body = {**override_json(saved.row), "suspended": [suspended_json(item, frozenset()) for item in saved.suspended]}
    return Response(body, headers={"ETag": saved.row.etag})
