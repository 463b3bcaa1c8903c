"""Mail people the notices that are new to them; the beat does so each hour."""

from typing import Any

from django.core.management.base import BaseCommand

from features.mailing import send_notices


class Command(BaseCommand):
    """Idempotent: what was mailed or read is not mailed again."""

    help = "Mail every member one digest of the notices that they have neither read nor been mailed."

    def handle(self, *args: Any, **options: Any) -> None:
        sent = send_notices()
        self.stdout.write(f"{sent} sent")
