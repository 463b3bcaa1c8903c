"""`manage.py audit_verify`: walk every audit chain, and compare it with heads told outside (docs/audit.md)."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.audit import heads, read_heads
from tenants.chain import VENDOR
from tenants.walking import verified


class Command(BaseCommand):
    help = "Walk every audit chain; fails if any is not whole."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heads", dest="file", type=Path, help="lines that audit_heads or BESPOKE_AUDIT_HEADS wrote before"
        )

    def handle(self, *args: Any, file: Path | None, **options: Any) -> None:
        try:
            anchors = read_heads(file) if file else {}
        except (OSError, ValueError) as wrong:
            raise CommandError(str(wrong)) from wrong
        broken = 0
        for owner in self._owners(set(anchors)):
            found = verified(None if owner == VENDOR else UUID(owner), anchors.get(owner))
            broken += not found.whole
            told = ", ".join(f"{fault.kind} at {fault.sequence}" for fault in found.faults) or "whole"
            self.stdout.write(f"{owner}  {found.events} events  {told}")
        if broken:
            raise CommandError(f"{broken} of the chains are not whole.")

    def _owners(self, told: set[str]) -> list[str]:
        """Every chain that there is or was: one that is gone altogether was told of before."""
        return sorted({VENDOR, *told, *(head.owner for head in heads())})
