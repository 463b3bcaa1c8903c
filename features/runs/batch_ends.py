"""How batches end: when the last run has, or because a person cancels them."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.errors import Conflict
from tenants.isolation import APP, OPERATOR, operator_tx, tenant_tx
from tenants.webhooks import tell

from . import metrics
from .finish import Ending, finish
from .models import Batch, Queued, State
from .progress import count, span_of

PIECE = 1000  # runs that one transaction cancels

# Those that have not begun: they have no calls and hold nothing, so that many end in two statements. Two, because the
# second is then given ids: what it would be planned to do with those of a table that has just been filled is anything.
_TAKE_OUT = """
WITH waiting AS (
    SELECT tenant_id, id FROM runs_queued
    WHERE tenant_id = %(tenant)s AND item_of = %(batch)s AND token IS NULL AND deadline IS NULL AND budgets = '{}'
    LIMIT %(piece)s FOR UPDATE SKIP LOCKED
)
DELETE FROM runs_queued q USING waiting w WHERE q.tenant_id = w.tenant_id AND q.id = w.id RETURNING q.id"""
_CANCEL = """
WITH run AS (
    UPDATE runs_run r SET state = 'cancelled', finished_at = clock_timestamp(),
        usage = '{"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}'
    WHERE r.tenant_id = %(tenant)s AND r.id = ANY(%(ids)s) AND r.state = 'queued'
    RETURNING r.*
)
INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
    malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
    user_tokens)
SELECT gen_random_uuid(), tenant_id, id, feature_id, subject_id, clock_timestamp(), 'cancelled', false,
       coalesce(receipt->'model_target'->>'alias', ''), (receipt->>'base')::int, '', 0, false, false, 0, 0, 0, 0, 0, 0,
       0, 0
FROM run"""

# Not for long: what is open is few, and each is looked up by its key in the queue.
_ENDED = """
SELECT b.tenant_id, b.id, b.cancel_requested_at IS NOT NULL,
       NOT EXISTS (SELECT FROM runs_queued q WHERE q.tenant_id = b.tenant_id AND q.item_of = b.id)
FROM runs_batch b WHERE b.finished_at IS NULL ORDER BY b.id"""

_FORGET = """
UPDATE runs_run r SET forget_at = clock_timestamp() + %(kept)s
WHERE r.tenant_id = %(tenant)s AND r.id >= %(oldest)s AND r.id < %(newest)s AND r.batch = %(batch)s AND NOT r.store"""


def cancel_batch(batch: Batch, *, by: Actor) -> bool:
    """Cancel what has not ended of a batch. True: none of it is still worked on. Raises Conflict when it has ended."""
    ask_to_cancel(batch, by=by)
    return carry_out_cancel(batch, by=by)


def ask_to_cancel(batch: Batch, *, by: Actor) -> None:
    """Note that a batch is to be cancelled: whoever comes to it first carries that out. Raises Conflict at its end."""
    with by.doing("run.cancel", batch):
        found = Batch.objects.select_for_update().get(pk=batch.pk)
        if found.finished_at is not None or not Queued.objects.filter(item_of=batch.pk).exists():
            raise Conflict("This batch has ended: there is nothing to cancel.")
        if found.cancel_requested_at is None:
            Batch.objects.filter(pk=batch.pk).update(cancel_requested_at=Now())


def carry_out_cancel(batch: Batch, *, by: Actor) -> bool:
    """Cancel what waits of a batch that is to be cancelled. True: none of it is still worked on."""
    _cancel_rest(batch)
    with by.present():
        return not Queued.objects.filter(item_of=batch.pk).exists()


def end_batches() -> None:
    """Mark the batches whose last run has ended, and go on with cancelling where a process died of it. For beat."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_ENDED)
        rows = cursor.fetchall()
    for tenant_id, batch_id, cancelled, ended in rows:
        if ended:
            _end(tenant_id, batch_id)
        elif cancelled:
            with tenant_tx(tenant_id):
                batch = Batch.objects.get(pk=batch_id)
            _cancel_rest(batch)


def _cancel_rest(batch: Batch) -> None:
    """Cancel what waits, and ask the workers of what runs to stop."""
    while _cancel_some(batch) == PIECE:
        pass
    with tenant_tx(batch.tenant_id):
        rest = Queued.objects.filter(item_of=batch.pk, cancel_requested_at=None)
        rest.exclude(token=None).update(cancel_requested_at=Now())
        begun = list(rest.filter(token=None).values_list("id", flat=True))  # and wait for a model that was away
    for run_id in begun:
        finish(batch.tenant_id, run_id, Ending(State.CANCELLED), token=None)


def _cancel_some(batch: Batch) -> int:
    with tenant_tx(batch.tenant_id), connections[APP].cursor() as cursor:
        cursor.execute(_TAKE_OUT, {"tenant": batch.tenant_id, "batch": batch.pk, "piece": PIECE})
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(_CANCEL, {"tenant": batch.tenant_id, "ids": ids})
    for _ in ids:
        metrics.ended(State.CANCELLED, "", cached=False)
    return len(ids)


def _end(tenant_id: UUID, batch_id: UUID) -> None:
    with tenant_tx(tenant_id):
        batch = Batch.objects.select_for_update(of=["self"]).select_related("feature").get(pk=batch_id)
        if batch.finished_at is not None:
            return
        now = count(batch)
        totals = {name: value for name, value in asdict(now).items() if name not in ("began", "last")}
        batch.totals, batch.finished_at = totals, now.last or batch.created_at
        batch.save(update_fields=["totals", "finished_at"])
        tell(tenant_id, "batch.finished", {"batch": str(batch_id), "feature": batch.feature.key})
        if not batch.store:  # what was not to be kept can be fetched for a while after the last has ended
            kept = timedelta(seconds=settings.UNSTORED_BATCH_SECONDS)
            with connections[APP].cursor() as cursor:
                parameters: dict[str, Any] = {**span_of(batch), "batch": batch_id, "kept": kept}
                cursor.execute(_FORGET, parameters)
