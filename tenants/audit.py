"""The audit's chains: adding to one, and telling outside where each one ends.

Each tenant has a chain, and the vendor has one (chain.py says what it is made of). The app's role can add events and
read them, and has no grant to change or delete any. Whoever owns the database can: that shows when the chain is walked
(walking.py), except where its end was cut off or everything from some place on was made anew. Against these stand the
heads that were told outside before (`tell_heads`), each of which must still be found at its place.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections
from django.utils import timezone

from .chain import VENDOR, content, genesis, plain
from .isolation import APP, OPERATOR, before_commit, operator_tx
from .models import AuditEvent, AuditHead, VendorAuditEvent, VendorAuditHead
from .outbound import Failed, Refused, post

log = structlog.get_logger(__name__)

SECONDS = 10  # for an address to take heads
PIECE = 1_000  # heads that are told at a time

# One statement: the head's row is locked, and what is added stands after what stood there. (%(new)s is content.)
_ADD = """
WITH head AS (
    INSERT INTO tenants_{head} AS h ({key}, sequence, digest, told)
    VALUES ({own}, 1, sha256(%(genesis)s || int8send(1) || %(new)s), 0)
    ON CONFLICT ({unique}) DO UPDATE SET sequence = h.sequence + 1,
        digest = sha256(h.digest || int8send(h.sequence + 1) || %(new)s)
    RETURNING sequence, digest
)
INSERT INTO tenants_{event} (id, {tenant} at, actor, verb, target, detail, sequence, digest)
SELECT %(id)s, {tenant_value} %(at)s, %(actor)s, %(verb)s, %(target)s, %(detail)s::jsonb, head.sequence, head.digest
FROM head RETURNING sequence, digest"""
_ADD_TENANTS = _ADD.format(
    head="audithead", key="id, tenant_id", own="%(tenant)s, %(tenant)s", unique="tenant_id",
    event="auditevent", tenant="tenant_id,", tenant_value="%(tenant)s,",
)  # fmt: skip
_ADD_VENDORS = _ADD.format(
    head="vendoraudithead", key="id", own="1", unique="id", event="vendorauditevent", tenant="", tenant_value=""
)
_UNTOLD = """
SELECT tenant_id, sequence, digest FROM tenants_audithead
WHERE sequence > told ORDER BY tenant_id LIMIT %(piece)s"""


def record(event: AuditEvent | VendorAuditEvent) -> None:
    """Add an event to its chain, last in the present transaction: it is there if and only if that commits.

    Its `detail` may hold whatever JSON can, ids and times as they are; it is read back as JSON.
    """
    event.at, event.detail = timezone.now(), plain(event.detail)
    before_commit(APP if isinstance(event, AuditEvent) else OPERATOR, partial(_add, event))


def _add(event: AuditEvent | VendorAuditEvent) -> None:
    using, statement = (APP, _ADD_TENANTS) if isinstance(event, AuditEvent) else (OPERATOR, _ADD_VENDORS)
    owner = _owner(event)
    parameters = {
        "tenant": None if owner == VENDOR else owner, "genesis": genesis(owner), "new": _content(event),
        "id": event.id, "at": event.at, "actor": event.actor, "verb": event.verb, "target": event.target,
        "detail": json.dumps(event.detail),
    }  # fmt: skip
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        event.sequence, event.digest = cursor.fetchone()


def _owner(event: AuditEvent | VendorAuditEvent) -> str:
    return str(event.tenant_id) if isinstance(event, AuditEvent) else VENDOR


def _content(event: AuditEvent | VendorAuditEvent) -> bytes:
    return content(
        id=str(event.id), at=event.at, actor=event.actor, verb=event.verb, target=event.target, detail=event.detail
    )


@dataclass(frozen=True, slots=True)
class Told:
    """Where a chain ended at a moment: what is told outside. `owner` is a tenant's id, or `vendor`."""

    at: str
    owner: str
    sequence: int
    digest: str

    def line(self) -> str:
        """It as a line of JSON."""
        return json.dumps({"at": self.at, "owner": self.owner, "sequence": self.sequence, "digest": self.digest})


def heads() -> Iterator[Told]:
    """Where each chain ends now, the vendor's first; those without an event are left out."""
    with operator_tx():
        rows: list[tuple[str, VendorAuditHead | AuditHead]] = [
            (VENDOR, head) for head in VendorAuditHead.objects.using(OPERATOR).all()
        ]
        rows += [(str(head.tenant_id), head) for head in AuditHead.objects.using(OPERATOR).order_by("tenant_id")]
    now = timezone.now().isoformat()
    for owner, head in rows:
        yield Told(now, owner, head.sequence, bytes(head.digest).hex())


def tell_heads() -> int:
    """Tell outside where each chain ends that has grown since it was last told: to the log, and to AUDIT_HEADS.

    That is a file, which lines are added to, or an https address, which they are posted to. Where it does not take
    them, they are told again the next time. Returns how many were told.
    """
    told = 0
    while piece := _untold():
        try:
            _send([head for head, _ in piece])
        except (OSError, Refused, Failed) as failure:
            log.error("audit.heads_not_told", error=type(failure).__name__)
            return told
        with operator_tx():
            for head, model in piece:
                log.info("audit.head", owner=head.owner, sequence=head.sequence, digest=head.digest)
                mine = {} if head.owner == VENDOR else {"tenant_id": head.owner}
                model._default_manager.using(OPERATOR).filter(**mine).update(told=head.sequence)
        told += len(piece)
    return told


def _untold() -> list[tuple[Told, type[AuditHead] | type[VendorAuditHead]]]:
    now = timezone.now().isoformat()
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute("SELECT sequence, digest FROM tenants_vendoraudithead WHERE sequence > told")
        vendors = [(Told(now, VENDOR, s, bytes(d).hex()), VendorAuditHead) for s, d in cursor.fetchall()]
        cursor.execute(_UNTOLD, {"piece": PIECE})
        return vendors + [(Told(now, str(t), s, bytes(d).hex()), AuditHead) for t, s, d in cursor.fetchall()]


def _send(told: list[Told]) -> None:
    """Raises OSError, Refused or Failed where they are not taken."""
    where, lines = settings.AUDIT_HEADS, "".join(f"{head.line()}\n" for head in told)
    if where.startswith(("https://", "http://")):  # without TLS within BESPOKE_OUTBOUND_NETWORKS alone
        headers = {"Content-Type": "application/x-ndjson"}
        status = asyncio.run(post(where, lines.encode(), headers, seconds=SECONDS))
        if not 200 <= status < 300:
            raise Failed(f"It answered {status}.")
    elif where:
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def read_heads(path: Path) -> dict[str, dict[int, bytes]]:
    """Read lines as `Told.line` makes them: digests by sequence, by owner. Raises ValueError for anything else."""
    found: dict[str, dict[int, bytes]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            told = json.loads(line)
            found.setdefault(str(told["owner"]), {})[int(told["sequence"])] = bytes.fromhex(told["digest"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"Line {number} of {path} is no head: {line[:80]!r}") from None
    return found


def events_of(
    tenant_id: UUID | None, *, verb: str = "", who: str = "", before: int | None = None, most: int
) -> list[AuditEvent] | list[VendorAuditEvent]:
    """The newest events of a tenant, or (None) of the vendor, before a sequence, of a verb or an author if told.

    Within the transaction of the one who looks.
    """
    rows: Any = VendorAuditEvent.objects.using(OPERATOR)
    if tenant_id is not None:
        rows = AuditEvent.objects.filter(tenant_id=tenant_id)
    rows = rows.filter(verb=verb) if verb else rows
    rows = rows.filter(actor=who) if who else rows
    rows = rows.filter(sequence__lt=before) if before else rows
    return list(rows.order_by("-sequence")[:most])
