"""`manage.py carry_out_quarantined`: what a worker starts for a run that workers have died of."""

from typing import Any

from django.core.management.base import BaseCommand

from features.runs.quarantine import carry_out_next


class Command(BaseCommand):
    help = "Carry out one run that workers have died of, alone in this process. Workers start it by themselves."

    def handle(self, *args: Any, **options: Any) -> None:
        carry_out_next()
