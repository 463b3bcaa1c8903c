"""The audit's chains: adding to one, walking one, and telling outside where each one ends.

Each tenant has a chain, and the vendor has one (chain.py says what it is made of). The app's role can add events and
read them, and has no grant to change or delete any. Whoever owns the database can: that shows in `verified`, except
where the end of a chain was cut off or everything from some place on was made anew. Against these stand the heads
that were told outside before (`tell_heads`), each of which must still be found at its place.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections
from django.utils import timezone

from .chain import content, genesis, link, plain
from .isolation import APP, OPERATOR, before_commit, operator_tx, tenant_tx
from .models import AuditEvent, AuditHead, VendorAuditEvent, VendorAuditHead
from .outbound import Failed, Refused, post

log = structlog.get_logger(__name__)

VENDOR = "vendor"
SECONDS = 10  # for an address to take heads
PIECE = 1_000  # events that are read at a time
MOST_FAULTS = 20  # that are told of one chain

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
_END = """
SELECT coalesce(max(h.sequence), 0), max(h.digest), (SELECT coalesce(max(sequence), 0) FROM tenants_{event} {only})
FROM tenants_{head} h {only}"""
_AFTER = """
SELECT id, sequence, digest, at, actor, verb, target, detail::text FROM tenants_{event}
WHERE (sequence, id) > (%(sequence)s, %(id)s) AND sequence <= %(end)s {and_only}
ORDER BY sequence, id LIMIT %(piece)s"""
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
class Fault:
    """What is wrong at one place of a chain: `missing`, `twice`, `changed`, `beyond` (the end), `cut` or `replaced`."""

    sequence: int
    kind: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What walking a chain came to: how many events there are, where it ends (digest in hexadecimal), what is wrong.

    Of the faults the first MOST_FAULTS are told.
    """

    owner: str
    events: int
    sequence: int
    digest: str
    faults: tuple[Fault, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verified(tenant_id: UUID | None, anchors: Mapping[int, bytes] | None = None) -> Verified:
    """Walk a tenant's chain, for None the vendor's, from its beginning to its end, in bounded memory.

    `anchors` are digests by sequence, as they were told outside before. Faults are `missing`: there is no event with
    this sequence; `twice`: there is more than one; `changed`: the event is not what was written, or not after what it
    was written after; `beyond`: there are events after the end; `cut`: the end was further on, says an anchor;
    `replaced`: there was another event here, says an anchor.
    """
    walk = _Walk(tenant_id, dict(anchors or {}))
    walk.go()
    return Verified(walk.owner, walk.events, walk.end, walk.before.hex(), tuple(walk.faults[:MOST_FAULTS]))


class _Walk:
    """One walk along a chain; `before` is the digest that the next event stands after."""

    def __init__(self, tenant_id: UUID | None, anchors: dict[int, bytes]) -> None:
        self.tenant_id, self.anchors = tenant_id, anchors
        self.owner = VENDOR if tenant_id is None else str(tenant_id)
        self.before, self.at, self.events, self.faults = genesis(self.owner), 0, 0, list[Fault]()
        self.end, self.digest, self.last = self._end()

    def go(self) -> None:
        for sequence, digest, new in self._events():
            self.events += 1
            if sequence == self.at:
                self._wrong("twice", sequence)
                continue
            self._skip_to(sequence)
            if link(self.before, sequence, new) != digest:
                self._wrong("changed", sequence)
            self._look_at_anchor(sequence, digest)
            self.before, self.at = digest, sequence
        self._skip_to(self.end + 1)
        if self.end and self.before != self.digest:
            self._wrong("changed", self.end)
        if self.last > self.end:
            self._wrong("beyond", self.end + 1)
        for sequence in sorted(self.anchors):
            self._wrong("cut" if sequence > self.end else "missing", sequence)

    def _skip_to(self, sequence: int) -> None:
        for missing in range(self.at + 1, min(sequence, self.at + 1 + MOST_FAULTS)):
            self._wrong("missing", missing)

    def _look_at_anchor(self, sequence: int, digest: bytes) -> None:
        told = self.anchors.pop(sequence, None)
        if told is not None and told != digest:
            self._wrong("replaced", sequence)

    def _wrong(self, kind: str, sequence: int) -> None:
        fault = Fault(sequence, kind)
        if fault not in self.faults and len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def _events(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Sequence, digest and content of each event, in order."""
        last: dict[str, Any] = {"sequence": 0, "id": UUID(int=0), "end": self.end, "piece": PIECE}
        while True:
            rows = self._ask(_AFTER, last)
            for id_, sequence, digest, at, actor, verb, target, detail in rows:
                new = content(id=str(id_), at=at, actor=actor, verb=verb, target=target, detail=json.loads(detail))
                yield sequence, bytes(digest), new
                last |= {"sequence": sequence, "id": id_}
            if len(rows) < PIECE:
                return

    def _end(self) -> tuple[int, bytes, int]:
        [(sequence, digest, last)] = self._ask(_END, {})
        return sequence, bytes(digest or b""), last

    def _ask(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        mine = self.tenant_id is not None
        names = {
            "event": "auditevent" if mine else "vendorauditevent", "head": "audithead" if mine else "vendoraudithead",
            "only": "WHERE tenant_id = %(tenant)s" if mine else "",
            "and_only": "AND tenant_id = %(tenant)s" if mine else "",
        }  # fmt: skip
        within = tenant_tx(self.tenant_id) if self.tenant_id is not None else operator_tx()
        with within, connections[APP if mine else OPERATOR].cursor() as cursor:
            cursor.execute(statement.format(**names), {**parameters, "tenant": self.tenant_id})
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


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
