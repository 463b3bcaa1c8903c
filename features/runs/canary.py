"""Canaries: runs of the vendor's workshop that go the whole way, so that readiness is something that happened.

A canary is a row of the run table and of the queue, claimed by a worker as any other and finished with a ledger row.
Only the model is not asked: that would cost money each time, and a provider's bad day is no reason to call ourselves
away. It counts as a preview's run of a feature that is none, so it is in no list, usage, guard or page. What a worker
that is full of slow runs does is alive too: renewing as many leases as it has slots counts as an answer.
"""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error, connections
from django.db.models.functions import Now
from django.utils import timezone

from tenants.ids import floor_of, uuid7
from tenants.isolation import APP, OPERATOR, operator_tx, tenant_tx
from tenants.workshop import WORKSHOP, workshop

from .bells import ring
from .dispatch import Claim
from .events import drop_streams
from .finish import Ending, finish
from .models import FINAL, Ledger, Run, State

CANARY = UUID(int=2)  # the feature that it is of and the preview that it belongs to; there is neither
KEPT = timedelta(minutes=10)
_LOCK = 5_201_314  # of the advisory lock under which one dispatcher at a time looks whether a canary is due

_DUE = """
INSERT INTO runs_run (id, tenant_id, feature_id, subject_id, state, receipt, now, author, attempts, cost, cached,
                      preview, created_at, store, input_digest, output_digest)
SELECT %(id)s, %(tenant)s, %(canary)s, %(tenant)s, 'queued', %(receipt)s::jsonb, clock_timestamp(), 'canary', 0, 0,
       false, %(canary)s, clock_timestamp(), true, '', ''
WHERE NOT EXISTS (SELECT FROM runs_queued WHERE tenant_id = %(tenant)s AND feature = %(canary)s)
  AND NOT EXISTS (
      SELECT FROM runs_run WHERE tenant_id = %(tenant)s AND feature_id = %(canary)s
      AND created_at > clock_timestamp() - make_interval(secs => %(every)s))"""
_QUEUE = """
INSERT INTO runs_queued (id, tenant_id, feature, batch, quarantined, lost, alone, budgets)
VALUES (%s, %s, %s, false, false, 0, 0, '{}')"""
_LATELY = """
SELECT EXISTS (
    SELECT FROM runs_run WHERE tenant_id = %(tenant)s AND feature_id = %(canary)s AND state = 'succeeded'
    AND finished_at > clock_timestamp() - make_interval(secs => %(late)s)
) OR EXISTS (
    SELECT FROM runs_worker w WHERE w.slots <= (
        SELECT count(*) FROM runs_queued q
        WHERE q.process = w.id AND q.lease_until > clock_timestamp() + make_interval(secs => %(fresh)s)))"""


def send_canary() -> UUID | None:
    """Queue a canary if the last one is old enough and none waits, and ring; None when none was due.

    However many ask at once, one is made.
    """
    run_id = uuid7()
    facts = {**_FACTS, "id": run_id, "receipt": json.dumps({"model_target": None, "base": 0})}
    workshop()
    with tenant_tx(WORKSHOP), connections[APP].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])  # first: _DUE has to see what the last made
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(_DUE, {**facts, "every": settings.CANARY_SECONDS})
        if not cursor.rowcount:
            return None
        cursor.execute(_QUEUE, [run_id, WORKSHOP, CANARY])
    ring()
    return run_id


def end_canary(claim: Claim) -> State | None:
    """End a claimed canary as a run ends; raises nothing that a run's own end would not."""
    with tenant_tx(WORKSHOP):
        Run.objects.filter(pk=claim.run_id).update(state=State.RUNNING, started_at=Now())
    return finish(WORKSHOP, claim.run_id, Ending(State.SUCCEEDED, output={}), token=claim.token)


def is_canary(claim: Claim) -> bool:
    """Whether a claimed run is a canary; asks the database for the workshop's alone."""
    if claim.tenant_id != WORKSHOP:
        return False
    with tenant_tx(WORKSHOP):
        return Run.objects.filter(pk=claim.run_id, feature_id=CANARY).exists()


def put_canaries_away() -> None:
    """Delete the canaries that ended a while ago, with their ledger rows, which are of nothing that was spent."""
    with tenant_tx(WORKSHOP):
        old = Run.objects.filter(feature_id=CANARY, id__lt=floor_of(timezone.now() - KEPT), state__in=FINAL)
        gone = list(old.values_list("id", flat=True)[:1000])
        Ledger.objects.filter(run__in=gone).delete()
        Run.objects.filter(pk__in=gone).delete()
    drop_streams(WORKSHOP, gone)


def worker_answers() -> bool:
    """Whether a canary went the whole way lately, or a worker is full and renews its leases."""
    lease = settings.LEASE_SECONDS
    facts = {**_FACTS, "late": settings.CANARY_LATE_SECONDS, "fresh": lease / 2}
    try:
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute(_LATELY, facts)
            return bool(cursor.fetchone()[0])
    except Error:
        return False


_FACTS: dict[str, Any] = {"tenant": WORKSHOP, "canary": CANARY}
