"""A run as the API shows it, and the doors that only read or rate runs."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, Count, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import TruncDate
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.find import find_feature
from features.models import Feature
from features.runs.accept import find_run
from features.runs.finish import rate
from features.runs.listing import attempts_of
from features.runs.models import Ledger, Run, State
from tenants.errors import Malformed, NotFound
from tenants.models import Subject

from .door import Door, moment, page
from .fields import Strict, Text
from .runs_shapes import RUN, USAGE_ROW
from .schema import PAGING
from .shapes import TEXT, answers, array, listed, shape


class Feedback(Strict):
    """What a person says of an output."""

    verdict = serializers.ChoiceField(["good", "bad"])
    correction = serializers.JSONField(required=False)
    note = Text(max_length=2000, required=False, allow_blank=True)


class Runs(Door):
    """The runs one may see."""

    @extend_schema(
        parameters=[
            OpenApiParameter("feature", str),
            OpenApiParameter("state", str, enum=State.values),
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


class RunDoor(Door):
    """What the doors of one run share."""

    def _find(self, run_id: UUID) -> Run:
        run = find_run(run_id, self.actor)
        if run is None:
            raise NotFound("There is no such run.")
        return run


class OneRun(RunDoor):
    """One run."""

    @extend_schema(responses=answers(RUN), summary="A run, with its receipt and the calls that were made")
    def get(self, request: Request, run_id: UUID) -> Response:
        run = self._find(run_id)
        with self.actor.present():
            return Response(run_json(run, calls=True))


class RunFeedback(RunDoor):
    """What people say of an output."""

    @extend_schema(request=Feedback, responses=answers(RUN), summary="Rate an output, or correct it")
    def put(self, request: Request, run_id: UUID) -> Response:
        self.actor.need("run.rate")
        body = self.read(Feedback)
        run = rate(self._find(run_id), body, by=self.actor)
        with self.actor.present():
            return Response(run_json(run))


class Usage(Door):
    """What was used."""

    BY = ("feature", "user", "model", "layer", "day")

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
        by = request.query_params.get("by", "feature")
        if by not in self.BY:
            raise Malformed(f"by is one of {', '.join(self.BY)}.")
        since, until = moment(request.query_params.get("from"), "from"), moment(request.query_params.get("to"), "to")
        with self.actor.present():
            rows = Ledger.objects.filter(tenant_id=self.actor.tenant_id)
            rows = rows.filter(at__gte=since) if since else rows
            rows = rows.filter(at__lt=until) if until else rows
            return Response({"by": by, "items": _usage(rows, by)})


# The latest layer that took part, as the run's receipt says.
_LAYER = Case(
    When(~Q(receipt__user=None), then=Value("user")),
    When(~Q(receipt__tenant=None), then=Value("tenant")),
    default=Value("base"),
)
_KEYS = {
    "day": TruncDate("at"),
    "layer": Case(  # the runs of previews go, and what they cost stays
        When(preview=True, then=Value("preview")),
        default=Subquery(Run.objects.filter(pk=OuterRef("run")).annotate(layer=_LAYER).values("layer")),
    ),
}


def _usage(rows: Any, by: str) -> list[dict[str, Any]]:
    column = {"feature": "feature", "user": "subject", "model": "model"}.get(by, "key")
    grouped = rows.annotate(key=_KEYS[by]) if by in _KEYS else rows
    totals = grouped.values(column).annotate(
        runs=Count("run"), input=Sum("input_tokens"), output=Sum("output_tokens"), money=Sum("cost"),
        hits=Count("run", filter=Q(cached=True)), prefix=Sum("cached_input_tokens"),
        base=Sum("base_tokens"), tenant_part=Sum("tenant_tokens"), user=Sum("user_tokens"),
    )  # fmt: skip
    names = _names(by, [row[column] for row in totals])
    return [
        {
            "key": names.get(row[column], str(row[column])), "runs": row["runs"], "input_tokens": row["input"],
            "cached_input_tokens": row["prefix"], "output_tokens": row["output"], "cached": row["hits"],
            "cost": cost_json(row["money"]),
            "estimated_tokens": {"base": row["base"], "tenant": row["tenant_part"], "user": row["user"]},
        }
        for row in totals.order_by(column)
    ]  # fmt: skip


def _names(by: str, ids: list[Any]) -> dict[Any, str]:
    if by == "feature":
        return dict(Feature.objects.filter(pk__in=ids).values_list("id", "key"))
    if by == "user":
        return {row.id: row.key for row in Subject.objects.filter(pk__in=ids)}
    return {}


def cost_json(micro: int) -> dict[str, Any]:
    """Money: millionths of the currency, as a whole number."""
    return {"micro": micro, "currency": settings.CURRENCY}


def run_json(run: Run, *, calls: bool = False) -> dict[str, Any]:
    """A run as the API shows it; with `calls`, also each call to a model, within the tenant's transaction."""
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
    if not calls:
        return shown
    return {**shown, "calls": attempts_of(run.id) if run.attempts else []}
