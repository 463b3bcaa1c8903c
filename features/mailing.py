"""Notices by mail: to each member one digest of what is new to them, tenant by tenant.

At least once: a notice is marked as mailed in the transaction that hands its mail over, and a mail that could not be
handed over takes the mark back, so that the next pass tries again. A process that dies between the two mails twice.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from smtplib import SMTPRecipientsRefused
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connections

from tenants.isolation import APP, OPERATOR, operator_tx, tenant_tx
from tenants.models import ApiKey, Member, Tenant
from tenants.roles import VERBS
from tenants.subjects import make_sure, member_subject

from .causes import SOON
from .models import Feature, ModelTarget, NoticeMark, Override, Pin, Withdrawal
from .notices import SOURCES, Notice, inbox_of
from .resolve import clock
from .validity import valid_at

log = structlog.get_logger(__name__)

SETTLED = timedelta(minutes=5)  # what came about this lately may be settled before anybody reads a mail of it
TO_COME = ("pin_ending", "model_ending", "retiring", "key_ending")  # these are told with the moment that they are about

_CLAIM = """
INSERT INTO features_noticemark AS m (id, tenant_id, subject_id, notice, mailed_at, created_at)
SELECT gen_random_uuid(), %s, %s, notice, clock_timestamp(), clock_timestamp() FROM unnest(%s::uuid[]) AS notice
ON CONFLICT (tenant_id, subject_id, notice) DO UPDATE SET mailed_at = excluded.mailed_at
WHERE m.mailed_at IS NULL AND m.read_at IS NULL
RETURNING notice"""


def send_notices(stopping: Callable[[], bool] = lambda: False) -> int:
    """Mail everybody what they have neither read nor been mailed, or until `stopping`. Returns how many mails went out.

    A refused address is passed over; where mail cannot be sent at all that error is raised, and the next pass goes on.
    """
    sent = 0
    for tenant in _tenants():
        for member in _members(tenant):
            if stopping():
                return sent
            sent += _mail(tenant, member)
    return sent


def _tenants() -> list[Tenant]:
    """The tenants that can have something to tell: all of them where the vendor ends or withdraws anything."""
    with operator_tx():
        now = clock(OPERATOR)
        tenants = Tenant.objects.using(OPERATOR).filter(state=Tenant.State.ACTIVE).order_by("id")
        ending = ModelTarget.objects.using(OPERATOR).filter(ends_at__gt=now)
        withdrawn = Withdrawal.objects.using(OPERATOR).filter(valid_at(now))
        retiring = Feature.objects.using(OPERATOR).exclude(retires_at=None)
        if any(rows.exists() for rows in (ending, withdrawn, retiring)):
            return list(tenants)
        own = {
            tenant_id
            for rows in (Override.objects, Pin.objects)
            for tenant_id in rows.using(OPERATOR).filter(valid_at(now)).values_list("tenant_id", flat=True).distinct()
        }
        for source in SOURCES:
            own.update(source.tenants())
        soon = ApiKey.objects.using(OPERATOR).filter(revoked_at=None, expires_at__gt=now, expires_at__lte=now + SOON)
        own |= set(soon.values_list("tenant_id", flat=True).distinct())
        return list(tenants.filter(id__in=own))


def _members(tenant: Tenant) -> Iterator[Member]:
    with tenant_tx(tenant.id):
        rows = Member.objects.select_related("user").filter(removed_at=None, user__is_active=True).order_by("id")
        members = list(rows)
    yield from members


def _mail(tenant: Tenant, member: Member) -> bool:
    who = member_subject(member.id)
    try:
        with tenant_tx(tenant.id):
            notices = inbox_of(tenant.id, who, admin="override.tenant" in VERBS[member.role])
            due = _due(notices, clock(), who.id)
            if due:
                make_sure(tenant.id, who)
                claimed = _claim(tenant.id, who.id, [notice.id for notice in due])
                due = [notice for notice in due if notice.id in claimed]
            if due:
                _message(tenant, member, due).send()
    except SMTPRecipientsRefused:
        log.warning("notices.refused", tenant=str(tenant.id), member=str(member.id))
        return False
    return bool(due)


def _due(notices: Sequence[Notice], now: datetime, subject_id: UUID) -> list[Notice]:
    fresh = [n for n in notices if not n.read and (n.kind in TO_COME or n.at <= now - SETTLED)]
    if not fresh:
        return []
    marks = NoticeMark.objects.filter(subject_id=subject_id, notice__in=[notice.id for notice in fresh])
    mailed = set(marks.exclude(mailed_at=None).values_list("notice", flat=True))
    return [notice for notice in fresh if notice.id not in mailed]


def _claim(tenant_id: UUID, subject_id: UUID, notices: list[UUID]) -> set[UUID]:
    """Mark notices as mailed, and return those that no other process has marked first."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_CLAIM, [tenant_id, subject_id, sorted(notices)])
        return {row[0] for row in cursor.fetchall()}


def _message(tenant: Tenant, member: Member, notices: Sequence[Notice]) -> EmailMessage:
    first = " ".join(notices[0].title.split())
    more = len(notices) - 1
    blocks = [f"{n.title}\n{n.text}\n{settings.BASE_URL}{n.action.href}" for n in notices]
    greeting = f"Hello {member.user.name}," if member.user.name else "Hello,"
    ending = f"You get this as a member of {tenant.name}. Everything there is: {settings.BASE_URL}/notices"
    return EmailMessage(
        subject=first if not more else f"{first}, and {more} more",
        body="\n\n".join([greeting, *blocks, ending]) + "\n",
        to=[member.user.email],
    )
