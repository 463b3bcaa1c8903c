"""The shell as a Django app: it has the commands, and makes the Celery app the one that everything rings."""

from django.apps import AppConfig


class BackendConfig(AppConfig):
    name = "backend"

    def ready(self) -> None:
        """Import the Celery app, so that web processes and commands ring its broker."""
        from . import celery  # noqa: F401
