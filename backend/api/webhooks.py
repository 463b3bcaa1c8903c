"""Webhooks: addresses that are told what happens, and what became of each message."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.errors import Malformed
from tenants.models import Delivery, Webhook
from tenants.webhooks import (
    EVENTS,
    LONGEST_OVERLAP,
    STATES,
    add_webhook,
    change_webhook,
    find_delivery,
    find_webhook,
    remove_webhook,
    renew_secret,
    resend,
    send_test,
    state_of,
)

from .conditions import Conditional, held
from .door import Door, page
from .fields import Choice, Nothing, Strict, Text, Truth, Whole
from .outbound_shapes import DELIVERY, NEW_WEBHOOK, WEBHOOK
from .schema import PAGING
from .shapes import answers, listed

STATE = OpenApiParameter("state", str, enum=list(STATES), description="only those in this state")
NO_STORE = {"Cache-Control": "no-store"}
HOURS = int(LONGEST_OVERLAP.total_seconds()) // 3600


class WebhookChange(Strict):
    """What can be changed of a webhook; what is not given stays."""

    url = Text(max_length=2000, required=False)
    events = serializers.ListField(child=Choice(list(EVENTS)), allow_empty=False, required=False)
    description = Text(max_length=200, required=False, allow_blank=True)
    enabled = Truth(required=False)


class WebhookBody(Strict):
    """An address to tell, and of what."""

    url = Text(max_length=2000)
    events = serializers.ListField(child=Choice(list(EVENTS)), allow_empty=False)
    description = Text(max_length=200, required=False, allow_blank=True)


class SecretBody(Strict):
    """For how many hours the old secret signs beside the new one."""

    overlap_hours = Whole(min_value=0, max_value=HOURS, required=False)


class Webhooks(Door):
    """The webhooks."""

    @extend_schema(parameters=PAGING, responses=answers(listed(WEBHOOK)), summary="The webhooks (admins)")
    def get(self, request: Request) -> Response:
        self.actor.need("webhook.manage")
        rows = Webhook.objects.filter(tenant_id=self.actor.tenant_id, deleted_at=None)
        return page(request, rows, _json, actor=self.actor)

    @extend_schema(
        request=WebhookBody, responses=answers(NEW_WEBHOOK, 201),
        summary="Have an address told of events: its secret is shown this once (admins)",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        self.actor.need("webhook.manage")
        row, secret = add_webhook(**self.read(WebhookBody), by=self.actor)
        return Response({**_json(row), "secret": secret}, status=201, headers=NO_STORE)


class OneWebhook(Conditional):
    """One webhook."""

    state = ("url", "description", "events", "enabled")

    def hold(self, webhook_id: UUID) -> None:
        held(Webhook.objects.all(), webhook_id)

    @extend_schema(responses=answers(WEBHOOK), summary="A webhook (admins)")
    def get(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        return Response(_json(find_webhook(webhook_id, self.actor)))

    @extend_schema(request=WebhookChange, responses=answers(WEBHOOK), summary="Change, disable or enable one (admins)")
    def patch(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        body = self.read(WebhookChange)
        return Response(_json(change_webhook(find_webhook(webhook_id, self.actor), **body, by=self.actor)))

    @extend_schema(responses={204: None}, summary="Take a webhook away (admins)")
    def delete(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        remove_webhook(find_webhook(webhook_id, self.actor), by=self.actor)
        return Response(status=204)


class WebhookSecret(Door):
    """What signs."""

    @extend_schema(
        request=SecretBody, responses=answers(NEW_WEBHOOK),
        summary="Sign with a new secret, for a time beside the old one: shown this once (admins)",
    )  # fmt: skip
    def post(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        overlap = timedelta(hours=self.read(SecretBody).get("overlap_hours", 24))
        row, secret = renew_secret(find_webhook(webhook_id, self.actor), overlap=overlap, by=self.actor)
        return Response({**_json(row), "secret": secret}, headers=NO_STORE)


class WebhookTest(Door):
    """A try."""

    @extend_schema(request=None, responses=answers(DELIVERY, 202), summary="Send a test event (admins)")
    def post(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        self.read(Nothing)
        return Response(_delivery(send_test(find_webhook(webhook_id, self.actor), by=self.actor)), status=202)


class Deliveries(Door):
    """What became of messages to one webhook."""

    @extend_schema(
        parameters=[STATE, *PAGING], responses=answers(listed(DELIVERY)),
        summary="The messages to a webhook, for thirty days (admins)",
    )  # fmt: skip
    def get(self, request: Request, webhook_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        webhook, state = find_webhook(webhook_id, self.actor), request.query_params.get("state")
        if state is not None and state not in STATES:
            raise Malformed(f"state is one of: {', '.join(STATES)}.")
        rows = Delivery.objects.filter(tenant_id=self.actor.tenant_id, webhook_id=webhook.id)
        rows = rows.filter(**STATES[state]) if state else rows
        return page(request, rows, _delivery, actor=self.actor)


class Resend(Door):
    """One message."""

    @extend_schema(
        request=None, responses=answers(DELIVERY, 202), summary="Send a message again, under the same id (admins)"
    )
    def post(self, request: Request, webhook_id: UUID, delivery_id: UUID) -> Response:
        self.actor.need("webhook.manage")
        self.read(Nothing)
        delivery = find_delivery(find_webhook(webhook_id, self.actor), delivery_id, self.actor)
        return Response(_delivery(resend(delivery, by=self.actor)), status=202)


def _json(row: Webhook) -> dict[str, Any]:
    overlaps = row.previous_until is not None and row.previous_until > timezone.now()
    return {
        "id": str(row.id),
        "url": row.url,
        "description": row.description,
        "events": row.events,
        "enabled": row.disabled_at is None,
        "disabled": row.disabled_at,
        "disabled_why": row.disabled_why or None,
        "failing_since": row.failing_since,
        "old_secret_until": row.previous_until if overlaps else None,
        "created_by": row.created_by,
        "created": row.created_at,
    }


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "event": row.event,
        "data": row.data,
        "at": row.at,
        "state": state_of(row),
        "attempts": row.attempts,
        "next": row.due_at,
        "status": row.status,
        "problem": row.problem or None,
        "delivered": row.delivered_at,
    }
