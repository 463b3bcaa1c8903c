"""Sending the outbox: each webhook by itself, again and again with growing pauses, and given up in the end.

A claim is a token and a time until which it counts; a worker that dies lets it lapse, and the delivery is made again
under the same id: at least once. All of a process's deliveries wait on one event loop, so that an address which hangs
holds a connection there and nothing else, and of a webhook that fails one delivery at a time is tried.
"""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from smtplib import SMTPException
from typing import TypeVar
from uuid import UUID, uuid4

import structlog
from django.core.mail import send_mail
from django.db import Error, connections, transaction
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from .actor import Actor
from .isolation import APP, OPERATOR, operator_tx, tenant_tx
from .models import Delivery, Member, Tenant, Webhook
from .outbound import Failed, Refused, post
from .roles import VERBS
from .secrets import Unreadable, unseal
from .webhooks import stop

T = TypeVar("T")

SECONDS = 15.0  # for one attempt, from resolving the name to the answer's status
LEASE_SECONDS = 60.0  # for which a claim counts
EACH = 4  # attempts under way for one webhook, and one while it fails
AT_ONCE = 500  # attempts under way in one process
# Pauses between attempts, as Standard Webhooks proposes them, with a tenth of jitter either way: four days in all.
PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1
FAILING = timedelta(days=5)  # without a success, after which a webhook is disabled
KEPT = timedelta(days=30)
PIECE = 1000
GONE = 410
CLAIMING = 0x62_77_68_6B  # the advisory lock of whoever claims: one at a time, so that counts are true

log = structlog.get_logger(__name__)

_CLAIM = """
WITH due AS (
    SELECT d.tenant_id, d.id, busy.n, d.due_at
    FROM tenants_webhook w
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM tenants_delivery b
        WHERE b.tenant_id = w.tenant_id AND b.webhook_id = w.id AND b.token IS NOT NULL
          AND b.due_at > clock_timestamp()
    ) busy
    CROSS JOIN LATERAL (
        SELECT d.tenant_id, d.id, d.due_at FROM tenants_delivery d
        WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id AND d.due_at <= clock_timestamp()
        ORDER BY d.due_at
        LIMIT greatest(0, CASE WHEN w.failing_since IS NULL THEN %(each)s ELSE 1 END - busy.n)
    ) d
    WHERE w.disabled_at IS NULL ORDER BY busy.n, d.due_at LIMIT %(most)s
), chosen AS (
    SELECT d.tenant_id, d.id FROM tenants_delivery d JOIN due USING (tenant_id, id)
    WHERE d.due_at <= clock_timestamp() FOR UPDATE OF d SKIP LOCKED
)
UPDATE tenants_delivery d SET token = %(token)s, attempts = d.attempts + 1,
    due_at = clock_timestamp() + make_interval(secs => %(lease)s)
FROM chosen WHERE d.tenant_id = chosen.tenant_id AND d.id = chosen.id
RETURNING d.tenant_id, d.id, d.token"""
_OLD = """
DELETE FROM tenants_delivery WHERE (tenant_id, id) IN (
    SELECT tenant_id, id FROM tenants_delivery WHERE at < %s LIMIT %s)"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to attempt."""

    tenant_id: UUID
    id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: signed anew for each attempt, since the time is signed too."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to: the answer's status, or why there is none."""

    status: int | None
    problem: str = ""

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def claim(most: int) -> list[Claimed]:
    """Claim deliveries that are due, at most EACH of one webhook; none while another process claims."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [CLAIMING])
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(_CLAIM, {"each": EACH, "most": most, "token": uuid4(), "lease": LEASE_SECONDS})
        return [Claimed(*row) for row in cursor.fetchall()]


def write(claimed: Claimed) -> Letter | Outcome | None:
    """Make the letter of a claim; an Outcome where none can be made, None where the claim is no longer ours."""
    with tenant_tx(claimed.tenant_id):
        row = Delivery.objects.select_related("webhook").filter(pk=claimed.id, token=claimed.token).first()
    if row is None:  # stopped meanwhile, or claimed anew
        return None
    hook, now = row.webhook, timezone.now()
    sealed = [hook.secret, *([hook.previous] if hook.previous_until and hook.previous_until > now else [])]
    try:
        secrets = [unseal(text, tenant_id=hook.tenant_id, row_id=hook.id) for text in sealed]
    except Unreadable:
        return Outcome(None, "The webhook's secret cannot be read: renew it.")
    told = {"type": row.event, "timestamp": row.at.isoformat().replace("+00:00", "Z"), "data": row.data}
    body = json.dumps(told, separators=(",", ":"))
    signatures = [Signer(secret.reveal()).sign(_name(row), _whole(now), body) for secret in secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Bespoke-Webhooks/1",
        "webhook-id": _name(row),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    return Letter(hook.url, body.encode(), headers)


def settle(claimed: Claimed, outcome: Outcome) -> None:
    """Write down what an attempt came to: delivered, to be tried again later, or given up; 410 disables the webhook."""
    with tenant_tx(claimed.tenant_id):
        rows = Delivery.objects.select_related("webhook", "tenant").select_for_update(of=("self",))
        row = rows.filter(pk=claimed.id, token=claimed.token).first()
        if row is None:
            return  # stopped meanwhile, or claimed anew
        row.status, row.problem, row.token = outcome.status, outcome.problem, None
        row.due_at = None if outcome.good else _again(row.attempts)
        row.delivered_at = timezone.now() if outcome.good else None
        row.save(update_fields=["status", "problem", "token", "due_at", "delivered_at"])
        hooks = Webhook.objects.filter(pk=row.webhook_id)
        if outcome.good:
            hooks.exclude(failing_since=None).update(failing_since=None)
            return
        hooks.update(failing_since=Coalesce("failing_since", Now()))
        hook = hooks.get()
        why = _why_disabled(hook, outcome)
        if why and hook.disabled_at is None:
            _disable(row.tenant, hook, why)


def delete_old() -> int:
    """Delete deliveries a month after what they told of. Returns how many."""
    deleted = 0
    while True:
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute(_OLD, [timezone.now() - KEPT, PIECE])
            count: int = cursor.rowcount
        deleted += count
        if count < PIECE:
            return deleted


class Courier:
    """What carries a process's deliveries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._stopping = False

    def look(self) -> int:
        """Claim what is due and send it on its way, without waiting for it. Returns how many."""
        with self._lock:
            room = 0 if self._stopping else AT_ONCE - self._under_way
        claims = claim(room) if room > 0 else []
        with self._lock:
            self._under_way += len(claims)
        for claimed in claims:
            asyncio.run_coroutine_threadsafe(self._carry(claimed), _loop())
        return len(claims)

    def stop(self) -> None:
        """Claim no more. What is under way and not settled is made again by whoever finds its claim lapsed."""
        self._stopping = True

    async def _carry(self, claimed: Claimed) -> None:
        try:
            letter = await _in_thread(partial(write, claimed))
            if letter is not None:
                outcome = await _send(letter) if isinstance(letter, Letter) else letter
                await _in_thread(partial(settle, claimed, outcome))
                log.info("webhook.attempted", delivery=str(claimed.id), status=outcome.status, good=outcome.good)
        except Error as error:
            log.warning("webhook.unsettled", delivery=str(claimed.id), error=type(error).__name__)
            return  # the database is away: nobody asks it for more on that account
        finally:
            with self._lock:
                self._under_way -= 1
        await _in_thread(self._look_on)

    def _look_on(self) -> None:
        try:
            self.look()
        except Error as error:
            log.warning("webhook.not_claimed", error=type(error).__name__)


courier = Courier()


async def _send(letter: Letter) -> Outcome:
    try:
        return Outcome(await post(letter.url, letter.body, letter.headers, seconds=SECONDS))
    except (Refused, Failed) as failure:
        return Outcome(None, str(failure))


async def _in_thread(work: Callable[[], T]) -> T:
    def worked() -> T:
        try:
            return work()
        finally:
            for alias in (APP, OPERATOR):  # back to the pool
                connections[alias].close()

    return await asyncio.get_running_loop().run_in_executor(_threads(), worked)


def _why_disabled(hook: Webhook, outcome: Outcome) -> str:
    if outcome.status == GONE:
        return "gone"
    return "failing" if hook.failing_since and hook.failing_since < timezone.now() - FAILING else ""


def _disable(tenant: Tenant, hook: Webhook, why: str) -> None:
    """Disable a webhook of which nobody is there any more, leave an audit row, and write to those who manage it."""
    by = Actor(kind="service", label="system:webhooks", role="system", can=frozenset({"webhook.manage"}), tenant=tenant)
    with by.doing("webhook.manage", hook) as event:
        stop(hook, why)
        event.detail = {"disabled": why}
    roles = [role for role, verbs in VERBS.items() if "webhook.manage" in verbs]
    people = Member.objects.filter(role__in=roles, removed_at=None, user__is_active=True)
    addresses = list(people.values_list("user__email", flat=True))
    transaction.on_commit(partial(_mail, tenant.name, hook.url, why, addresses), using=APP)


def _mail(tenant: str, url: str, why: str, addresses: list[str]) -> None:
    because = "it answered 410 Gone" if why == "gone" else f"nothing has reached it for {FAILING.days} days"
    text = (
        f"The webhook of {tenant} to\n{url}\nwas disabled, since {because}. Nothing is sent to it until you enable it."
    )
    for address in addresses:
        try:
            send_mail("A webhook was disabled", f"{text}\n", None, [address])
        except (SMTPException, OSError) as error:
            log.warning("webhook.not_mailed", error=type(error).__name__)


def _again(attempts: int) -> datetime | None:
    """When to try again after so many attempts; None: not any more."""
    if attempts > len(PAUSES):
        return None
    pause = PAUSES[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # spreads load, hides nothing
    return timezone.now() + timedelta(seconds=pause)


def _name(row: Delivery) -> str:
    return f"msg_{row.id}"


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="webhooks", daemon=True).start()
    return loop


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, "webhooks")
