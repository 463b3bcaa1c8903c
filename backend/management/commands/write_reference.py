"""Write the pages of docs/reference that are made from the code; a test says when one is out of date."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from backend.api.reference import PAGES


class Command(BaseCommand):
    """`manage.py write_reference`."""

    help = "Write the pages of docs/reference that are made from the code."
    requires_system_checks = ()

    def handle(self, *arguments: Any, **options: Any) -> None:
        for name, make in PAGES.items():
            path = settings.ROOT / "docs" / "reference" / name
            path.write_text(make(), encoding="utf-8")
            self.stdout.write(f"wrote {path.relative_to(settings.ROOT)}")
