"""Rollouts: a feature moved to a version step by step, watched by guards. Operators only."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.rollouts import advance, pause, resume, roll_back, start_rollout
from features.engine import GUARDS
from features.find import find_feature
from features.models import Rollout
from features.rollouts import (
    event_json,
    events_of,
    find_rollout,
    guards_json,
    place_counts,
    places_of,
    rollout_json,
    rollouts_of,
    tenants_of,
)

from .door import Door, flag, page, paged
from .fields import Choice, Object, Strict, Text, Whole
from .schema import DRY_RUN, PAGING
from .shapes import GUARD_POINTS, PLACE, ROLLOUT, ROLLOUT_EVENT, ROLLOUT_NOW, answers, array, listed, shape

_TIME_OR_SECONDS = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "examples": ["1h", "2d"]}]}
_WHO = {
    "percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    "tenants": {"type": "array", "items": {"type": "string"}, "description": "slugs or ids"},
}
_STEP = {
    "type": "object",
    "properties": {**_WHO, "hold": _TIME_OR_SECONDS, "min_runs": {"type": "integer", "minimum": 0}},
    "oneOf": [{"required": ["percent"]}, {"required": ["tenants"]}],
    "additionalProperties": False,
}
_GUARD = {
    "type": "object",
    "properties": {
        "max": {"type": "number", "minimum": 0, "description": "a share from 0 to 1; micro-units for cost_per_run"},
        "min_runs": {"type": "integer", "description": "the smallest sample that counts; 30 if not said"},
        "do": {"enum": ["pause", "roll_back"]},
    },
    "required": ["max"],
    "additionalProperties": False,
}


@extend_schema_field({"type": "array", "items": _STEP, "minItems": 1, "maxItems": 50})
class Steps(serializers.ListField):
    """Whom each step includes, how long it holds and how many runs it waits for; its inside is read elsewhere."""


@extend_schema_field({"type": "object", "properties": dict.fromkeys(GUARDS, _GUARD), "additionalProperties": False})
class Guards(Object):
    """Limits by the guard's name."""


class NewRollout(Strict):
    """Where to, in which steps, watched by what."""

    to = Whole(min_value=1)
    steps = Steps()
    guards = Guards(required=False)
    unit = Choice(Rollout.Unit.values, default=Rollout.Unit.TENANT.value)
    message = Text(max_length=500, required=False, allow_blank=True)


class Why(Strict):
    """A reason, for the log."""

    why = Text(max_length=500, required=False, allow_blank=True)


class Rollouts(Door):
    """The rollouts of a feature."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(ROLLOUT)), summary="A feature's rollouts, newest first (operators)"
    )
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("rollout.read")
        found = find_feature(feature, self.actor)
        return page(request, rollouts_of(found), rollout_json, actor=self.actor)

    @extend_schema(
        request=NewRollout, parameters=[DRY_RUN], responses={**answers(ROLLOUT, 201), **answers(ROLLOUT)},
        summary="Start a rollout: its first step is in force at once (operators)",
    )  # fmt: skip
    def post(self, request: Request, feature: str) -> Response:
        self.actor.need("rollout.manage")
        body, dry = self.read(NewRollout), flag(request, "dry_run")
        found = find_feature(feature, self.actor)
        rollout = start_rollout(found, **body, by=self.actor, dry_run=dry)
        with self.actor.present():
            told = rollout_json(rollout)
        if dry:
            return Response(told)
        return Response(told, status=201, headers={"Location": f"/api/v1/rollouts/{rollout.id}"})


class OneRollout(Door):
    """One rollout as it is."""

    @extend_schema(responses=answers(ROLLOUT_NOW), summary="One rollout, and how many tenants are where (operators)")
    def get(self, request: Request, rollout_id: UUID) -> Response:
        rollout = find_rollout(rollout_id, self.actor)
        with self.actor.present():
            return Response({**rollout_json(rollout), "places": place_counts(rollout)})


class RolloutEvents(Door):
    """What happened to it."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(ROLLOUT_EVENT)),
        summary="What happened to a rollout, who did it and why, newest first (operators)",
    )  # fmt: skip
    def get(self, request: Request, rollout_id: UUID) -> Response:
        return page(request, events_of(find_rollout(rollout_id, self.actor)), event_json, actor=self.actor)


class RolloutGuards(Door):
    """What its guards measured."""

    @extend_schema(
        responses=answers(shape(items=array(GUARD_POINTS))),
        summary="Each guard of a rollout with all that it measured, oldest first (operators)",
    )
    def get(self, request: Request, rollout_id: UUID) -> Response:
        rollout = find_rollout(rollout_id, self.actor)
        with self.actor.present():
            return Response({"items": guards_json(rollout)})


class RolloutTenants(Door):
    """Who is where."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(PLACE)), summary="Which tenant is where in a rollout (operators)"
    )
    def get(self, request: Request, rollout_id: UUID) -> Response:
        rollout = find_rollout(rollout_id, self.actor)

        def told(tenants: list[Any]) -> list[Any]:
            return [place.as_json() for place in places_of(rollout, tenants)]

        return paged(request, tenants_of(rollout), told, actor=self.actor)


class _Moving(Door):
    """What operators do to a rollout that is under way."""

    def move(self, rollout_id: UUID, act: Callable[..., Rollout]) -> Response:
        self.actor.need("rollout.manage")
        body = self.read(Why)
        moved = act(find_rollout(rollout_id, self.actor), why=body.get("why", ""), by=self.actor)
        with self.actor.present():
            return Response(rollout_json(moved))


class Advance(_Moving):
    """On to the next step."""

    @extend_schema(request=Why, responses=answers(ROLLOUT), summary="Begin the next step now (operators)")
    def post(self, request: Request, rollout_id: UUID) -> Response:
        return self.move(rollout_id, advance)


class Pause(_Moving):
    """Stay at this step."""

    @extend_schema(request=Why, responses=answers(ROLLOUT), summary="Stay at this step; nobody is moved (operators)")
    def post(self, request: Request, rollout_id: UUID) -> Response:
        return self.move(rollout_id, pause)


class Resume(_Moving):
    """Go on."""

    @extend_schema(request=Why, responses=answers(ROLLOUT), summary="Go on; the step begins anew (operators)")
    def post(self, request: Request, rollout_id: UUID) -> Response:
        return self.move(rollout_id, resume)


class RollBack(_Moving):
    """Everybody back to where they were."""

    @extend_schema(request=Why, responses=answers(ROLLOUT), summary="Take everybody back, and end it (operators)")
    def post(self, request: Request, rollout_id: UUID) -> Response:
        return self.move(rollout_id, roll_back)
