"""An impact tenant by tenant, the worst first: how many overrides and pins come to what, and the fields concerned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connections

from features.models import Feature, Impact, ImpactRow
from tenants.actor import Actor
from tenants.isolation import OPERATOR

from .outcome import OUTCOMES

MOST_FIELDS = 20  # names of fields that are told of one tenant
DECISIONS = ("broken", "conflict", "held", "orphaned", "suspended")  # the outcomes whose fields are told

_ROWS = """
FROM features_impactrow WHERE impact_id = %(impact)s
  AND (%(only)s::text[] IS NULL OR tenant IN (
      SELECT tenant FROM features_impactrow WHERE impact_id = %(impact)s AND outcome = ANY(%(only)s)))
  AND (%(find)s = '' OR strpos(lower(tenant_name), lower(%(find)s)) > 0)
"""
_TENANTS = f"""
SELECT tenant, min(tenant_name), json_object_agg(outcome, n),
       count(*) OVER (), min(array_position(%(ranks)s::text[], outcome::text)) AS worst
FROM (SELECT tenant, min(tenant_name) AS tenant_name, outcome, count(*) AS n {_ROWS} GROUP BY tenant, outcome) o
GROUP BY tenant
ORDER BY worst, max(n) FILTER (WHERE outcome = ANY(%(decide)s)) DESC NULLS LAST, min(tenant_name), tenant
LIMIT %(most)s"""
_FIELDS = """
SELECT tenant, array_agg(DISTINCT field) FROM features_impactrow, jsonb_array_elements_text(fields) AS field
WHERE impact_id = %(impact)s AND tenant = ANY(%(tenants)s) AND outcome = ANY(%(decide)s) GROUP BY tenant"""


@dataclass(frozen=True, slots=True)
class TenantImpact:
    """One tenant: how many overrides and pins come to each outcome, and the fields of those that need a look."""

    tenant: UUID
    name: str
    outcomes: Mapping[str, int]
    fields: tuple[str, ...]

    @property
    def subjects(self) -> int:
        return sum(self.outcomes.values())


def impact_by_tenant(
    impact: Impact, by: Actor, *, only: Collection[str] = (), find: str = "", most: int = 50
) -> tuple[list[TenantImpact], int]:
    """The tenants with an override or a pin, the worst first, and how many there are in all.

    `only` leaves those in which one of these outcomes occurs, `find` those whose name contains it. Raises Forbidden.
    """
    by.need("impact.read")
    facts: dict[str, Any] = {
        "impact": impact.id, "only": list(only) or None, "find": find, "ranks": list(OUTCOMES),
        "decide": list(DECISIONS), "most": most,
    }  # fmt: skip
    with by.present(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_TENANTS, facts)
        rows = cursor.fetchall()
        cursor.execute(_FIELDS, {**facts, "tenants": [row[0] for row in rows]})
        fields = dict(cursor.fetchall())
    found = [TenantImpact(row[0], row[1], row[2], tuple(fields.get(row[0], ())[:MOST_FIELDS])) for row in rows]
    return found, rows[0][3] if rows else 0


def rows_of_tenant(
    impact: Impact, tenant: UUID, by: Actor, *, only: Collection[str] = (), most: int = 100
) -> list[ImpactRow]:
    """The overrides and pins of one tenant, by outcome and name. Raises Forbidden."""
    by.need("impact.read")
    with by.present():
        rows = ImpactRow.objects.using(OPERATOR).filter(impact=impact, tenant=tenant)
        if only:
            rows = rows.filter(outcome__in=only)
        return sorted(rows.order_by("id")[:most], key=lambda row: (OUTCOMES.index(row.outcome), row.name))


def newest_look(feature: Feature, before: int, to: int, by: Actor) -> Impact | None:
    """The last time that somebody asked whom moving everybody from one version to another would reach."""
    by.need("impact.read")
    with by.present():
        rows = Impact.objects.using(OPERATOR).select_related("feature").filter(feature=feature, kind="look", to=to)
        return rows.filter(stage__isnull=True, before=before).order_by("-id").first()
