"""`manage.py verify_database`: after a restore: are tenants kept apart, and audit chains whole? (docs/backup.md)."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.faults import refuse_unsafe


class Command(BaseCommand):
    help = "Fails unless the database keeps tenants apart and every audit chain is whole."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--heads", type=Path, help="heads of audit chains, as audit_verify takes them")

    def handle(self, *args: Any, heads: Path | None, **options: Any) -> None:
        try:
            refuse_unsafe()
        except ImproperlyConfigured as unsafe:
            raise CommandError(str(unsafe)) from unsafe
        call_command("audit_verify", *(["--heads", str(heads)] if heads else []), stdout=self.stdout)
