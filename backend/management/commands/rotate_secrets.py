"""`manage.py rotate_secrets`: seal customers' secrets anew under the first key of BESPOKE_SECRET_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backend.second_factor import rotate_second_factors
from tenants.secrets import rotate


class Command(BaseCommand):
    """Run while everything serves; docs/secrets.md says in which order keys come and go."""

    help = "Seal customers' secrets anew under the first key of BESPOKE_SECRET_KEYS; everything may go on meanwhile."

    def handle(self, *args: Any, **options: Any) -> None:
        done = rotate()
        logins = rotate_second_factors()
        done.sealed, done.unreadable = done.sealed + logins.sealed, done.unreadable + logins.unreadable
        self.stdout.write(f"{done.sealed} secrets sealed anew.")
        if done.unreadable:
            raise CommandError(f"{done.unreadable} secrets are under a key that is not in BESPOKE_SECRET_KEYS.")
