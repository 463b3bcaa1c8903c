"""One's own runs, as lists and counts."""

from datetime import datetime
from uuid import UUID

from django.db.models import Count, QuerySet

from features.models import Feature
from tenants.actor import Actor
from tenants.ids import floor_of

from .models import Run


def my_runs(actor: Actor, *, feature: Feature | None = None, before: UUID | None = None, most: int) -> list[Run]:
    """The actor's newest runs, before a given one if told; without outputs. Within the actor's transaction."""
    rows = _mine(actor).select_related("feature").defer("output").order_by("-id")
    if feature is not None:
        rows = rows.filter(feature=feature)
    if before is not None:
        rows = rows.filter(id__lt=before)
    return list(rows[:most])


def my_counts_since(actor: Actor, moment: datetime) -> dict[UUID, int]:
    """How often the actor ran each feature since a moment; run ids carry the time, so old partitions stay unread."""
    rows = _mine(actor).filter(id__gte=floor_of(moment)).values_list("feature_id").annotate(Count("id"))
    return dict(rows.order_by())


def _mine(actor: Actor) -> QuerySet[Run]:
    return Run.objects.filter(tenant_id=actor.tenant_id, subject_id=actor.acting_for().id)
