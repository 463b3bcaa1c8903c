"""Who works on what: fair claims, leases, and taking back what a dead worker held.

All of it is the operator role's, across tenants, on the queue's table alone, which holds no content.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from celery import current_app
from django.conf import settings
from django.db import connections

from tenants import valkey
from tenants.isolation import APP, OPERATOR, operator_tx

from . import metrics
from .trips import operator_trips

QUARANTINE_BELL = "features.runs.tasks.quarantine"
QUEUE = "celery"
SPARE = 8  # rows beyond those that are claimed, which others may hold just now


PROCESS = UUID(os.environ["BESPOKE_PROCESS"]) if "BESPOKE_PROCESS" in os.environ else uuid4()
NAME = f"{platform.node()}:{os.getpid()}"
QUARANTINE_AFTER = 3  # deaths of its worker, after which a run is carried out alone


@dataclass(frozen=True, slots=True)
class Lost:
    """A run whose worker died: how often that was so, and how often while the worker had nothing else to do."""

    tenant_id: UUID
    run_id: UUID
    lost: int
    alone: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that is ours to work on while its lease is renewed."""

    tenant_id: UUID
    run_id: UUID
    token: UUID
    lost: int
    trace: str | None = None  # W3C traceparent of who accepted it


# Tenants are walked through the partial index by a recursive loose scan (as many steps as tenants with waiting runs),
# each gives the first few that can start, never more than could be claimed (and some that others may be claiming just
# now), and a tenant's turn counts what it has running: so nobody's backlog is in another's way, and its length costs
# nothing. Of all the slots that there are one tenant has at most half, unless a setting says otherwise.
# https://wiki.postgresql.org/wiki/Loose_indexscan
_FREE = "{0}.token IS NULL AND {0}.follows IS NULL AND NOT {0}.quarantined"
_FIRST = f"""
    (SELECT q.tenant_id, q.id, q.batch, q.not_before FROM runs_queued q
     WHERE q.tenant_id = w.tenant_id AND {_FREE.format("q")} AND {{}} AND q.not_before <= now()
     ORDER BY q.not_before, q.id LIMIT least(slots.each + 1, %(most)s + {SPARE}))"""
_TENANTS = f"""
WITH RECURSIVE waiting(tenant_id) AS (
    (SELECT q.tenant_id FROM runs_queued q WHERE {_FREE.format("q")} ORDER BY q.tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT q.tenant_id FROM runs_queued q WHERE {_FREE.format("q")} AND q.tenant_id > w.tenant_id
            ORDER BY q.tenant_id LIMIT 1)
    FROM waiting w WHERE w.tenant_id IS NOT NULL
)"""
_ACTIVE = "JOIN tenants_tenant t ON t.id = {0}.tenant_id AND t.state = 'active'"  # of no other anything is claimed
_CLAIM = f"""{_TENANTS}, slots AS MATERIALIZED (
    SELECT CASE WHEN %(tenant_slots)s > 0 THEN %(tenant_slots)s ELSE greatest(1, coalesce(sum(slots), %(slots)s) / 2)
           END::int AS each
    FROM runs_worker WHERE seen_at > clock_timestamp() - make_interval(secs => %(lease)s)
), busy AS (
    SELECT tenant_id, count(*) AS running FROM runs_queued WHERE token IS NOT NULL GROUP BY tenant_id
), turns AS NOT MATERIALIZED (
    SELECT first.tenant_id, first.id, first.batch, coalesce(busy.running, 0) + first.place AS turn
    FROM waiting w {_ACTIVE.format("w")} CROSS JOIN slots
    LEFT JOIN busy ON busy.tenant_id = w.tenant_id
    CROSS JOIN LATERAL (
        SELECT q.*, row_number() OVER (ORDER BY q.batch, q.not_before, q.id) AS place
        FROM ({_FIRST.format("NOT q.batch")} UNION ALL {_FIRST.format("q.batch")}) q
        ORDER BY q.batch, q.not_before, q.id LIMIT least(slots.each + 1, %(most)s + {SPARE})
    ) first
    WHERE w.tenant_id IS NOT NULL
), chosen AS (
    SELECT q.tenant_id, q.id FROM runs_queued q JOIN turns USING (tenant_id, id) CROSS JOIN slots
    WHERE {_FREE.format("q")} AND turns.turn <= slots.each
    ORDER BY turns.batch, turns.turn, q.id LIMIT %(most)s FOR UPDATE OF q SKIP LOCKED
), claimed AS (
    UPDATE runs_queued q SET token = gen_random_uuid(), process = %(process)s,
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM chosen WHERE q.tenant_id = chosen.tenant_id AND q.id = chosen.id
    RETURNING q.tenant_id, q.id, q.token, q.lost, q.trace
)
SELECT claimed.*, left_over.more
FROM (SELECT (SELECT count(*) FROM turns) > (SELECT count(*) FROM claimed) AS more) left_over
LEFT JOIN claimed ON true"""

# One at a time of all those that workers died of.
_CLAIM_QUARANTINED = f"""
UPDATE runs_queued q
SET token = gen_random_uuid(), process = %(process)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE (q.tenant_id, q.id) IN (
    SELECT w.tenant_id, w.id FROM runs_queued w {_ACTIVE.format("w")}
    WHERE w.quarantined AND w.token IS NULL AND w.not_before <= now()
      AND NOT EXISTS (SELECT FROM runs_queued x WHERE x.quarantined AND x.token IS NOT NULL)
    ORDER BY w.id LIMIT 1 FOR UPDATE OF w SKIP LOCKED)
RETURNING q.tenant_id, q.id, q.token, q.lost, q.trace"""

_RENEW = """
UPDATE runs_queued SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE token = ANY(%(tokens)s) RETURNING token, cancel_requested_at IS NOT NULL"""

# A process renews all its leases at once: so it is dead when the last of them has run out, and whoever is then its only
# run was alone in it. A lease that nobody renews in a process that lives is waited for twice as long.
_EXPIRED = """
WITH dead AS (
    SELECT process, count(*) AS runs FROM runs_queued WHERE token IS NOT NULL
    GROUP BY process HAVING max(lease_until) < clock_timestamp() OR process = %(process)s::uuid
), expired AS (
    SELECT q.tenant_id, q.id, coalesce(dead.runs = 1, false) AS alone
    FROM runs_queued q LEFT JOIN dead USING (process)
    WHERE q.token IS NOT NULL
      AND (dead.process IS NOT NULL OR q.lease_until < clock_timestamp() - make_interval(secs => %(lease)s))
    ORDER BY q.lease_until LIMIT 500 FOR UPDATE OF q SKIP LOCKED
)
UPDATE runs_queued q
SET token = NULL, process = NULL, lease_until = NULL, deadline = NULL, lost = q.lost + 1,
    alone = q.alone + (expired.alone OR q.quarantined)::int, quarantined = q.lost + 1 >= %(most_lost)s
FROM expired WHERE q.tenant_id = expired.tenant_id AND q.id = expired.id
RETURNING q.tenant_id, q.id, q.lost, q.alone, q.cancel_requested_at IS NOT NULL"""

# Followers are let go in the transaction that ends whom they follow; this is for whatever ended it otherwise.
_ORPHANS = """
UPDATE runs_queued q SET follows = NULL WHERE q.follows IS NOT NULL
AND NOT EXISTS (SELECT FROM runs_queued f WHERE f.tenant_id = q.tenant_id AND f.id = q.follows)"""

_PRESENT = """
INSERT INTO runs_worker (id, name, slots) VALUES (%(process)s, %(name)s, %(slots)s)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()"""
_GONE = "DELETE FROM runs_worker WHERE id = %(process)s OR seen_at < clock_timestamp() - interval '1 hour'"

_WAITING = f"""{_TENANTS}
SELECT count(*) FROM (
    SELECT FROM waiting w {_ACTIVE.format("w")} CROSS JOIN LATERAL (
        SELECT FROM runs_queued q
        WHERE q.tenant_id = w.tenant_id AND {_FREE.format("q")} AND q.not_before <= now() LIMIT %(most)s) q
    LIMIT %(most)s) w"""
_QUARANTINE_WAITS = f"""
SELECT EXISTS (SELECT FROM runs_queued q {_ACTIVE.format("q")}
               WHERE q.quarantined AND q.token IS NULL AND q.not_before <= now())
   AND NOT EXISTS (SELECT FROM runs_queued WHERE quarantined AND token IS NOT NULL)"""


def claim(*, quarantined: bool = False) -> Claim | None:
    """Claim the fairest next run, or None: by turns between tenants, the interactive before batches.

    With `quarantined` one of those that workers have died of, if no other of them is being carried out.
    """
    if not quarantined:
        claims, _ = claim_many(1)
    else:
        [rows] = operator_trips.send((_CLAIM_QUARANTINED, _ours()))
        claims = [Claim(*row) for row in rows]
        metrics.CLAIMS.inc(len(claims))
    return claims[0] if claims else None


def claim_many(most: int) -> tuple[list[Claim], bool]:
    """Claim up to so many runs in one statement, as fairly as one after the other.

    Returns them, and whether others wait that could have started: for want of slots, or of the tenant's share in them.
    """
    slots = {"slots": settings.WORKER_SLOTS, "tenant_slots": settings.TENANT_SLOTS, "most": most}
    [rows] = operator_trips.send((_CLAIM, {**_ours(), **slots}))
    claims = [Claim(*row) for *row, _ in rows if row[1] is not None]
    metrics.CLAIMS.inc(len(claims))
    return claims, rows[0][-1]


def _ours() -> dict[str, Any]:
    return {"process": PROCESS, "lease": settings.LEASE_SECONDS}


def renew(tokens: Sequence[UUID]) -> dict[UUID, bool]:
    """Renew the leases of all claims of a process at once. Returns those still ours, and whether a cancel is asked."""
    return dict(_operate(_RENEW, {"tokens": list(tokens), "lease": settings.LEASE_SECONDS}))


def take_back(dead: UUID | None = None) -> list[Lost]:
    """Free the claims of processes that no longer renew them, and of one that is known to be dead."""
    limits = {"process": dead, "lease": settings.LEASE_SECONDS, "most_lost": QUARANTINE_AFTER}
    found = [Lost(*row) for row in _operate(_EXPIRED, limits)]
    metrics.EXPIRED.inc(len(found))
    return found


def free_orphans() -> None:
    """Let those be carried out themselves who follow a run that is no longer there."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_ORPHANS)


def say_present() -> None:
    """Say that this worker process is there, with its slots: what one tenant may have is a share of all of them."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_PRESENT, {"process": PROCESS, "name": NAME, "slots": settings.WORKER_SLOTS})


def say_gone() -> None:
    """Take this process out of those that are there, and with it whoever has not been seen for an hour."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_GONE, {"process": PROCESS})


def quarantine_waits() -> bool:
    """Whether a quarantined run could be carried out now."""
    return bool(_operate(_QUARANTINE_WAITS, {})[0][0])


def waiting(most: int) -> int:
    """How many runs wait that could start now, counted up to `most`."""
    return int(_operate(_WAITING, {"most": most})[0][0])


def ring_quarantine() -> None:
    """Tell a worker that a quarantined run waits."""
    told = {"ignore_result": True, "retry": False, "expires": 5}
    valkey.ask(lambda: current_app.send_task(QUARANTINE_BELL, **told), None)


def forget_messages() -> None:
    """Empty Celery's queue: beat goes on while no worker is there, and a night of that is 100,000 messages."""
    valkey.ask(lambda: valkey.client.delete(QUEUE), None)


def let_go() -> None:
    """Give this thread's connections back to the pool: between two runs, and while a model is being waited for."""
    for alias in (APP, OPERATOR):
        connections[alias].close()


def _operate(statement: str, parameters: Any) -> list[Any]:
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows
