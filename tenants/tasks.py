"""The Celery tasks of webhooks, of people's data and of the audit. They take no argument; the rows are the truth."""

import threading

from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import connections

from . import audit, erasure, export, jobs
from .deliveries import courier, delete_old
from .isolation import APP, OPERATOR
from .privacy_models import Erasure, Export

_one = threading.Lock()  # of a process, so that its other threads drive runs meanwhile


@shared_task(ignore_result=True)
def deliver() -> int:
    """Each second: send what is due on its way. Returns how many, and waits for none of them."""
    try:
        return courier.look()
    finally:
        for alias in (APP, OPERATOR):  # back to the pool
            connections[alias].close()


@shared_task(ignore_result=True)
def tidy() -> int:
    """Each hour: delete old deliveries. Returns how many."""
    try:
        return delete_old()
    finally:
        for alias in (APP, OPERATOR):
            connections[alias].close()


@shared_task(ignore_result=True)
def privacy() -> int:
    """Each few seconds, and rung for: carry out erasures and exports that wait, one at a time. Returns how many."""
    if not _one.acquire(blocking=False):
        return 0
    try:
        done = jobs.each(Erasure, erasure.carry_out) + jobs.each(Export, export.carry_out)
        export.delete_expired()
        return done
    finally:
        _one.release()
        for alias in (APP, OPERATOR):
            connections[alias].close()


@shared_task(ignore_result=True)
def tell_heads() -> int:
    """Each hour: tell outside where audit chains end. Returns how many were told."""
    try:
        return audit.tell_heads()
    finally:
        for alias in (APP, OPERATOR):
            connections[alias].close()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    """After SIGTERM no more is claimed, and an export or erasure is left where it is, for another."""
    courier.stop()
    jobs.stopping.set()
