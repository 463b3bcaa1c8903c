"""The app of tenants: it sees to it that no migration runs on a connection on which migrations lie."""

from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models.signals import pre_migrate

LONGEST_MS = 5_000  # that a migration may wait for a lock


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        """Have every `migrate` look at its connection first."""
        pre_migrate.connect(_refuse_row_security, sender=self)
        pre_migrate.connect(_refuse_to_wait, sender=self)


def _refuse_row_security(using: str, **_: Any) -> None:
    """With row security on, the owner of forced tables sees no rows: an UPDATE would touch none, a foreign key over
    rows that break it would be accepted, and both would say that all is well.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SHOW row_security")
        if cursor.fetchone() != ("off",):
            raise ImproperlyConfigured(
                "Migrations run as the owner with row_security=off, which this connection does not have: use `manage.py"
                " migrate --database owner`, and lead DATABASE_OWNER_URL to PostgreSQL itself, past any pooler."
            )


def _refuse_to_wait(using: str, **_: Any) -> None:
    """Whoever waits for a table's lock keeps everybody else waiting who comes after, so nobody waits for long."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT setting FROM pg_settings WHERE name = 'lock_timeout'")  # in ms; 0 is for ever
        if not 0 < int(cursor.fetchone()[0]) <= LONGEST_MS:
            raise ImproperlyConfigured(
                f"Migrations run with a lock_timeout of at most {LONGEST_MS / 1000:g} s, which this connection does not"
                " have: lead DATABASE_OWNER_URL to PostgreSQL itself, past any pooler. What did not get its lock is"
                " undone as a whole: run `migrate` again."
            )
