"""Walking an audit's chain, to find whether it is as it was written: whole, or a stretch at a time.

A chain can be long, and whoever asks for it through the web waits: so a walk can begin after an event whose digest is
known and end after so many events, and the next goes on from there. Memory is bounded either way.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connections

from .chain import VENDOR, content, genesis, link
from .errors import Malformed
from .isolation import APP, OPERATOR, operator_tx, tenant_tx

STRETCH = 5_000  # events that one request walks past
PIECE = 1_000  # events that are read at a time
MOST_FAULTS = 20  # that are told of one chain
_SEQUENCE, _DIGEST = re.compile("[1-9][0-9]{0,17}"), re.compile("[0-9a-f]{64}")

_END = """
SELECT coalesce(max(h.sequence), 0), max(h.digest), (SELECT coalesce(max(sequence), 0) FROM tenants_{event} {only})
FROM tenants_{head} h {only}"""
_AFTER = """
SELECT id, sequence, digest, at, actor, verb, target, detail::text FROM tenants_{event}
WHERE (sequence, id) > (%(sequence)s, %(id)s) AND sequence <= %(end)s {and_only}
ORDER BY sequence, id LIMIT %(piece)s"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a chain: `missing`, `twice`, `changed`, `beyond` (the end), `cut` or `replaced`."""

    sequence: int
    kind: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a chain: the event with this sequence has, or had when somebody last saw it, this digest."""

    sequence: int
    digest: bytes

    @classmethod
    def read(cls, sequence: str | None, digest: str | None) -> "Place | None":
        """The place that a caller names, None for none. Raises Malformed for half of one, and what is no place."""
        if not sequence and not digest:
            return None
        if _SEQUENCE.fullmatch(sequence or "") and _DIGEST.fullmatch(digest or ""):
            return cls(int(sequence or ""), bytes.fromhex(digest or ""))
        raise Malformed("after and digest go together: a sequence from 1, and 64 hexadecimal digits.")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk came to: how many events it passed, where it ended (digest in hexadecimal), what is wrong.

    `end` is the sequence of the chain's last event. Of the faults the first MOST_FAULTS are told.
    """

    owner: str
    events: int
    sequence: int
    digest: str
    end: int
    faults: tuple[Fault, ...]

    @property
    def complete(self) -> bool:
        """Whether the walk came to the end of the chain."""
        return self.sequence >= self.end

    @property
    def whole(self) -> bool | None:
        """Whether nothing is wrong; None where nothing was found so far and the chain goes on."""
        return False if self.faults else True if self.complete else None


def verified(
    tenant_id: UUID | None,
    anchors: Mapping[int, bytes] | None = None,
    *,
    after: Place | None = None,
    most: int | None = None,
) -> Verified:
    """Walk a tenant's chain, for None the vendor's, from its beginning to its end, in bounded memory.

    `after` is where to begin instead, which an earlier walk came to, and `most` how many events to pass at the most.
    `anchors` are digests by sequence, as they were told outside before. Faults are `missing`: there is no event with
    this sequence; `twice`: there is more than one; `changed`: the event is not what was written, or not after what it
    was written after; `beyond`: there are events after the end; `cut`: the end was further on, says an anchor or
    `after`; `replaced`: there was another event here, say these.
    """
    walk = _Walk(tenant_id, dict(anchors or {}), after)
    walk.go(most)
    return Verified(
        walk.owner, walk.events, walk.came_to, walk.before.hex(), walk.end, tuple(walk.faults[:MOST_FAULTS])
    )


class _Walk:
    """One walk along a chain; `before` is the digest that the next event stands after, and `at` its sequence."""

    def __init__(self, tenant_id: UUID | None, anchors: dict[int, bytes], after: Place | None) -> None:
        self.tenant_id, self.anchors = tenant_id, anchors
        self.owner = VENDOR if tenant_id is None else str(tenant_id)
        self.before, self.at, self.events, self.faults = genesis(self.owner), 0, 0, list[Fault]()
        self.returning = after is not None  # the first event to come is the one that the walk goes on after
        if after is not None:
            self.before, self.at, self.anchors[after.sequence] = after.digest, after.sequence, after.digest
        self.end, self.digest, self.last = self._end()
        self.came_to = self.end

    def go(self, most: int | None) -> None:
        for sequence, digest, new in self._events():
            if self.events == most:
                self.came_to = self.at
                return self._miss_anchors()
            self._pass(sequence, digest, new)
        self._skip_to(self.end + 1)
        if self.end and self.at <= self.end and self.before != self.digest:
            self._wrong("changed", self.end)
        if self.last > self.end:
            self._wrong("beyond", self.end + 1)
        return self._miss_anchors()

    def _pass(self, sequence: int, digest: bytes, new: bytes) -> None:
        if sequence == self.at and self.returning:
            self.returning = False
            self._look_at_anchor(sequence, digest)
            self.before = digest
            return None
        self.events += 1
        if sequence == self.at:
            return self._wrong("twice", sequence)
        self._skip_to(sequence)
        if link(self.before, sequence, new) != digest:
            self._wrong("changed", sequence)
        self._look_at_anchor(sequence, digest)
        self.before, self.at = digest, sequence
        return None

    def _skip_to(self, sequence: int) -> None:
        for missing in range(self.at + 1, min(sequence, self.at + 1 + MOST_FAULTS)):
            self._wrong("missing", missing)

    def _look_at_anchor(self, sequence: int, digest: bytes) -> None:
        told = self.anchors.pop(sequence, None)
        if told is not None and told != digest:
            self._wrong("replaced", sequence)

    def _miss_anchors(self) -> None:
        """Say which anchors, of those that the walk came past or cannot come to, were not met."""
        for sequence in sorted(self.anchors):
            if sequence > self.end:
                self._wrong("cut", sequence)
            elif sequence <= self.came_to:
                self._wrong("missing", sequence)

    def _wrong(self, kind: str, sequence: int) -> None:
        fault = Fault(sequence, kind)
        if fault not in self.faults and len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def _events(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Sequence, digest and content of each event, in order, beginning with the one that the walk is at."""
        last: dict[str, Any] = {"sequence": self.at, "id": UUID(int=0), "end": self.end, "piece": PIECE}
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
