"""Impact: whom a move of a feature reaches, asked before it is made or read afterwards. Operators only."""

import time
from typing import Any
from uuid import UUID

from django.db import connections
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.find import find_feature
from features.impact import OUTCOMES, find_impact, impact_of_rollout, impacts_of, look, rows_of
from features.models import Impact, ImpactRow, Rollout
from tenants.actor import Actor
from tenants.errors import Malformed
from tenants.isolation import OPERATOR

from .door import Door, page
from .fields import Choice, Strict, Text, Whole
from .idempotency import begun_once, replayed
from .runs import patience
from .schema import PAGING, header
from .shapes import IMPACT, IMPACT_ROW, answers, listed

DEFAULT_WAIT, LONGEST_WAIT, LOOK_SECONDS = 3.0, 30.0, 0.1
MOST_TENANTS = 1_000
FINAL = (Impact.State.DONE, Impact.State.FAILED)
_PREFER = header("Prefer", "`wait=N` waits up to N seconds (3 if not said, at most 30) for the end; `respond-async`: 0")
_OUTCOME = OpenApiParameter("outcome", str, enum=OUTCOMES, description="only the rows of this outcome")


class Question(Strict):
    """Where to: for everybody, for those whom a rollout would include, or (`withdraw`) in place of a version."""

    to = Whole(min_value=1)
    percent = serializers.FloatField(min_value=0, max_value=100, required=False)
    tenants = serializers.ListField(child=Text(max_length=50), max_length=MOST_TENANTS, required=False)
    unit = Choice(Rollout.Unit.values, required=False)
    withdraw = Whole(min_value=1, required=False)


class Impacts(Door):
    """The impacts of a feature."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(IMPACT)), summary="A feature's impacts, newest first (operators)"
    )
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("impact.read")
        found = find_feature(feature, self.actor)
        return page(request, impacts_of(found), impact_json, actor=self.actor)


class Ask(Door):
    """A question that moves nothing."""

    once_itself = True  # what it waits for needs its question committed

    @extend_schema(
        request=Question, parameters=[_PREFER], responses={**answers(IMPACT), **answers(IMPACT, 202)},
        summary="Ask whom a move, a rollout's step or a withdrawal would reach (operators)",
    )  # fmt: skip
    def post(self, request: Request, feature: str) -> Response:
        self.actor.need("impact.read")
        body, wait = self.read(Question), _patience(request)
        found = find_feature(feature, self.actor)
        asked, again = begun_once(
            request._request, self.actor, request.data, lambda: str(look(found, **body, by=self.actor).id)
        )
        impact = _ended(UUID(asked), wait, self.actor)
        told = replayed({"Location": f"/api/v1/impacts/{impact.id}"}, again=again)
        return Response(impact_json(impact), status=200 if impact.state in FINAL else 202, headers=told)


class OneImpact(Door):
    """One impact as far as it is."""

    @extend_schema(responses=answers(IMPACT), summary="Counts and progress of an impact (operators)")
    def get(self, request: Request, impact_id: UUID) -> Response:
        return Response(impact_json(find_impact(impact_id, self.actor)))


class ImpactRows(Door):
    """Who exactly."""

    @extend_schema(
        parameters=[_OUTCOME, *PAGING], responses=answers(listed(IMPACT_ROW)),
        summary="Every override and pin that the move is about, by name and never with content (operators)",
    )  # fmt: skip
    def get(self, request: Request, impact_id: UUID) -> Response:
        impact = find_impact(impact_id, self.actor)
        outcome = request.query_params.get("outcome")
        if outcome is not None and outcome not in OUTCOMES:
            raise Malformed(f"outcome is one of: {', '.join(OUTCOMES)}.")
        return page(request, rows_of(impact, outcome), row_json, actor=self.actor)


class RolloutImpact(Door):
    """Whom a rollout's step reaches."""

    @extend_schema(responses=answers(IMPACT), summary="The impact of a rollout's latest step (operators)")
    def get(self, request: Request, rollout_id: UUID) -> Response:
        return Response(impact_json(impact_of_rollout(rollout_id, self.actor)))


def impact_json(impact: Impact) -> dict[str, Any]:
    """An impact as the API shows it; its feature has been read with it."""
    return {
        "id": str(impact.id),
        "feature": impact.feature.key,
        "kind": impact.kind,
        "before": impact.before,
        "to": impact.to,
        "stage": impact.stage,
        "rollout": None if impact.rollout_id is None else str(impact.rollout_id),
        "state": impact.state,
        "why": impact.why,
        "at": impact.at,
        "counts": impact.counts or None,
        "tenants_done": impact.tenants_done,
        "tenants_all": impact.tenants_all,
        "author": impact.author,
        "created": impact.created_at,
        "finished": impact.finished_at,
    }


def row_json(row: ImpactRow) -> dict[str, Any]:
    """One row of an impact as the API shows it."""
    return {
        "tenant": str(row.tenant),
        "tenant_name": row.tenant_name,
        "subject": str(row.subject),
        "layer": row.layer,
        "name": row.name,
        "outcome": row.outcome,
        "fields": row.fields,
        "before": row.before,
        "after": row.after,
        "overruled": row.outcome == "pinned" and row.before != row.after,
    }


def _patience(request: Request) -> float:
    return min(patience(request._request), LONGEST_WAIT) if "Prefer" in request.headers else DEFAULT_WAIT


def _ended(impact_id: UUID, wait: float, actor: Actor) -> Impact:
    """The impact when it has ended, or after so many seconds as it is then; between looks no connection is held."""
    until = time.monotonic() + wait
    while True:
        impact = find_impact(impact_id, actor)
        left = until - time.monotonic()
        if impact.state in FINAL or left <= 0:
            return impact
        connections[OPERATOR].close()
        time.sleep(min(LOOK_SECONDS, left))
