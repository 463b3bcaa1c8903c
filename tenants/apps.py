"""The app of tenants: it sees to it that no migration runs on a connection on which migrations lie."""

from typing import Any

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models.signals import pre_migrate


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        """Have every `migrate` look at its connection first."""
        pre_migrate.connect(_refuse_row_security, sender=self)


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
