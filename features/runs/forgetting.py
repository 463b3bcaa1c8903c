"""What is not kept: the content of runs that are not to be stored, runs older than retention, idempotency keys."""

from uuid import UUID

from django.db import connections

from tenants.isolation import APP, OPERATOR, operator_tx, tenant_tx

from .events import drop_streams

PIECE = 1000  # rows that one transaction changes

# Moments are compared with now(): clock_timestamp() is volatile, and no index helps to find what is before it.

_UNSTORED = "SELECT tenant_id, id FROM runs_run WHERE forget_at < now() ORDER BY forget_at LIMIT %s"
_FORGET = """
UPDATE runs_run SET forget_at = NULL, input = NULL, output = NULL, feedback = NULL,
    input_digest = coalesce(encode(sha256(convert_to(input, 'UTF8')), 'hex'), ''),
    output_digest = coalesce(encode(sha256(convert_to(output, 'UTF8')), 'hex'), '')
WHERE tenant_id = %s AND id = ANY(%s) AND forget_at < clock_timestamp()"""

_RETAINED = """
SELECT tenant_id, retention_days FROM features_policy WHERE valid_to IS NULL AND retention_days IS NOT NULL"""
# The lowest id of a moment, as features know it (tenants/ids.py): a UUIDv7 begins with 48 bits of milliseconds.
_OLDEST = """
(lpad(to_hex((extract(epoch FROM now() - make_interval(days => %(days)s)) * 1000)::bigint), 12, '0')
 || repeat('0', 20))::uuid"""
_OLD = f"""
SELECT r.id FROM runs_run r WHERE r.tenant_id = %(tenant)s AND r.id < {_OLDEST}
  AND r.state IN ('succeeded', 'failed', 'cancelled') AND r.preview IS NULL ORDER BY r.id LIMIT %(piece)s"""
_OLD_BATCHES = [
    f"""
DELETE FROM {table} WHERE tenant_id = %(tenant)s AND {column} < {_OLDEST} AND {column} IN (
    SELECT b.id FROM runs_batch b WHERE b.tenant_id = %(tenant)s AND b.id < {_OLDEST} AND b.finished_at IS NOT NULL)"""
    for table, column in (("runs_refuseditem", "batch_id"), ("runs_batch", "id"))
]
_OLD_KEYS = """
SELECT max(created_at) FROM (
    SELECT created_at FROM runs_idempotencykey WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT %s) k"""
_DELETE_KEYS = "DELETE FROM runs_idempotencykey WHERE created_at <= %s"
_OPERATORS_KEYS = "DELETE FROM runs_operatoridempotencykey WHERE created_at < now() - interval '24 hours'"  # are few


def forget_unstored() -> int:
    """Delete the content of runs that were not to be stored, its SHA-256 kept instead. Returns of how many."""
    forgotten = 0
    while True:
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute(_UNSTORED, [PIECE])
            due: dict[UUID, list[UUID]] = {}
            for tenant_id, run_id in cursor.fetchall():
                due.setdefault(tenant_id, []).append(run_id)
        for tenant_id, runs in due.items():
            with tenant_tx(tenant_id), connections[APP].cursor() as cursor:
                cursor.execute(_FORGET, [tenant_id, runs])
            drop_streams(tenant_id, runs)
            forgotten += len(runs)
        if sum(map(len, due.values())) < PIECE:
            return forgotten


def delete_old_runs() -> int:
    """Delete runs, and their calls, that are older than their organisation's policy keeps them. Returns how many.

    The ledger stays: it has no content, and what was spent was spent.
    """
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_RETAINED)
        policies = cursor.fetchall()
    deleted = 0
    for tenant_id, days in policies:
        while count := _delete_piece(tenant_id, days):
            deleted += count
        _delete_batches(tenant_id, days)
    return deleted


def _delete_batches(tenant_id: UUID, days: int) -> None:
    with tenant_tx(tenant_id), connections[APP].cursor() as cursor:
        for statement in _OLD_BATCHES:
            cursor.execute(statement, {"tenant": tenant_id, "days": days})


def _delete_piece(tenant_id: UUID, days: int) -> int:
    with tenant_tx(tenant_id), connections[APP].cursor() as cursor:
        cursor.execute(_OLD, {"tenant": tenant_id, "days": days, "piece": PIECE})
        runs = [row[0] for row in cursor.fetchall()]
        for table, column in (("runs_attempt", "run"), ("runs_run", "id")):
            cursor.execute(f"DELETE FROM {table} WHERE tenant_id = %s AND {column} = ANY(%s)", [tenant_id, runs])
    return len(runs)


def delete_old_keys() -> int:
    """Delete idempotency keys, and the answers kept under them, a day after they came. Returns how many."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_OPERATORS_KEYS)
        deleted = int(cursor.rowcount)
    while True:
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute(_OLD_KEYS, [PIECE])
            (until,) = cursor.fetchone()
            if until is None:
                return deleted
            cursor.execute(_DELETE_KEYS, [until])
            deleted += int(cursor.rowcount)
