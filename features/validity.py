"""Rows valid from one instant to another: the one way to write them, and the stamps that tell every process of it.

Who writes first takes the lock of the scope by bumping its stamp, in a statement that reads nothing else, and only then
reads: a statement sees what was committed when it began, so one that waited for the lock itself would have looked at
the rows before it waited.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connections
from django.db.models import DateTimeField, Q, QuerySet
from django.db.models.expressions import RawSQL

from tenants.isolation import APP, OPERATOR
from tenants.subjects import Who

from .models import Validity

Row = TypeVar("Row", bound=Validity)

_BUMP_VENDOR = """
INSERT INTO features_vendorstamp AS s (scope, value) VALUES (%s, 1)
ON CONFLICT (scope) DO UPDATE SET value = s.value + 1"""
_BUMP = """
INSERT INTO features_stamp AS s (id, tenant_id, feature, subject, value) VALUES (gen_random_uuid(), %s, %s, %s, 1)
ON CONFLICT (tenant_id, feature, subject) DO UPDATE SET value = s.value + 1"""
# Both parts only write, each row as it is by then, so it does not matter what the statement saw when it began. Whoever
# takes several locks takes them in this order, users before their organisation.
_BUMP_EACH = """
WITH scope AS MATERIALIZED (
    SELECT * FROM unnest(%(features)s::uuid[], %(subjects)s::uuid[], %(kinds)s::text[], %(keys)s::text[])
        AS s(feature, subject, kind, key)),
subject AS (
    INSERT INTO tenants_subject (id, tenant_id, kind, key)
    SELECT DISTINCT subject, %(tenant)s::uuid, kind, key FROM scope ON CONFLICT DO NOTHING)
INSERT INTO features_stamp AS s (id, tenant_id, feature, subject, value)
SELECT gen_random_uuid(), %(tenant)s::uuid, feature, subject, 1 FROM scope
ORDER BY feature, subject = %(tenant)s::uuid, subject
ON CONFLICT (tenant_id, feature, subject) DO UPDATE SET value = s.value + 1"""
# The clock is read once, and the row in force closed, by a statement that began when the lock was held already. What
# it opens begins at the instant that the closing returns, so it is closed by then, and the two never overlap.
_SUPERSEDE = """
WITH m AS MATERIALIZED (SELECT clock_timestamp() AS t),
closed AS (
    UPDATE {table} r SET valid_to = greatest(m.t, r.valid_from + interval '1 microsecond')
    FROM m WHERE r.id = ({in_force}) RETURNING r.valid_to),
instant AS MATERIALIZED (SELECT coalesce((SELECT valid_to FROM closed), m.t) AS t FROM m)
{open}"""
_CLOCK = RawSQL("(SELECT t FROM m)", (), output_field=DateTimeField())  # of that statement


def bump_vendor(scope: UUID) -> None:
    """Count a change to a feature's own pointers, or to the model aliases; holds the scope's lock until COMMIT."""
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute(_BUMP_VENDOR, [scope])


def bump(tenant_id: UUID, feature: UUID, subject: UUID) -> None:
    """Count a change to a subject's pointers of a feature; holds the scope's lock until COMMIT."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_BUMP, [tenant_id, feature, subject])
    _unsettle()


def bump_each(tenant_id: UUID, scopes: Iterable[tuple[UUID, Who]]) -> None:
    """As `bump` for subjects that are to be written for, each of one feature (by id), in one statement.

    It writes the rows of subjects that have none yet, to which what is written then refers.
    """
    pairs = dict.fromkeys(scopes)
    facts: dict[str, Any] = {
        "tenant": tenant_id,
        "features": [feature for feature, _ in pairs],
        "subjects": [who.id for _, who in pairs],
        "kinds": [who.kind for _, who in pairs],
        "keys": [who.key for _, who in pairs],
    }
    with connections[APP].cursor() as cursor:
        cursor.execute(_BUMP_EACH, facts)
    _unsettle()


def _unsettle() -> None:
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
    in_force = rows.filter(Q(valid_to=None) | Q(valid_to__gt=_CLOCK)).order_by("-valid_from").values("pk")[:1]
    closing, parameters = in_force.query.get_compiler(rows.db).as_sql()
    opening, values = _opening(new, rows.db) if new is not None else ("SELECT t FROM instant", [])
    statement = _SUPERSEDE.format(table=rows.model._meta.db_table, in_force=closing, open=opening)
    with connections[rows.db].cursor() as cursor:
        cursor.execute(statement, [*parameters, *values])
        at: datetime = cursor.fetchone()[0]
    if new is not None:
        new.valid_from, new._state.adding, new._state.db = at, False, rows.db
    return at


def _opening(new: Validity, using: str) -> tuple[str, list[Any]]:
    """The INSERT of a row that begins at the statement's instant."""
    fields = [field for field in new._meta.concrete_fields if field.column != "valid_from"]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = [field.get_db_prep_save(field.pre_save(new, add=True), connections[using]) for field in fields]
    places = ", ".join("%s" for _ in fields)
    return (
        f"INSERT INTO {new._meta.db_table} (valid_from, {columns}) VALUES ((SELECT t FROM instant), {places})"
        " RETURNING valid_from",
        values,
    )
