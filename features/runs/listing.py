"""One's own runs, as lists and counts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Func, IntegerField, JSONField, Q, QuerySet, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Extract

from features.models import Feature
from tenants.actor import Actor
from tenants.ids import floor_of
from tenants.subjects import Who

from .models import Attempt, Run


def my_runs(actor: Actor, *, feature: Feature | None = None, before: UUID | None = None, most: int) -> list[Run]:
    """The actor's newest runs, before a given one if told; without outputs, and without the items of batches.

    Within the actor's transaction.
    """
    rows = runs_listed(actor).select_related("feature").defer("output").order_by("-id")
    if feature is not None:
        rows = rows.filter(feature=feature)
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(rows[:most])


def runs_listed(actor: Actor) -> QuerySet[Run]:
    """The actor's own runs that lists show: without previews and the items of batches."""
    return _mine(actor).filter(batch=None)


def my_counts_since(actor: Actor, moment: datetime) -> dict[UUID, int]:
    """How often the actor ran each feature since a moment; run ids carry the time, so old partitions stay unread."""
    rows = _mine(actor).filter(id__gte=floor_of(moment)).values_list("feature_id").annotate(Count("id"))
    return dict(rows.order_by())


def _mine(actor: Actor) -> QuerySet[Run]:
    return Run.objects.filter(tenant_id=actor.tenant_id, subject_id=actor.acting_for().id, preview=None)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many runs there were in one stretch of time, and how many of them were rated not right."""

    since: datetime
    until: datetime
    runs: int
    bad: int


def counted_runs(
    tenant_id: UUID, who: Who, feature: Feature, start: datetime, end: datetime, pieces: int
) -> list[Counted]:
    """Count a subject's runs of a feature, for the tenant itself everybody's, in equal stretches of a time.

    Oldest first, stretches without a run left out; one statement, within the tenant's transaction. `end` is exclusive
    and lies after `start`.
    """
    width = (end - start) / pieces
    piece = Func(
        Extract("created_at", "epoch"), Value(start.timestamp()), Value(end.timestamp()), Value(pieces),
        function="width_bucket", output_field=IntegerField(),
    )  # fmt: skip
    rows = Run.objects.filter(tenant_id=tenant_id, feature=feature, id__gte=floor_of(start), created_at__gte=start)
    rows = rows.filter(created_at__lt=end, preview=None)
    if not who.is_tenant:
        rows = rows.filter(subject_id=who.id)
    verdict = KeyTextTransform("verdict", Cast("feedback", JSONField()))
    counts = rows.annotate(piece=piece, verdict=verdict).values("piece").order_by("piece")
    counted = counts.annotate(runs=Count("id"), bad=Count("id", filter=Q(verdict="bad")))
    return [
        Counted(start + width * (row["piece"] - 1), start + width * row["piece"], row["runs"], row["bad"])
        for row in counted
    ]


def attempts_of(run_id: Any) -> list[dict[str, Any]]:
    """A run's calls, as the API shows them; within the tenant's transaction."""
    rows = Attempt.objects.select_related("target").filter(run=run_id).order_by("number")
    return [
        {
            "number": row.number, "kind": row.kind, "outcome": row.outcome or None, "detail": row.detail or None,
            "model": row.target.model, "provider": row.target.provider, "started": row.started_at,
            "finished": row.finished_at, "input_tokens": row.input_tokens,
            "cached_input_tokens": row.cached_input_tokens, "output_tokens": row.output_tokens, "cost": row.cost,
            "own_key": row.own_key,
            "prices": {
                "input": row.target.input_price, "cached_input": row.target.cached_input_price,
                "output": row.target.output_price,
            },
        }
        for row in rows
    ]  # fmt: skip
