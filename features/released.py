"""The versions of a feature that exist for a subject."""

import json
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import connections

from features.engine import inside
from tenants.isolation import APP
from tenants.subjects import Who

from .models import Feature, Stage
from .reading import as_row, stage_row

_RELEASED = """
SELECT json_build_array(
    (SELECT json_agg(DISTINCT version) FROM features_currentversion WHERE feature_id = %(feature)s),
    (SELECT json_agg(row_to_json(s)) FROM features_stage s WHERE feature_id = %(feature)s),
    (SELECT json_agg(json_build_array(version, replacement)) FROM features_withdrawal WHERE feature_id = %(feature)s)
)::text"""


def released(feature: Feature, tenant_id: UUID, who: Who) -> set[int]:
    """The versions that exist for a subject: once current, in a rollout that included it, or replacing one of these.

    To others they do not exist (behavior.md 5).
    """
    with connections[APP].cursor() as cursor:
        cursor.execute(_RELEASED, {"feature": feature.id})
        currents, stages, stand_ins = (found or [] for found in json.loads(cursor.fetchone()[0]))
    rows = (stage_row(as_row(Stage, stage)) for stage in stages)
    user = None if who.is_tenant else who.key
    reached = {row.version for row in rows if inside(row, feature=feature.key, tenant=str(tenant_id), user=user)}
    return with_stand_ins({*currents, *reached}, stand_ins)


def with_stand_ins(numbers: Iterable[int], stand_ins: Sequence[tuple[int, int]]) -> set[int]:
    """Versions, and those that have ever replaced one of them, by pairs of (version, replacement)."""
    found = set(numbers)
    while more := {replacement for version, replacement in stand_ins if version in found} - found:
        found |= more
    return found
