"""What becomes of the runs of an organisation that the vendor has closed: they are cancelled, a few at a time, by beat.

So closing is one short transaction however many wait, and goes on after a crash. What runs is asked to stop.
"""

from uuid import UUID

from django.db import connections
from django.db.models.functions import Now

from tenants.isolation import OPERATOR, operator_tx, tenant_tx

from .finish import Ending, finish
from .models import Batch, Queued, State

A_FEW = 1000

_CLOSED = """
SELECT t.id FROM tenants_tenant t
WHERE t.state = 'closed' AND EXISTS (SELECT FROM runs_queued q WHERE q.tenant_id = t.id)"""


def cancel_closed() -> None:
    """Cancel what waits or runs in closed organisations; batches go on being cancelled by `end_batches`."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_CLOSED)
        closed = [row[0] for row in cursor.fetchall()]
    for tenant_id in closed:
        _cancel_all(tenant_id)


def _cancel_all(tenant_id: UUID) -> None:
    with tenant_tx(tenant_id):
        Batch.objects.filter(finished_at=None, cancel_requested_at=None).update(cancel_requested_at=Now())
        Queued.objects.exclude(token=None).filter(cancel_requested_at=None).update(cancel_requested_at=Now())
        waiting = Queued.objects.filter(token=None, item_of=None).order_by("id")
        found = list(waiting.values_list("id", flat=True)[:A_FEW])
    for run_id in found:
        finish(tenant_id, run_id, Ending(State.CANCELLED), token=None)
