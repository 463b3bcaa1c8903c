"""What was used and what it cost, summed from the ledger: by feature, user, model, layer or day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import Case, Count, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import TruncDate

from features.models import Feature
from tenants.models import Subject

from .models import Ledger, Run

By = Literal["feature", "user", "model", "layer", "day"]
BY: tuple[By, ...] = ("feature", "user", "model", "layer", "day")

# The latest layer that took part, as the run's receipt says.
_LAYER = Case(
    When(~Q(receipt__user=None), then=Value("user")),
    When(~Q(receipt__tenant=None), then=Value("tenant")),
    default=Value("base"),
)
_GROUPS: Mapping[By, Any] = {
    "day": TruncDate("at"),
    "layer": Case(  # the runs of previews go, and what they cost stays
        When(preview=True, then=Value("preview")),
        default=Subquery(Run.objects.filter(pk=OuterRef("run")).annotate(layer=_LAYER).values("layer")),
    ),
}
_COLUMNS: Mapping[By, str] = {"feature": "feature", "user": "subject", "model": "model"}


@dataclass(frozen=True, slots=True)
class Used:
    """One group's runs, tokens, and cost in micro-units; `key` is what the API calls the group.

    `cached` runs were answered with the output of an equal one, `repaired` asked the model again. The `*_tokens` of
    layers are about how many of the input tokens each layer's texts made: an estimate.
    """

    key: str
    runs: int
    cached: int
    repaired: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost: int
    base_tokens: int
    tenant_tokens: int
    user_tokens: int


def used(tenant_id: UUID, by: By, *, since: datetime | None = None, until: datetime | None = None) -> list[Used]:
    """Sum a tenant's runs that ended from `since` on and before `until`; within the tenant's transaction."""
    rows = Ledger.objects.filter(tenant_id=tenant_id)
    rows = rows.filter(at__gte=since) if since else rows
    rows = rows.filter(at__lt=until) if until else rows
    column = _COLUMNS.get(by, "key")
    grouped = rows.annotate(key=_GROUPS[by]) if by in _GROUPS else rows
    sums = grouped.values(column).annotate(
        runs=Count("run"),
        cached_runs=Count("run", filter=Q(cached=True)),
        repaired=Count("run", filter=Q(repairs__gt=0)),
        **{
            f"sum_{name}": Sum(name)
            for name in (
                "input_tokens", "cached_input_tokens", "output_tokens", "cost", "base_tokens", "tenant_tokens",
                "user_tokens",
            )
        },
    )  # fmt: skip
    found = list(sums.order_by(column))
    names = _names(by, [row[column] for row in found])
    return [
        Used(
            key=names.get(row[column], str(row[column])), runs=row["runs"], cached=row["cached_runs"],
            repaired=row["repaired"], **{name.removeprefix("sum_"): row[name] for name in row if name[:4] == "sum_"},
        )
        for row in found
    ]  # fmt: skip


def spent_by_day(tenant_id: UUID, since: datetime, until: datetime) -> dict[date, int]:
    """What a tenant spent on each day (UTC) that it spent something, in micro-units; within its transaction."""
    rows = Ledger.objects.filter(tenant_id=tenant_id, at__gte=since, at__lt=until)
    return dict(rows.values_list(TruncDate("at")).annotate(Sum("cost")).order_by())


def _names(by: By, ids: Iterable[Any]) -> dict[Any, str]:
    if by == "feature":
        return dict(Feature.objects.filter(pk__in=list(ids)).values_list("id", "key"))
    if by == "user":
        return dict(Subject.objects.filter(pk__in=list(ids)).values_list("id", "key"))
    return {}
