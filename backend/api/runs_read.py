"""A run as the API shows it, and the doors that only read or rate runs."""

from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.find import find_feature
from features.runs.accept import find_run
from features.runs.finish import rate
from features.runs.listing import look_at
from features.runs.models import Run, State
from tenants.errors import Malformed, NotFound

from .conditions import Conditional, held
from .door import Door, page
from .fields import Choice, Strict, Text
from .runs_shapes import FEEDBACK, RUN
from .schema import PAGING
from .shapes import answers, listed


class Feedback(Strict):
    """What a person says of an output."""

    verdict = Choice(["good", "bad"])
    correction = serializers.JSONField(required=False)
    note = Text(max_length=2000, required=False, allow_blank=True)


class Runs(Door):
    """The runs one may see."""

    @extend_schema(
        parameters=[
            OpenApiParameter("feature", str, description="of one feature, by its key"),
            OpenApiParameter("state", str, enum=State.values, description="in one state"),
            OpenApiParameter("user", str, description="of one subject (admins)"),
            OpenApiParameter("batch", OpenApiTypes.UUID, description="the runs of a batch, which are in no other list"),
            *PAGING,
        ],
        responses=answers(listed(RUN)),
        summary="My runs, newest first; an admin's are the whole organisation's",
    )
    def get(self, request: Request) -> Response:
        actor = self.actor
        actor.need("run.read")
        rows = Run.objects.select_related("feature", "subject").filter(tenant_id=actor.tenant_id, preview=None)
        feature, state, user = (request.query_params.get(name) for name in ("feature", "state", "user"))
        if user is not None:
            actor.need("run.others")
            rows = rows.filter(subject_id=subject_named(actor, user).id)
        elif "run.others" not in actor.can:
            rows = rows.filter(subject_id=actor.acting_for().id)
        rows = rows.filter(batch=_uuid(request.query_params.get("batch")))
        if feature is not None:
            rows = rows.filter(feature=find_feature(feature, actor))
        if state is not None:
            if state not in State.values:
                raise Malformed(f"state is one of {', '.join(State.values)}.")
            rows = rows.filter(state=state)
        return page(request, rows, run_json, actor=actor)


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise Malformed("batch is the id of a batch.") from None


class OneRun(Door):
    """One run."""

    @extend_schema(responses=answers(RUN), summary="A run, with its receipt and the calls that were made")
    def get(self, request: Request, run_id: UUID) -> Response:
        found = look_at(run_id, self.actor)
        if found is None:
            raise NotFound("There is no such run.")
        return Response(run_json(*found))


class RunFeedback(Conditional):
    """What people say of an output."""

    state = ("feedback",)
    optional = True

    def hold(self, run_id: UUID) -> None:
        held(Run.objects.all(), run_id)

    @extend_schema(responses=answers(FEEDBACK), summary="What is said of an output; null for nothing yet")
    def get(self, request: Request, run_id: UUID) -> Response:
        run = find_run(run_id, self.actor)
        if run is None:
            raise NotFound("There is no such run.")
        return Response({"feedback": run.feedback})

    @extend_schema(request=Feedback, responses=answers(RUN), summary="Rate an output, or correct it")
    def put(self, request: Request, run_id: UUID) -> Response:
        self.actor.need("run.rate")
        body = self.read(Feedback)
        run = find_run(run_id, self.actor)
        if run is None:
            raise NotFound("There is no such run.")
        rate(run, body, by=self.actor)
        with self.actor.present():
            return Response(run_json(run))


def cost_json(micro: int) -> dict[str, Any]:
    """Money: millionths of the currency, as a whole number."""
    return {"micro": micro, "currency": settings.CURRENCY}


def run_json(run: Run, calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A run as the API shows it, where they are told with the calls to models that it made."""
    shown = {
        "id": str(run.id),
        "feature": run.feature.key,
        "subject": run.subject.key,
        "state": run.state,
        "input": run.input,
        "output": run.output,
        "error": run.error,
        "receipt": run.receipt,
        "usage": run.usage,
        "cost": cost_json(run.cost),
        "attempts": run.attempts,
        "cached": run.cached,
        "feedback": run.feedback,
        "batch": run.batch,
        "replay_of": run.replay_of,
        "stored": run.store,
        "input_digest": run.input_digest or None,
        "output_digest": run.output_digest or None,
        "created": run.created_at,
        "started": run.started_at,
        "finished": run.finished_at,
    }
    return shown if calls is None else {**shown, "calls": calls}
