"""Who relies on a feature, for operators: which organisations ran it of late, and how much of their own hangs on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.db.models.functions import Now

from features.models import Feature, Override, Pin
from tenants.actor import Actor
from tenants.ids import floor_of
from tenants.isolation import OPERATOR
from tenants.workshop import WORKSHOP, customers

from .models import Ledger


@dataclass(frozen=True, slots=True)
class Reliance:
    """An organisation and a feature: its runs since a moment, and the overrides and pins of it and its people."""

    slug: str
    name: str
    runs: int
    kept: int


def who_relies(feature: Feature, *, since: datetime, by: Actor) -> list[Reliance]:
    """The organisations that ran a feature since a moment or keep something of their own in it, most runs first.

    Counts, never content; four statements. Raises Forbidden for who is no operator.
    """
    by.need("version.read")
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    with by.present():
        ledger = Ledger.objects.using(OPERATOR).filter(feature=feature.id, run__gte=floor_of(since), at__gte=since)
        runs = _by_tenant(ledger.exclude(tenant_id=WORKSHOP))
        kept = _by_tenant(Override.objects.using(OPERATOR).filter(feature=feature, valid_to=None))
        for tenant_id, pins in _by_tenant(Pin.objects.using(OPERATOR).filter(live, feature=feature)).items():
            kept[tenant_id] = kept.get(tenant_id, 0) + pins
        rows = list(customers().filter(pk__in=runs.keys() | kept.keys()).only("id", "slug", "name"))
    found = (Reliance(row.slug, row.name, runs.get(row.id, 0), kept.get(row.id, 0)) for row in rows)
    return sorted(found, key=lambda one: (-one.runs, -one.kept, one.name.casefold()))


def _by_tenant(rows: Any) -> dict[UUID, int]:
    counted: Iterable[tuple[UUID, int]] = rows.order_by().values_list("tenant_id").annotate(n=Count("*"))
    return dict(counted)
