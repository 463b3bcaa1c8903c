"""Leave for the vendor's support to look at an organisation's runs and behavior: given by its admins, for a time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from .actor import Actor, note_for_vendor
from .isolation import OPERATOR, operator_tx
from .models import SupportGrant, Tenant
from .workshop import customers

MOST_HOURS = 7 * 24


def grant_support(*, hours: int, reason: str, by: Actor) -> SupportGrant:
    """Let operators with the role support look for so many hours (1 to 168); a grant that there is ends with it."""
    tenant = by.in_tenant()
    with by.doing("support.grant", tenant) as event:
        live_grants().update(ended_at=Now())
        made = SupportGrant(tenant=tenant, reason=reason, granted_by=by.label)
        made.until = timezone.now() + timedelta(hours=hours)
        made.save(force_insert=True)
        made.refresh_from_db(fields=["created_at"])
        event.detail = {"grant": str(made.id), "until": made.until.isoformat()}
        note_for_vendor(tenant, "support.grant", event.detail, by=by)
    return made


def end_support(*, by: Actor) -> None:
    """Let nobody look any more, from the next request on. Where nobody may, nothing changes."""
    tenant = by.in_tenant()
    with by.doing("support.grant", tenant) as event:
        event.detail = {"ended": live_grants().update(ended_at=Now())}
        note_for_vendor(tenant, "support.grant", event.detail, by=by)


def live_grants() -> QuerySet[SupportGrant]:
    """The grants in force of the present organisation: one or none; within its transaction."""
    return SupportGrant.objects.filter(ended_at=None, until__gt=timezone.now())


@dataclass(frozen=True, slots=True)
class Given:
    """Leave as it was given: why, from when, until when, and when it ended before that."""

    reason: str
    at: datetime
    until: datetime
    ended: datetime | None


def grants_told(tenant: Tenant, most: int = 20) -> list[Given]:
    """The leaves that an organisation gave, the newest first; for operators, within their transaction."""
    rows = SupportGrant.objects.using(OPERATOR).only("id", "reason", "created_at", "until", "ended_at")
    return [
        Given(
            row.reason, row.created_at, row.until, row.ended_at if row.ended_at and row.ended_at < row.until else None
        )
        for row in rows.filter(tenant=tenant).order_by("-id")[:most]
    ]


def support_ends() -> dict[UUID, datetime]:
    """Until when support may look, by organisation that lets it, for operators; within their transaction."""
    rows = SupportGrant.objects.using(OPERATOR).filter(ended_at=None, until__gt=timezone.now()).order_by("until")
    return dict(rows.values_list("tenant_id", "until"))


def open_to_support(slug: str) -> tuple[Tenant, datetime] | None:
    """The organisation with this name, and until when it may be looked at; None where it may not, or is not there."""
    with operator_tx():
        tenant = customers().filter(slug=slug).first()
        rows = SupportGrant.objects.using(OPERATOR).only("id", "until")
        live = rows.filter(tenant=tenant, ended_at=None, until__gt=timezone.now()).order_by("-until").first()
    return (tenant, live.until) if tenant is not None and live is not None else None
