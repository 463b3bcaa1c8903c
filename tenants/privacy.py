"""What people ask of their data: to have all of it, and to have it erased. Workers do it (export.py, erasure.py)."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import kombu.exceptions
import redis
from celery import current_app
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from .actor import Actor
from .errors import Conflict, Invalid, NotFound, Problem
from .isolation import APP, OPERATOR, tenant_tx
from .models import Member, Subject, Tenant
from .privacy_models import Erasure, Export, ExportPiece
from .subjects import Who

BELL = "tenants.tasks.privacy"


def ask_for_export(*, by: Actor) -> Export:
    """Ask for all that the organisation has, as a file that a worker makes. One that is being made is returned."""
    tenant = by.in_tenant()
    with by.doing("data.export", tenant) as event:
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # one at a time
        export = Export.objects.filter(tenant=tenant, state__in=Export.OPEN).first()
        if export is None:
            export = Export(tenant=tenant, author=by.label)
            export.save(force_insert=True)
            export.refresh_from_db()
        event.detail = {"export": str(export.id), "what": "asked"}
        transaction.on_commit(_ring, using=APP)
    return export


def exports_of(actor: Actor) -> QuerySet[Export]:
    """The exports that the actor may see. Raises Forbidden."""
    actor.need("data.export")
    return Export.objects.filter(tenant_id=actor.tenant_id)


def open_export(export_id: UUID, *, by: Actor) -> Export:
    """Take an export's file, which is noted in the audit; `pieces_of` reads it.

    Raises NotFound, and Conflict for one that is not ready yet, failed, or has expired.
    """
    by.need("data.export")
    with by.present():
        export = Export.objects.filter(tenant_id=by.tenant_id, pk=export_id).first()
    if export is None:
        raise NotFound
    with by.doing("data.export", export) as event:
        if export.state in Export.OPEN:
            raise Conflict("This export is being made still. Ask again in a moment.")
        if export.state == Export.State.FAILED:
            raise Conflict("This export could not be made. Ask for another.")
        if has_expired(export):
            raise Conflict("This export has expired. Ask for another.")
        event.detail = {"what": "taken", "digest": export.digest}
    return export


def has_expired(export: Export) -> bool:
    """Whether an export that was ready has no file any more."""
    over = export.expires_at is not None and export.expires_at <= timezone.now()
    return export.state == Export.State.DONE and (over or export.bytes == 0)


def pieces_of(export: Export) -> Iterator[bytes]:
    """An export's file, a piece at a time, each read in a transaction of its own. Ends early if it is deleted."""
    number = 0
    while True:
        with tenant_tx(export.tenant_id):
            rows = ExportPiece.objects.filter(tenant_id=export.tenant_id, export_id=export.id, number=number)
            data = rows.values_list("data", flat=True).first()
        if data is None:
            return
        yield bytes(data)
        number += 1


def erase_subject(who: Who, *, by: Actor) -> Erasure:
    """Have a subject erased: an end user, or a member who has left. Asked again it is the erasure that there is.

    What waits of theirs is cancelled, what runs is stopped, and a worker does the rest. Raises NotFound for a subject
    that nothing was ever written for, Conflict for a member who has not left, Invalid for the organisation itself.
    """
    if who.is_tenant:
        raise Invalid("An organisation is erased whole by the vendor, after it was closed.")
    by.need("subject.erase")
    with by.present():
        there = Subject.objects.filter(pk=who.id).exists()
        former = Erasure.objects.filter(tenant_id=by.tenant_id, subject=who.id).order_by("-id").first()
    if former is not None and (former.state in Erasure.OPEN or (former.state == Erasure.State.DONE and not there)):
        return former
    if not there:
        raise NotFound("There is no such subject.")
    with by.doing("subject.erase", by.in_tenant()) as event:
        list(Subject.objects.select_for_update(no_key=True).filter(pk=who.id))  # one at a time
        if Member.objects.filter(pk=who.id, removed_at=None).exists():
            raise Conflict("They are a member still: end the membership first (DELETE /members/{id}).")
        erasure = Erasure.objects.filter(tenant_id=by.tenant_id, subject=who.id, state__in=Erasure.OPEN).first()
        if erasure is None:
            erasure = Erasure(tenant=by.in_tenant(), kind=who.kind, subject=who.id, author=by.label)
            erasure.save(force_insert=True)
            erasure.refresh_from_db()
        event.detail = {"what": "asked", "erasure": str(erasure.id), "subject": str(who.id)}
        transaction.on_commit(_ring, using=APP)
    return erasure


def confirmation(tenant: Tenant) -> str:
    """What has to be said to have an organisation erased."""
    return f"erase {tenant.slug}"


def erase_tenant(tenant: Tenant, *, confirm: str, by: Actor) -> Erasure:
    """Have a closed organisation erased, all of it (vendor). Asked again it is the erasure that there is.

    Raises Conflict for one that is not closed, and Invalid unless `confirm` is its `confirmation`.
    """
    with by.doing("tenant.erase", tenant) as event:
        row = Tenant.objects.using(OPERATOR).select_for_update(no_key=True).get(pk=tenant.pk)
        if row.state != Tenant.State.CLOSED:
            raise Conflict("Only a closed organisation can be erased. Close it first.")
        if confirm != confirmation(row):
            wrong = Problem("/confirm", "const", f"must be {confirmation(row)!r}")
            raise Invalid("Say which organisation is to be erased: it cannot be undone.", errors=[wrong])
        rows = Erasure.objects.using(OPERATOR).filter(tenant_id=row.pk, subject=None)
        erasure = rows.exclude(state=Erasure.State.FAILED).order_by("-id").first()
        if erasure is None:
            erasure = Erasure(tenant_id=row.pk, kind=Subject.Kind.TENANT, subject=None, author=by.label)
            erasure.save(using=OPERATOR, force_insert=True)
            erasure.refresh_from_db(using=OPERATOR)
        event.detail = {"erasure": str(erasure.id)}
        transaction.on_commit(_ring, using=OPERATOR)
    return erasure


def erasures_of(actor: Actor) -> QuerySet[Erasure]:
    """The erasures that the actor may see: their organisation's, for an operator those of whole organisations."""
    if actor.tenant is None:
        actor.need("tenant.erase")
        return Erasure.objects.using(OPERATOR).filter(subject=None)
    actor.need("subject.erase")
    return Erasure.objects.filter(tenant_id=actor.tenant_id)


def erased_at(subject: UUID) -> datetime | None:
    """When a subject of the present tenant was last erased: what was before that cannot be brought back."""
    done = Erasure.objects.filter(subject=subject, state=Erasure.State.DONE).order_by("-finished_at")
    return done.values_list("finished_at", flat=True).first()


def _ring() -> None:
    """Tell a worker to look. A lost bell costs a second or two: beat rings too."""
    try:
        current_app.send_task(BELL, ignore_result=True, retry=False, expires=60)
    except (redis.RedisError, kombu.exceptions.OperationalError, OSError):
        return
