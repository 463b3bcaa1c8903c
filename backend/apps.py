"""The shell as a Django app: it has the commands, and makes the Celery app the one that everything rings."""

from django.apps import AppConfig
from django.urls import register_converter

from .converters import Id


class BackendConfig(AppConfig):
    name = "backend"

    def ready(self) -> None:
        """Import the Celery app, so that web processes and commands ring its broker; name a part of addresses."""
        from . import celery  # noqa: F401

        register_converter(Id, "id")
