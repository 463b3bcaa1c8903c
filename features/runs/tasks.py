"""The Celery tasks: a dispatcher, a reaper and the like. None takes an argument, each may come twice or not at all."""

import os
import threading
from contextlib import suppress
from typing import Any

import structlog
from celery import shared_task
from celery.signals import worker_init, worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from tenants.faults import refuse_unsafe

from .batch_ends import end_batches
from .bells import ring
from .canary import put_canaries_away, send_canary
from .closing import cancel_closed
from .dispatch import (
    forget_messages,
    free_orphans,
    let_go,
    quarantine_waits,
    ring_quarantine,
    say_gone,
    take_back,
    waiting,
)
from .finish import give_up
from .forgetting import delete_old_keys, delete_old_runs, forget_unstored
from .guards import watch_rollouts
from .leases import leases
from .partitions import make_partitions
from .previewed import put_expired_away
from .quarantine import carry_out_apart
from .slots import Porter, Slots

log = structlog.get_logger(__name__)

THREADS = 8  # of Celery's, for dispatcher, reaper and the like: runs have their own (slots.py)
COLD_SECONDS = 5.0  # how long runs are waited for by a worker that is told to stop at once

_porter = Porter(Slots(settings.WORKER_SLOTS))
_quarantine = threading.BoundedSemaphore(1)


@shared_task(ignore_result=True)
def dispatch() -> None:
    """Each second: ring for runs that wait, so that none depends on the bell that its door rang."""
    bells, quarantined = waiting(2 * settings.WORKER_SLOTS), quarantine_waits()
    let_go()
    ring(bells)
    if quarantined:
        ring_quarantine()


@shared_task(ignore_result=True)
def quarantine() -> None:
    """A bell for a run that workers have died of: carried out by a process of its own, which is all it can take."""
    if _porter.stopping or not _quarantine.acquire(blocking=False):
        return
    try:
        carry_out_apart()
    finally:
        _quarantine.release()
        let_go()


@shared_task(ignore_result=True)
def canary() -> None:
    """Each second: send a canary run if one is due (canary.py)."""
    send_canary()
    let_go()


@shared_task(ignore_result=True)
def reap() -> None:
    """Each few seconds: take back the runs of workers that died, for others; and end the batches that are done,
    and what is left of organisations that were closed.
    """
    for lost in take_back():
        log.warning("run.lease_expired", run=str(lost.run_id), tenant=str(lost.tenant_id), lost=lost.lost)
        give_up(lost)
    free_orphans()
    cancel_closed()
    end_batches()
    let_go()


@shared_task(ignore_result=True)
def watch() -> None:
    """Each ten seconds: measure the guards of running rollouts, and advance, pause or roll them back by themselves."""
    watch_rollouts()
    let_go()


@shared_task(ignore_result=True)
def sweep() -> None:
    """Each minute: put away the previews whose hour is over, and forget what was not to be kept."""
    put_expired_away()
    forget_unstored()
    put_canaries_away()
    let_go()


@shared_task(ignore_result=True)
def retain() -> None:
    """Each hour: make the coming months' partitions; delete runs older than they are kept, and idempotency keys."""
    make_partitions()
    delete_old_runs()
    delete_old_keys()
    let_go()


@worker_init.connect
def _begin(sender: Any, **_: object) -> None:
    try:
        refuse_unsafe()
    except (ImproperlyConfigured, Error) as unfit:  # which Celery would write down, and start the worker all the same
        raise SystemExit(str(unfit)) from unfit
    leases.serve()
    let_go()
    forget_messages()
    sender.concurrency = THREADS


@worker_ready.connect
def _serve(**_: object) -> None:
    _porter.start()


@worker_shutting_down.connect
def _stop_claiming(how: str, **_: object) -> None:
    """No more runs are claimed, however many wait. After SIGTERM those begun are carried out; SIGQUIT waits less.

    Threads cannot be stopped, and the interpreter waits for them: so the process ends, and the reaper takes runs back.
    """
    _porter.stop()
    if how == "Cold" and not _porter.leave(COLD_SECONDS):
        os._exit(1)


@worker_shutdown.connect
def _leave(**_: object) -> None:
    _porter.leave(None)
    with suppress(Error):
        say_gone()
