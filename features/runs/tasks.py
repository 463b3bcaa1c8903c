"""The Celery tasks: a bell, a dispatcher, a reaper. None takes an argument, each may come twice or not at all."""

import threading
from typing import Any

import structlog
from celery import shared_task
from celery.signals import worker_init, worker_shutting_down
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from tenants.catalogue import refuse_unsafe

from .canary import carry_out, is_canary, put_canaries_away, send_canary
from .dispatch import claim, forget_bells, let_go, ring, take_back, waiting
from .execute import execute
from .finish import give_up
from .guards import watch_rollouts
from .leases import leases
from .previewed import put_expired_away

log = structlog.get_logger(__name__)

SPARE_THREADS = 3  # more than there are slots, so that bells, dispatcher and reaper never wait behind runs

_slots = threading.BoundedSemaphore(settings.WORKER_SLOTS)
_stopping = threading.Event()


@shared_task(ignore_result=True)
def look() -> int:
    """A bell: while this process has a free slot, claim the fairest next run and carry it out. Returns how many."""
    carried_out = 0
    while not _stopping.is_set() and _slots.acquire(blocking=False):
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
    bells = waiting(2 * settings.WORKER_SLOTS)
    let_go()
    if bells:
        ring(bells)


@shared_task(ignore_result=True)
def canary() -> None:
    """Each second: send a canary run if one is due (canary.py)."""
    send_canary()
    let_go()


@shared_task(ignore_result=True)
def reap() -> None:
    """Each few seconds: take back the runs of workers that died, so that others carry them out."""
    for tenant_id, run_id, lost, cancelled in take_back():
        log.warning("run.lease_expired", run=str(run_id), tenant=str(tenant_id), lost=lost)
        give_up(tenant_id, run_id, lost, cancelled)
    let_go()


@shared_task(ignore_result=True)
def watch() -> None:
    """Each ten seconds: measure the guards of running rollouts, and advance, pause or roll them back by themselves."""
    watch_rollouts()
    let_go()


@shared_task(ignore_result=True)
def sweep() -> None:
    """Each minute: put away the previews whose hour is over."""
    put_expired_away()
    put_canaries_away()
    let_go()


@worker_init.connect
def _begin(sender: Any, **_: object) -> None:
    try:
        refuse_unsafe()
    except (ImproperlyConfigured, Error) as unfit:  # which Celery would write down, and start the worker all the same
        raise SystemExit(str(unfit)) from unfit
    let_go()
    forget_bells()  # those that rang while no worker was there: the dispatcher rings again for what waits
    sender.concurrency += SPARE_THREADS


@worker_shutting_down.connect
def _stop_claiming(**_: object) -> None:
    """After SIGTERM the runs begun are carried out and no more are claimed, however many wait."""
    _stopping.set()


def _next() -> bool:
    claimed = claim()
    let_go()
    if claimed is None:
        return False
    lease = leases.hold(claimed.token)
    try:
        with structlog.contextvars.bound_contextvars(run=str(claimed.run_id), tenant=str(claimed.tenant_id)):
            carry_out(claimed) if is_canary(claimed) else execute(claimed, lease)
    finally:
        leases.drop(lease)
        let_go()
    return True
