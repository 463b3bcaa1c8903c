"""Staying on a version, ending that, and putting behavior back as it was."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.actions.overrides import whose
from features.actions.pins import Moved, end_pin_of, pin, pin_now, pins_of, restore, unpin
from features.explain import hidden_fields
from features.find import find_feature
from features.models import Feature, Pin
from features.resolve import serve_warm
from features.runs.accept import find_run
from tenants.errors import Malformed, NotFound

from .door import Door, Strict, flag, moment, page
from .features import DRY_RUN, change_json, viewer_of
from .shapes import MOVED, PIN, RESTORED, listed, maybe, shape


class PinBody(Strict):
    """Stay on a version, or on exactly what is served now."""

    kind = serializers.ChoiceField(["base", "snapshot"], default="base")
    version = serializers.IntegerField(min_value=1, required=False)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)
    until = serializers.CharField(required=False, allow_null=True)


class RestoreBody(Strict):
    """The moment, or the run, to go back to."""

    at = serializers.CharField(required=False)
    run = serializers.UUIDField(required=False)
    layer = serializers.ChoiceField(["user", "tenant"], default="user")


class PinDoor(Door):
    """The pin of a layer."""

    @extend_schema(responses=shape(pin=maybe(PIN)), summary="Where this layer stays")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        found, who = find_feature(feature, self.actor), whose(layer, self.actor)  # type: ignore[arg-type]
        with self.actor.present():
            return Response({"pin": pin_json(pin_now(found, who))})

    @extend_schema(request=PinBody, parameters=[DRY_RUN], responses=MOVED, summary="Stay here")
    def put(self, request: Request, feature: str, layer: str) -> Response:
        body = self.read(PinBody)
        if body["kind"] == "base" and "version" not in body:
            raise Malformed("Say which version to stay on.")
        if body["kind"] == "snapshot" and "version" in body:
            raise Malformed("A snapshot stays on what is served now: it takes no version.")
        until = moment(body.pop("until", None), "until")
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        moved = pin(found, layer, **body, until=until, by=self.actor, dry_run=dry)  # type: ignore[arg-type]
        return Response(self._moved(found, moved, dry))

    @extend_schema(parameters=[DRY_RUN], responses=MOVED, summary="Follow the vendor again, and see what changes")
    def delete(self, request: Request, feature: str, layer: str) -> Response:
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(self._moved(found, unpin(found, layer, by=self.actor, dry_run=dry), dry))  # type: ignore[arg-type]

    def _moved(self, feature: Feature, moved: Moved, dry: bool) -> dict[str, Any]:
        return moved_json(moved, _hidden(feature, self), dry)


class Pins(Door):
    """Who stays on what."""

    @extend_schema(responses=listed(PIN), summary="The pins of the organisation and its people (admins)")
    def get(self, request: Request, feature: str) -> Response:
        found = find_feature(feature, self.actor)
        self.actor.need("pin.others")
        return page(request, pins_of(found), _listed, actor=self.actor)


class PinOf(Door):
    """Somebody's pin."""

    @extend_schema(responses=MOVED, summary="End somebody's pin (admins, audited)")
    def delete(self, request: Request, feature: str, subject: str) -> Response:
        found, who = find_feature(feature, self.actor), subject_named(self.actor, subject)
        moved = end_pin_of(found, who, by=self.actor)
        return Response(moved_json(moved, _hidden(found, self), False))


class Restore(Door):
    """Back to how it was."""

    @extend_schema(request=RestoreBody, parameters=[DRY_RUN], responses=RESTORED, summary="Put it back as it was")
    def post(self, request: Request, feature: str) -> Response:
        body = self.read(RestoreBody)
        if ("at" in body) == ("run" in body):
            raise Malformed("Say one of at (a time) and run (an id).")
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        receipt = self._receipt(found, body["run"]) if "run" in body else None
        at = moment(body.get("at"))
        restored = restore(found, body["layer"], at=at, receipt=receipt, by=self.actor, dry_run=dry)
        told = {"result": restored.result, "reasons": restored.reasons, "wanted": restored.wanted}
        return Response({**told, **moved_json(restored.moved, _hidden(found, self), dry)})

    def _receipt(self, feature: Feature, run_id: UUID) -> dict[str, Any]:
        run = find_run(run_id, self.actor)
        if run is None or run.feature_id != feature.id:
            raise NotFound(f"There is no run {run_id} of {feature.key}.")
        return dict(run.receipt)


def _hidden(feature: Feature, door: Door) -> frozenset[str]:
    actor = door.actor
    with actor.present():
        now = serve_warm(feature, actor.tenant_id, actor.acting_for())
        return hidden_fields(now, viewer_of(actor))


def pin_json(row: Pin | None) -> dict[str, Any] | None:
    """A pin as the API shows it."""
    if row is None:
        return None
    return {
        "kind": row.kind,
        "version": row.base,
        "tenant_revision": row.tenant_revision,
        "user_revision": row.user_revision,
        "reason": row.reason,
        "author": row.author,
        "until": row.until,
        "created": row.created_at,
    }


def _listed(row: Pin) -> dict[str, Any]:
    subject = "" if row.subject.kind == "tenant" else row.subject.key
    return {**(pin_json(row) or {}), "subject": subject, "layer": "tenant" if not subject else "user"}


def moved_json(moved: Moved, hidden: frozenset[str], dry_run: bool) -> dict[str, Any]:
    """What a pin, its end or a restore does: receipts before and after, and the fields that change."""
    return {
        "pin": pin_json(moved.pin),
        "before": moved.before.as_json(),
        "after": moved.after.as_json(),
        "changes": [change_json(change, hidden) for change in moved.changes],
        "dry_run": dry_run,
    }
