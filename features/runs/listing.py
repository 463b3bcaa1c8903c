"""Runs as they are shown: one with its calls, one's own as lists and counts."""

import json
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
from tenants.isolation import APP, alone, tenant_row
from tenants.models import Subject
from tenants.subjects import Who

from .models import Attempt, Run

_JSON = frozenset({"input", "output", "error", "receipt", "usage", "feedback"})
_NOT_SHOWN = ("now", "author", "place", "item_key", "preview", "cache_key", "forget_at")
_SHOWN = [field.attname for field in Run._meta.concrete_fields if field.attname not in _NOT_SHOWN]
_ONE = alone(
    f"""SELECT {", ".join(f"r.{name}" for name in _SHOWN)}, f.key AS feature, s.key AS subject, CASE WHEN r.attempts > 0
        THEN (SELECT json_agg(json_build_array(row_to_json(a), m.model, m.provider, m.input_price, m.cached_input_price,
                                               m.output_price) ORDER BY a.number)::text
              FROM runs_attempt a JOIN features_modeltarget m ON m.id = a.target_id
              WHERE a.tenant_id = %(tenant)s AND a.run = %(run)s) END AS calls
    FROM runs_run r JOIN features_feature f ON f.id = r.feature_id
    JOIN tenants_subject s ON s.tenant_id = r.tenant_id AND s.id = r.subject_id
    WHERE r.tenant_id = %(tenant)s AND r.id = %(run)s AND r.preview IS NULL
      AND (%(subject)s::uuid IS NULL OR r.subject_id = %(subject)s::uuid)"""
)


def look_at(run_id: UUID, by: Actor) -> tuple[Run, list[dict[str, Any]]] | None:
    """A run that the actor may see (accept.find_run) as far as it is shown, and its calls: one statement by itself.

    Its feature and its subject have their keys alone. Raises Forbidden for an operator.
    """
    subject = None if "run.others" in by.can else by.acting_for().id
    found = tenant_row(by.tenant_id, _ONE, {"run": run_id, "subject": subject})
    if found is None:
        return None
    *values, feature, subject_key, calls = found
    values = [
        json.loads(value) if name in _JSON and value is not None else value
        for name, value in zip(_SHOWN, values, strict=True)
    ]
    run: Run = Run.from_db(APP, _SHOWN, values)
    run.feature = Feature.from_db(APP, ("id", "key"), (run.feature_id, feature))
    run.subject = Subject.from_db(APP, ("id", "key"), (run.subject_id, subject_key))
    return run, [_call(*row) for row in json.loads(calls or "[]")]


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


def runs_listed(actor: Actor, who: Who | None = None) -> QuerySet[Run]:
    """The actor's own runs that lists show, or another's: without previews and the items of batches.

    Raises Forbidden where another's are not theirs to see.
    """
    if who is None:
        return _mine(actor).filter(batch=None)
    actor.need("run.others")
    return Run.objects.filter(tenant_id=actor.tenant_id, subject_id=who.id, preview=None, batch=None)


def runs_of_all(actor: Actor, of: Who | None = None) -> QuerySet[Run]:
    """Everybody's runs that lists show, or one subject's, for who may see others'. Raises Forbidden."""
    actor.need("run.others")
    rows = Run.objects.filter(tenant_id=actor.tenant_id, preview=None, batch=None)
    return rows if of is None else rows.filter(subject_id=of.id)


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


def attempts_of(run_id: UUID) -> list[Attempt]:
    """A run's calls in order, with what they were made to; within the tenant's transaction."""
    return list(Attempt.objects.select_related("target").filter(run=run_id).order_by("number"))


def repairs_of(run_id: UUID) -> int:
    """How often a run's model was asked again to mend its answer; within the tenant's transaction."""
    return Attempt.objects.filter(run=run_id, kind="repair").count()


def _call(
    row: dict[str, Any], model: str, provider: str, input_price: int, cached_input_price: int, output_price: int
) -> dict[str, Any]:
    """One call to a model, as the API shows it, from its row as JSON."""
    finished = row["finished_at"]
    return {
        "number": row["number"], "kind": row["kind"], "outcome": row["outcome"] or None,
        "detail": row["detail"] or None, "model": model, "provider": provider,
        "started": datetime.fromisoformat(row["started_at"]),
        "finished": datetime.fromisoformat(finished) if finished else None, "input_tokens": row["input_tokens"],
        "cached_input_tokens": row["cached_input_tokens"], "output_tokens": row["output_tokens"], "cost": row["cost"],
        "own_key": row["own_key"],
        "prices": {"input": input_price, "cached_input": cached_input_price, "output": output_price},
    }  # fmt: skip
