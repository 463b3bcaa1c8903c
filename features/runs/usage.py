"""What was used and what it cost, summed from the ledger: by feature, user, model, layer or day."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import TruncDate

from features.models import Feature
from tenants.isolation import OPERATOR
from tenants.models import Subject
from tenants.workshop import WORKSHOP, customers

from .models import Ledger, Run

By = Literal["feature", "user", "model", "layer", "day"]
BY: tuple[By, ...] = ("feature", "user", "model", "layer", "day")
VendorBy = Literal["tenant", "feature", "model", "day"]
VENDOR_BY: tuple[VendorBy, ...] = ("tenant", "feature", "model", "day")
SUMS = (
    "input_tokens", "cached_input_tokens", "output_tokens", "cost", "base_tokens", "tenant_tokens", "user_tokens",
)  # fmt: skip

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
    return _summed(_between(rows, since, until), _COLUMNS.get(by, "key"), _GROUPS.get(by), partial(_names, by))


def used_by_all(by: VendorBy, *, since: datetime | None = None, until: datetime | None = None) -> list[Used]:
    """Sum every organisation's runs, for operators: counts and money, never whom or what they were about."""
    rows = Ledger.objects.using(OPERATOR).exclude(tenant_id=WORKSHOP)
    column = {"tenant": "tenant_id", "feature": "feature", "model": "model"}.get(by, "key")
    group = _GROUPS["day"] if by == "day" else None
    return _summed(_between(rows, since, until), column, group, partial(_vendor_names, by))


def _between(rows: QuerySet[Ledger], since: datetime | None, until: datetime | None) -> QuerySet[Ledger]:
    rows = rows.filter(at__gte=since) if since else rows
    return rows.filter(at__lt=until) if until else rows


def _summed(
    rows: QuerySet[Ledger], column: str, group: Any, named: Callable[[list[Any]], Mapping[Any, str]]
) -> list[Used]:
    grouped: Any = rows if group is None else rows.annotate(key=group)
    sums = grouped.values(column).annotate(
        runs=Count("run"), cached_runs=Count("run", filter=Q(cached=True)),
        repaired=Count("run", filter=Q(repairs__gt=0)), **{f"sum_{name}": Sum(name) for name in SUMS},
    )  # fmt: skip
    found = list(sums.order_by(column))
    names = named([row[column] for row in found])
    return [
        Used(
            key=names.get(row[column], str(row[column])), runs=row["runs"], cached=row["cached_runs"],
            repaired=row["repaired"], **{name: row[f"sum_{name}"] for name in SUMS},
        )
        for row in found
    ]  # fmt: skip


def spent_by_day(tenant_id: UUID, since: datetime, until: datetime) -> dict[date, int]:
    """What a tenant spent on each day (UTC) that it spent something, in micro-units; within its transaction."""
    rows = Ledger.objects.filter(tenant_id=tenant_id, at__gte=since, at__lt=until)
    return dict(rows.values_list(TruncDate("at")).annotate(Sum("cost")).order_by())


def _vendor_names(by: VendorBy, ids: Iterable[Any]) -> dict[Any, str]:
    if by == "tenant":
        return dict(customers().filter(pk__in=list(ids)).values_list("id", "slug"))
    if by == "feature":
        return dict(Feature.objects.using(OPERATOR).filter(pk__in=list(ids)).values_list("id", "key"))
    return {}


def _names(by: By, ids: Iterable[Any]) -> dict[Any, str]:
    if by == "feature":
        return dict(Feature.objects.filter(pk__in=list(ids)).values_list("id", "key"))
    if by == "user":
        return dict(Subject.objects.filter(pk__in=list(ids)).values_list("id", "key"))
    return {}
