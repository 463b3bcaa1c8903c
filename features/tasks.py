"""The Celery tasks of behavior itself: impacts, and mail. They take no argument; the rows that wait are the truth."""

import threading

from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import connections

from tenants.isolation import APP, OPERATOR

from .impact.work import work_through
from .mailing import send_notices

_stopping = threading.Event()


@shared_task(ignore_result=True)
def impacts() -> int:
    """Carry out the impacts that wait, one after the other, and tidy away old ones. Returns how many."""
    try:
        return work_through(_stopping.is_set)
    finally:
        for alias in (APP, OPERATOR):  # back to the pool
            connections[alias].close()


@shared_task(ignore_result=True)
def mail_notices() -> int:
    """Each hour: mail people what is new to them. Returns how many mails went out."""
    try:
        return send_notices(_stopping.is_set)
    finally:
        for alias in (APP, OPERATOR):
            connections[alias].close()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    """After SIGTERM an impact is left where it is, for another worker to go on with."""
    _stopping.set()
