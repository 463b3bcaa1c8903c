"""The Celery tasks: a bell, a dispatcher, a reaper. None takes an argument, each may come twice or not at all."""

import threading

import structlog
from celery import shared_task
from celery.signals import worker_init
from django.conf import settings
from django.db import connections

from tenants.catalogue import refuse_unsafe
from tenants.isolation import APP, OPERATOR

from .dispatch import claim, note_worker, ring, take_back, waiting
from .execute import execute
from .finish import give_up
from .leases import leases

log = structlog.get_logger(__name__)

# The pool has a few threads more than there are slots, so that bells, dispatcher and reaper never wait behind runs.
_slots = threading.BoundedSemaphore(settings.WORKER_SLOTS)


@shared_task(ignore_result=True)
def look() -> int:
    """A bell: while this process has a free slot, claim the fairest next run and carry it out. Returns how many."""
    carried_out = 0
    while _slots.acquire(blocking=False):
        try:
            if not _next():
                return carried_out
            carried_out += 1
        finally:
            _slots.release()
    return carried_out


@shared_task(ignore_result=True)
def dispatch() -> None:
    """Each second: ring for runs that wait, so that none depends on the bell that its door rang."""
    note_worker()
    bells = waiting(2 * settings.WORKER_SLOTS)
    _let_go()
    if bells:
        ring(bells)


@shared_task(ignore_result=True)
def reap() -> None:
    """Each few seconds: take back the runs of workers that died, so that others carry them out."""
    for tenant_id, run_id, lost, cancelled in take_back():
        log.warning("run.lease_expired", run=str(run_id), tenant=str(tenant_id), lost=lost)
        give_up(tenant_id, run_id, lost, cancelled)
    _let_go()


@worker_init.connect
def _refuse_unsafe(**_: object) -> None:
    refuse_unsafe()
    _let_go()


def _next() -> bool:
    claimed = claim()
    if claimed is None:
        _let_go()
        return False
    lease = leases.hold(claimed.token)
    try:
        execute(claimed, lease)
    finally:
        leases.drop(lease)
        _let_go()
    return True


def _let_go() -> None:
    """Give this thread's connections back to the pool."""
    for alias in (APP, OPERATOR):
        connections[alias].close()
