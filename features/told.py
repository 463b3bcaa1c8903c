"""What webhooks are told of the vendor's changes to a feature: those of whoever has it, and no others."""

import json
from typing import Any

from django.db import connections

from tenants.isolation import OPERATOR
from tenants.webhooks import outbox

from .models import Feature

_TELL = f"""
WITH told AS (
    SELECT t.id AS tenant_id FROM tenants_tenant t
    WHERE EXISTS (SELECT FROM features_feature f WHERE f.id = %(feature)s AND NOT f.listed_only)
       OR EXISTS (SELECT FROM features_availability a
                  WHERE a.tenant_id = t.id AND a.feature_id = %(feature)s AND a.valid_to IS NULL)
)
{outbox("told", event="%(event)s::text", data="%(data)s::jsonb")}"""


def tell_of(feature: Feature, event: str, **data: int) -> None:
    """Tell of a change to a feature; within the operator's transaction."""
    told: dict[str, Any] = {"feature": feature.pk, "event": event, "data": json.dumps({"feature": feature.key, **data})}
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute(_TELL, told)
