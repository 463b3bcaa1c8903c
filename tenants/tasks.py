"""The Celery tasks of webhooks. They take no argument; the rows that wait are the truth."""

from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import connections

from .deliveries import courier, delete_old
from .isolation import APP, OPERATOR


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


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    """After SIGTERM no more is claimed."""
    courier.stop()
