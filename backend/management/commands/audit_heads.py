"""`manage.py audit_heads`: where each audit chain ends now, as lines of JSON, to be kept outside (docs/audit.md)."""

from typing import Any

from django.core.management.base import BaseCommand

from tenants.audit import heads


class Command(BaseCommand):
    help = "Print where each audit chain ends, as lines of JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        for head in heads():
            self.stdout.write(head.line())
