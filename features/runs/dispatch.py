"""Who works on what: bells, fair claims, leases, and taking back what a dead worker held.

All of it is the operator role's, across tenants, on the queue's table alone, which holds no content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import kombu.exceptions
import redis
from celery import current_app
from django.conf import settings
from django.db import connections

from tenants.isolation import APP, OPERATOR, operator_tx

from . import metrics
from .events import client as broker

BELL = "features.runs.tasks.look"
QUEUE = "bells"


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is ours to work on while its lease is renewed."""

    tenant_id: UUID
    run_id: UUID
    token: UUID
    lost: int


# Tenants are walked through the partial index by a recursive loose scan (as many steps as tenants with waiting runs),
# each gives its first few, and a tenant's turn counts what it has running: so nobody's backlog is in another's way.
# https://wiki.postgresql.org/wiki/Loose_indexscan
_CLAIM = """
WITH RECURSIVE waiting(tenant_id) AS (
    (SELECT tenant_id FROM runs_queued WHERE token IS NULL ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.tenant_id FROM runs_queued q WHERE q.token IS NULL AND q.tenant_id > w.tenant_id
            ORDER BY q.tenant_id LIMIT 1)
    FROM waiting w WHERE w.tenant_id IS NOT NULL
), busy AS (
    SELECT tenant_id, count(*) AS running FROM runs_queued WHERE token IS NOT NULL GROUP BY tenant_id
), turns AS (
    SELECT first.tenant_id, first.id, first.batch, coalesce(busy.running, 0) + first.place AS turn
    FROM waiting w
    LEFT JOIN busy ON busy.tenant_id = w.tenant_id
    CROSS JOIN LATERAL (
        SELECT q.tenant_id, q.id, q.batch, row_number() OVER (ORDER BY q.batch, q.id) AS place
        FROM runs_queued q
        WHERE q.tenant_id = w.tenant_id AND q.token IS NULL AND q.not_before <= now()
        ORDER BY q.batch, q.id LIMIT %(tenant_slots)s
    ) first
    WHERE w.tenant_id IS NOT NULL AND coalesce(busy.running, 0) + first.place <= %(tenant_slots)s
), chosen AS (
    SELECT q.tenant_id, q.id FROM runs_queued q JOIN turns USING (tenant_id, id)
    WHERE q.token IS NULL
    ORDER BY turns.batch, turns.turn, q.id LIMIT %(count)s FOR UPDATE OF q SKIP LOCKED
)
UPDATE runs_queued q
SET token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
FROM chosen WHERE q.tenant_id = chosen.tenant_id AND q.id = chosen.id
RETURNING q.tenant_id, q.id, q.token, q.lost"""

_RENEW = """
UPDATE runs_queued SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE token = ANY(%(tokens)s) RETURNING token, cancel_requested_at IS NOT NULL"""

_EXPIRED = """
UPDATE runs_queued SET token = NULL, lease_until = NULL, lost = lost + 1
WHERE (tenant_id, id) IN (
    SELECT tenant_id, id FROM runs_queued WHERE token IS NOT NULL AND lease_until < clock_timestamp()
    ORDER BY lease_until LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING tenant_id, id, lost, cancel_requested_at IS NOT NULL"""

_WAITING = "SELECT count(*) FROM (SELECT 1 FROM runs_queued WHERE token IS NULL AND not_before <= now() LIMIT %s) w"


def claim() -> Claim | None:
    """Claim the fairest next run, or None: by turns between tenants, the interactive before batches."""
    limits = {"count": 1, "token": uuid4(), "lease": settings.LEASE_SECONDS, "tenant_slots": settings.TENANT_SLOTS}
    rows = _operate(_CLAIM, limits)
    metrics.CLAIMS.inc(len(rows))
    return Claim(*rows[0]) if rows else None


def renew(tokens: Sequence[UUID]) -> dict[UUID, bool]:
    """Renew the leases of all claims of a process at once. Returns those still ours, and whether a cancel is asked."""
    return dict(_operate(_RENEW, {"tokens": list(tokens), "lease": settings.LEASE_SECONDS}))


def take_back() -> list[tuple[UUID, UUID, int, bool]]:
    """Free the claims whose leases ran out: (tenant, run, times lost, cancel asked) of each."""
    found = _operate(_EXPIRED, {})
    metrics.EXPIRED.inc(len(found))
    return found


def waiting(most: int) -> int:
    """How many runs wait that could start now, counted up to `most`."""
    return int(_operate(_WAITING, [most])[0][0])


def ring(bells: int = 1) -> None:
    """Tell workers to look, unless enough bells wait. A lost bell costs a second: the dispatcher rings too."""
    most = 2 * settings.WORKER_SLOTS
    try:
        bells = min(bells, most - int(broker.llen(QUEUE)))
        for _ in range(bells):
            current_app.send_task(BELL, ignore_result=True, retry=False, expires=60)
            metrics.BELLS.inc()
    except (redis.RedisError, kombu.exceptions.OperationalError, OSError):
        return


def forget_bells() -> None:
    """Empty the queue of bells: beat goes on while no worker is there, and a night of that is 100,000 messages."""
    try:
        broker.delete(QUEUE)
    except redis.RedisError:
        return


def let_go() -> None:
    """Give this thread's connections back to the pool: between two runs, and while a model is being waited for."""
    for alias in (APP, OPERATOR):
        connections[alias].close()


def _operate(statement: str, parameters: Any) -> list[Any]:
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows
