"""Rows valid from one instant to another: the one way to write them, and the stamps that tell every process of it."""

from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import Q, QuerySet

from tenants.isolation import APP, OPERATOR

from .models import Validity

Row = TypeVar("Row", bound=Validity)

_BUMP_VENDOR = """
INSERT INTO features_vendorstamp AS s (scope, value) VALUES (%s, 1)
ON CONFLICT (scope) DO UPDATE SET value = s.value + 1"""
_BUMP = """
INSERT INTO features_stamp AS s (id, tenant_id, feature, subject, value) VALUES (gen_random_uuid(), %s, %s, %s, 1)
ON CONFLICT (tenant_id, feature, subject) DO UPDATE SET value = s.value + 1"""


def bump_vendor(scope: UUID) -> None:
    """Count a change to a feature's own pointers, or to the model aliases; holds the scope's lock until COMMIT."""
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute(_BUMP_VENDOR, [scope])


def bump(tenant_id: UUID, feature: UUID, subject: UUID) -> None:
    """Count a change to a subject's pointers of a feature; holds the scope's lock until COMMIT."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_BUMP, [tenant_id, feature, subject])
    connections[APP].bespoke_unsettled = True  # type: ignore[attr-defined]  # until the transaction ends


def unsettled() -> bool:
    """Whether the present transaction has bumped a stamp: then what it reads may yet be rolled back."""
    connection = connections[APP]
    return connection.in_atomic_block and getattr(connection, "bespoke_unsettled", False)


def valid_at(moment: datetime) -> Q:
    """The rows valid at a moment."""
    return Q(valid_from__lte=moment) & (Q(valid_to=None) | Q(valid_to__gt=moment))


def supersede(rows: QuerySet[Row], new: Row | None) -> datetime:
    """Close the row of this scope that is valid now, and open `new` (None only closes). Returns the instant.

    The caller has bumped the scope's stamp and so holds its lock: the instant is read after that, once, and is later
    than the row that it closes began even where the clock stepped back, so that no two rows ever share an instant.
    """
    using = rows.db
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    live = rows.filter(Q(valid_to=None) | Q(valid_to__gt=at)).order_by("-valid_from").first()
    if live is not None:
        at = max(at, live.valid_from + timedelta(microseconds=1))
        rows.filter(pk=live.pk).update(valid_to=at)
    if new is not None:
        new.valid_from = at
        new.save(using=using, force_insert=True)
    return at
