"""Webhooks: who is told of what, and the outbox that is written in the transaction of what it tells of.

By Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
Sending is deliveries.py's.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from .actor import Actor
from .errors import Conflict, Invalid, NotFound, Problem
from .ids import uuid7
from .isolation import APP
from .models import Delivery, Webhook
from .outbound import Refused, check_url
from .secrets import seal

EVENTS = {
    "run.succeeded": "a run has its output: `{run, feature, state}`",
    "run.failed": "a run ended without one: `{run, feature, state}`",
    "run.cancelled": "a run was cancelled: `{run, feature, state}`",
    "batch.finished": "every run of a batch has ended: `{batch, feature}`",
    "budget.soft": "what is spent of a budget has reached its soft amount: `{budget, period, user}`",
    "budget.hard": "a budget had too little left for a call, the first time in its period: `{budget, period, user}`",
    "override.changed": "the organisation's own behavior of a feature was changed: `{feature, revision}`",
    "version.current": "the vendor moved a feature to another version: `{feature, version}`",
    "version.withdrawn": "the vendor stopped a version: `{feature, version, replacement}`",
}
TEST = "webhook.test"
MOST = 10  # of one tenant
SECRET_BYTES = 32
LONGEST_OVERLAP = timedelta(days=7)
STOPPED = "The webhook was disabled."

# A UUIDv7 (RFC 9562, 5.7) in SQL that PostgreSQL 16 knows: a random UUIDv4 with its first 48 bits and version replaced.
_UUID7 = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid"""


def outbox(source: str, *, event: str, data: str, where: str = "true") -> str:
    """The statement that writes an event to the outbox, once for each webhook of its tenant that wants it.

    `source` names a relation with a tenant_id, `event` and `data` (jsonb) are expressions over it. It can stand in
    another statement's WITH, so that whoever tells pays no statement of their own.
    """
    return f"""
    INSERT INTO tenants_delivery (id, tenant_id, webhook_id, event, data, at, attempts, due_at, problem)
    SELECT {_UUID7}, w.tenant_id, w.id, {event}, {data}, clock_timestamp(), 0, clock_timestamp(), ''
    FROM {source} JOIN tenants_webhook w ON w.tenant_id = {source}.tenant_id
    WHERE w.disabled_at IS NULL AND {event} = ANY (w.events) AND {where}"""  # our own text


_TELL = f"""
WITH told AS (SELECT %(tenant)s::uuid AS tenant_id)
{outbox("told", event="%(event)s::text", data="%(data)s::jsonb")}"""


def tell(tenant_id: UUID, event: str, data: Mapping[str, Any]) -> None:
    """Tell a tenant's webhooks of an event; within the tenant's transaction. `data` holds ids, never content."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_TELL, {"tenant": tenant_id, "event": event, "data": json.dumps(data)})


def add_webhook(*, url: str, events: Sequence[str], description: str = "", by: Actor) -> tuple[Webhook, str]:
    """Have an address told of events. Returns the row and the secret that signs, shown once.

    Raises Invalid for an address that may not be called, Conflict for too many.
    """
    tenant = by.in_tenant()
    with by.doing("webhook.manage", tenant) as event:
        _check(url)
        if Webhook.objects.filter(deleted_at=None).count() >= MOST:
            raise Conflict(f"There are {MOST} webhooks already: delete one that is no longer used.")
        row = Webhook(id=uuid7(), tenant=tenant, url=url, description=description, events=sorted(set(events)))
        secret = _new_secret()
        row.secret, row.created_by = seal(secret, tenant_id=tenant.id, row_id=row.id), by.label
        row.save(force_insert=True)
        row.refresh_from_db(fields=["created_at"])
        event.detail = {"webhook": str(row.id), "events": row.events}
    return row, secret


def change_webhook(
    webhook: Webhook, *, url: str | None = None, events: Sequence[str] | None = None, description: str | None = None,
    enabled: bool | None = None, by: Actor,
) -> Webhook:  # fmt: skip
    """Change what is given. Disabled, nothing is written for it and what waits is stopped; enabled, it begins anew."""
    with by.doing("webhook.manage", webhook) as event:
        if url is not None:
            _check(url)
        told = {"url": url, "events": None if events is None else sorted(set(events)), "description": description}
        changes = {name: value for name, value in told.items() if value is not None}
        Webhook.objects.filter(pk=webhook.pk).update(**changes)
        if enabled is False:
            stop(webhook, "asked")
        elif enabled:
            Webhook.objects.filter(pk=webhook.pk).update(disabled_at=None, disabled_why="", failing_since=None)
        event.detail = {"changed": sorted(changes), "enabled": enabled}
        webhook.refresh_from_db()
    return webhook


def remove_webhook(webhook: Webhook, *, by: Actor) -> None:
    """Take a webhook away, and its secrets with it. Nothing is sent to it any more."""
    with by.doing("webhook.manage", webhook):
        stop(webhook, "asked")
        Webhook.objects.filter(pk=webhook.pk).update(deleted_at=Now(), secret="", previous="", previous_until=None)


def renew_secret(webhook: Webhook, *, overlap: timedelta, by: Actor) -> tuple[Webhook, str]:
    """Sign with a new secret, and for a time with the old one too. Returns the new one, shown once."""
    with by.doing("webhook.manage", webhook) as event:
        secret = _new_secret()
        webhook = Webhook.objects.select_for_update().get(pk=webhook.pk)
        webhook.previous, webhook.previous_until = webhook.secret, timezone.now() + overlap
        webhook.secret = seal(secret, tenant_id=webhook.tenant_id, row_id=webhook.id)
        webhook.save(update_fields=["secret", "previous", "previous_until"])
        event.detail = {"overlap_seconds": int(overlap.total_seconds())}
    return webhook, secret


def send_test(webhook: Webhook, *, by: Actor) -> Delivery:
    """Send a test event to one webhook. Raises Conflict for one that is disabled."""
    with by.doing("webhook.manage", webhook):
        _refuse_disabled(webhook)
        now = timezone.now()
        return Delivery.objects.create(tenant=webhook.tenant, webhook=webhook, event=TEST, data={}, at=now, due_at=now)


def resend(delivery: Delivery, *, by: Actor) -> Delivery:
    """Send a delivery again, under the same id. Raises Conflict while it waits, and for a webhook that is disabled."""
    with by.doing("webhook.manage", delivery):
        delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
        _refuse_disabled(Webhook.objects.get(pk=delivery.webhook_id))
        if delivery.due_at is not None:
            raise Conflict("This delivery waits to be sent, or is on its way.")
        delivery.due_at, delivery.attempts, delivery.token = timezone.now(), 0, None
        delivery.save(update_fields=["due_at", "attempts", "token"])
    return delivery


def stop(webhook: Webhook, why: str) -> None:
    """Disable a webhook and stop what waits for it; within the tenant's transaction."""
    Webhook.objects.filter(pk=webhook.pk, disabled_at=None).update(disabled_at=Now(), disabled_why=why)
    Delivery.objects.filter(webhook=webhook, due_at__isnull=False).update(due_at=None, token=None, problem=STOPPED)


def find_webhook(webhook_id: UUID, actor: Actor) -> Webhook:
    """The webhook with this id in the actor's organisation; NotFound otherwise."""
    with actor.present():
        row = Webhook.objects.filter(tenant_id=actor.tenant_id, pk=webhook_id, deleted_at=None).first()
    if row is None:
        raise NotFound
    return row


def webhooks_of(actor: Actor) -> list[Webhook]:
    """The organisation's webhooks, the newest first; within the actor's transaction."""
    return list(Webhook.objects.filter(tenant_id=actor.tenant_id, deleted_at=None).order_by("-id"))


# What the states of a delivery are, as conditions on its row.
STATES: Mapping[str, Mapping[str, Any]] = {
    "waiting": {"due_at__isnull": False},
    "delivered": {"delivered_at__isnull": False, "due_at": None},
    "failed": {"delivered_at": None, "due_at": None},
}


def state_of(delivery: Delivery) -> str:
    """waiting (to be sent, or again), delivered, or failed: given up or stopped."""
    return "waiting" if delivery.due_at else "delivered" if delivery.delivered_at else "failed"


def deliveries_to(webhook: Webhook, *, state: str = "", before: UUID | None = None, most: int) -> list[Delivery]:
    """The newest messages to a webhook, before a given one if told; within the tenant's transaction."""
    rows = Delivery.objects.filter(tenant_id=webhook.tenant_id, webhook_id=webhook.id, **STATES.get(state, {}))
    rows = rows.filter(id__lt=before) if before else rows
    return list(rows.order_by("-id")[:most])


def find_delivery(webhook: Webhook, delivery_id: UUID, actor: Actor) -> Delivery:
    """A message to one of the organisation's webhooks; NotFound otherwise."""
    with actor.present():
        row = Delivery.objects.filter(tenant_id=actor.tenant_id, webhook_id=webhook.id, pk=delivery_id).first()
    if row is None:
        raise NotFound
    return row


def _refuse_disabled(webhook: Webhook) -> None:
    if webhook.disabled_at is not None:
        raise Conflict("This webhook is disabled: enable it first.")


def _check(url: str) -> None:
    try:
        check_url(url)
    except Refused as refused:
        told = [Problem("/url", "address", str(refused))]
        raise Invalid("This address may not be called.", errors=told) from refused


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(SECRET_BYTES)).decode()
