"""`manage.py erase_again ORGANISATION SUBJECT`: after a restore, an erasure that was made since (docs/backup.md)."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import erasure, jobs
from tenants.actor import Actor
from tenants.errors import AppError
from tenants.isolation import tenant_tx
from tenants.models import Subject, Tenant
from tenants.privacy import erase_subject
from tenants.privacy_models import Erasure
from tenants.subjects import Who


class Command(BaseCommand):
    help = "Erase a subject by the ids that a line `erasure.done` of the log has, without waiting for a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", type=UUID)
        parser.add_argument("subject", type=UUID)

    def handle(self, *args: Any, organisation: UUID, subject: UUID, **options: Any) -> None:
        with tenant_tx(organisation):
            tenant = Tenant.objects.filter(pk=organisation).first()
            row = Subject.objects.filter(pk=subject).first()
        if tenant is None or row is None:
            self.stdout.write("Nothing of them is there.")
            return
        can = frozenset({"subject.erase"})
        by = Actor(kind="service", label="system:erase_again", role="system", can=can, tenant=tenant)
        try:
            asked = erase_subject(Who(row.id, row.key, row.kind), by=by)  # type: ignore[arg-type]  # a kind as kept
        except AppError as error:
            raise CommandError(error.detail) from error
        jobs.each(Erasure, erasure.carry_out)
        with tenant_tx(organisation):
            state = Erasure.objects.get(pk=asked.pk).state
        self.stdout.write(f"{asked.id}  {state}")
        if state != Erasure.State.DONE:
            self.stdout.write("A worker goes on with it: something of theirs is being carried out still.")
