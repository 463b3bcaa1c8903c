"""The Celery app: what beat sends to workers. Messages carry no run and results are never read."""

import logging.config
import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging, worker_ready
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

HOURLY = crontab(minute=7)

app = Celery("bespoke")
app.set_default()  # for every thread: web processes ring from threads of an executor
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        # Nothing of messages is kept until they are acknowledged: one that is lost costs nothing (below), and to put
        # one back while the broker goes away ends a worker (kombu 5.7, whose closed channel connects once more).
        "ack_emulation": False,
        "socket_keepalive": True,
        "socket_timeout": 30,
        "health_check_interval": 10,
        "socket_connect_timeout": 1,
    },
    task_ignore_result=True,
    task_acks_late=False,  # a message lost or carried out twice costs nothing
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=5.0,
    timezone="UTC",
    beat_schedule={
        "dispatch": {"task": "features.runs.tasks.dispatch", "schedule": 1.0, "options": {"expires": 5}},
        "reap": {"task": "features.runs.tasks.reap", "schedule": 5.0, "options": {"expires": 10}},
        "sweep": {"task": "features.runs.tasks.sweep", "schedule": 60.0, "options": {"expires": 50}},
        "canary": {"task": "features.runs.tasks.canary", "schedule": 1.0, "options": {"expires": 5}},
        "watch": {"task": "features.runs.tasks.watch", "schedule": 10.0, "options": {"expires": 20}},
        "retain": {"task": "features.runs.tasks.retain", "schedule": HOURLY, "options": {"expires": 3000}},
        "mail": {"task": "features.tasks.mail_notices", "schedule": HOURLY, "options": {"expires": 3000}},
        "webhooks": {"task": "tenants.tasks.deliver", "schedule": 1.0, "options": {"expires": 5}},
        "deliveries": {"task": "tenants.tasks.tidy", "schedule": HOURLY, "options": {"expires": 3000}},
        "privacy": {"task": "tenants.tasks.privacy", "schedule": 2.0, "options": {"expires": 5}},
        "heads": {"task": "tenants.tasks.tell_heads", "schedule": HOURLY, "options": {"expires": 3000}},
        "impacts": {"task": "features.tasks.impacts", "schedule": 2.0, "options": {"expires": 5}},
    },
)
app.autodiscover_tasks(["tenants", "features", "features.runs"])


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery sets its own logging up unless somebody listens here."""
    logging.config.dictConfig(settings.LOGGING)


@worker_ready.connect
def _settle(**_: Any) -> None:
    from backend.api.metrics import serve_worker  # Django is not set up when this module is read
    from backend.memory import settle_memory

    serve_worker()
    settle_memory()
