"""Staying on a version, ending that, and putting behavior back as it was."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.actions.overrides import whose
from features.actions.pins import (
    Marks,
    Moved,
    end_pin_of,
    etag_of,
    marks_of,
    pin,
    pin_now,
    pins_of,
    restore,
    restore_pin,
    unpin,
)
from features.find import find_feature
from features.models import Feature, Pin
from features.runs.accept import find_run
from features.withdrawn import withdrawn_json
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound, Problem
from tenants.subjects import Who

from .door import Door, expected_of, flag, page
from .features import change_json
from .fields import Choice, Moment, Strict, Text, Whole
from .schema import CONDITIONS, DRY_RUN, PAGING
from .shapes import MOVED, PIN, PIN_LISTED, RESTORED, answers, listed, maybe, shape


class PinBody(Strict):
    """Stay on a version, or on exactly what is served now."""

    kind = Choice(["base", "snapshot"], default="base")
    version = Whole(min_value=1, required=False)
    reason = Text(max_length=500, required=False, allow_blank=True)
    until = Moment(required=False, allow_null=True)

    def validate(self, attrs: Any) -> Any:
        """A base pin names its version; a snapshot stays on what is served now."""
        if attrs["kind"] == "base" and "version" not in attrs:
            raise serializers.ValidationError({"version": "Say which version to stay on."}, code="required")
        if attrs["kind"] == "snapshot" and "version" in attrs:
            told = "A snapshot stays on what is served now: it takes no version."
            raise serializers.ValidationError({"version": told}, code="unknown")
        return attrs


class RestoreBody(Strict):
    """The moment, the run, or the former pin to go back to."""

    at = Moment(required=False)
    run = serializers.UUIDField(required=False)
    pin = serializers.UUIDField(required=False)
    reason = Text(max_length=500, required=False, allow_blank=True)
    until = Moment(required=False, allow_null=True)
    layer = Choice(["user", "tenant"], default="user")

    def validate(self, attrs: Any) -> Any:
        """One moment, said in one way."""
        if len({"at", "run", "pin"} & attrs.keys()) != 1:
            raise serializers.ValidationError("Say one of at (a time), run and pin (an id).", code="one_of")
        if "pin" in attrs and {"reason", "until"} & attrs.keys():
            raise serializers.ValidationError("A former pin comes back with its own reason and end.", code="together")
        return attrs


class PinDoor(Door):
    """The pin of a layer."""

    conditional = True

    @extend_schema(responses=answers(shape(pin=maybe(PIN))), summary="Where this layer stays")
    def get(self, request: Request, feature: str, layer: str) -> Response:
        who = whose(layer, self.actor)  # type: ignore[arg-type]
        found = find_feature(feature, self.actor)
        with self.actor.present():
            row = pin_now(found, who)
            told = row and pin_json(row, marks_of(found))
        return Response({"pin": told}, headers={"ETag": etag_of(row)})

    @extend_schema(request=PinBody, parameters=[DRY_RUN, *CONDITIONS], responses=answers(MOVED), summary="Stay here")
    def put(self, request: Request, feature: str, layer: str) -> Response:
        self._may_move(layer)
        body = self.read(PinBody)
        found, expected, dry = find_feature(feature, self.actor), expected_of(request), flag(request, "dry_run")
        moved = pin(found, layer, **body, expected=expected, by=self.actor, dry_run=dry)  # type: ignore[arg-type]
        return self._moved(found, moved, dry)

    @extend_schema(
        parameters=[DRY_RUN, *CONDITIONS], responses=answers(MOVED),
        summary="Follow the vendor again, and see what changes",
    )  # fmt: skip
    def delete(self, request: Request, feature: str, layer: str) -> Response:
        self._may_move(layer)
        found, expected, dry = find_feature(feature, self.actor), expected_of(request), flag(request, "dry_run")
        moved = unpin(found, layer, expected=expected, by=self.actor, dry_run=dry)  # type: ignore[arg-type]
        return self._moved(found, moved, dry)

    def _moved(self, feature: Feature, moved: Moved, dry: bool) -> Response:
        headers = {} if dry else {"ETag": etag_of(moved.pin)}
        return Response(moved_json(feature, moved, dry, self.actor), headers=headers)

    def _may_move(self, layer: str) -> None:
        """Before the body is judged. Raises Forbidden, and NotFound where there is no such layer."""
        whose(layer, self.actor)  # type: ignore[arg-type]
        self.actor.need(f"pin.{layer}")


class Pins(Door):
    """Who stays on what."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(PIN_LISTED)),
        summary="The pins of the organisation and its people (admins)",
    )  # fmt: skip
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("pin.others")
        found = find_feature(feature, self.actor)
        with self.actor.present():
            marks = marks_of(found)
        return page(request, pins_of(found), lambda row: _listed(row, marks), actor=self.actor)


class PinOf(Door):
    """Somebody's pin."""

    @extend_schema(responses=answers(MOVED), summary="End somebody's pin (admins, audited)")
    def delete(self, request: Request, feature: str, subject: str) -> Response:
        self.actor.need("pin.others")
        found, who = find_feature(feature, self.actor), subject_named(self.actor, subject)
        return Response(moved_json(found, end_pin_of(found, who, by=self.actor), False, self.actor))


class Restore(Door):
    """Back to how it was."""

    @extend_schema(
        request=RestoreBody, parameters=[DRY_RUN], responses=answers(RESTORED), summary="Put it back as it was"
    )
    def post(self, request: Request, feature: str) -> Response:
        body = self.read(RestoreBody)
        layer = body["layer"]
        who = whose(layer, self.actor)
        self.actor.need(f"pin.{layer}")
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        if "pin" in body:
            restored = restore_pin(found, layer, body["pin"], by=self.actor, dry_run=dry)
        else:
            receipt = self._receipt(found, body["run"], who) if "run" in body else None
            given = {name: body[name] for name in ("at", "run", "until", "reason") if name in body}
            restored = restore(found, layer, receipt=receipt, **given, by=self.actor, dry_run=dry)
        told = {"result": restored.result, "reasons": restored.reasons, "wanted": restored.wanted}
        undo = None if dry else _undo(found, layer, restored.moved)
        return Response({**told, "undo": undo, **moved_json(found, restored.moved, dry, self.actor)})

    def _receipt(self, feature: Feature, run_id: UUID, who: Who) -> dict[str, Any]:
        run = find_run(run_id, self.actor)
        if run is None or run.feature_id != feature.id:
            raise NotFound("There is no such run.")
        if run.subject_id != who.id and not who.is_tenant:  # its receipt counts somebody else's revisions
            told = Problem("/run", "subject", "must be a run of one's own")
            raise Invalid("That run was made for somebody else: it says nothing of your own changes.", errors=[told])
        return dict(run.receipt)


def _undo(feature: Feature, layer: str, moved: Moved) -> dict[str, Any]:
    """The request that takes a restore back: the pin before it again, or following the vendor."""
    address = f"/api/v1/features/{feature.key}"
    if moved.previous is None:
        return {"method": "DELETE", "path": f"{address}/pin/{layer}", "body": None}
    body = {"pin": str(moved.previous.id), "layer": layer}
    return {"method": "POST", "path": f"{address}/restore", "body": body}


def pin_json(row: Pin, marks: Marks) -> dict[str, Any]:
    """A pin as the API shows it, with what bears on it: a policy that suspends it, a withdrawal of its version."""
    return {
        "kind": row.kind,
        "version": row.base,
        "tenant_revision": row.tenant_revision,
        "user_revision": row.user_revision,
        "reason": row.reason,
        "author": row.author,
        "until": marks.ends(row),
        "created": row.created_at,
        "as_of": row.as_of,
        "run": None if row.run is None else str(row.run),
        "counts": marks.counts(row),
        "withdrawn": withdrawn_json(row.base, marks.stopped),
    }


def _listed(row: Pin, marks: Marks) -> dict[str, Any]:
    subject = "" if row.subject.kind == "tenant" else row.subject.key
    return {**pin_json(row, marks), "subject": subject, "layer": "tenant" if not subject else "user"}


def moved_json(feature: Feature, moved: Moved, dry_run: bool, actor: Actor) -> dict[str, Any]:
    """What a pin, its end or a restore does: receipts before and after, and the fields that change."""
    with actor.present():
        pinned = moved.pin and pin_json(moved.pin, marks_of(feature))
    return {
        "pin": pinned,
        "before": moved.before.as_json(),
        "after": moved.after.as_json(),
        "changes": [change_json(change, moved.hidden) for change in moved.changes],
        "dry_run": dry_run,
    }
