"""The form of an audit chain, in pure Python: what of an event is digested, and how each one holds on to those before.

An event's content is the SHA-256 of its canonical JSON (RFC 8785). Its digest is

    SHA-256(digest of the event before ‖ its sequence, 8 bytes big-endian ‖ its content)

and before the first one stands `genesis`. So a digest stands for everything up to it: nothing before can be changed,
taken out, put in or moved without changing it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import rfc8785

VENDOR = "vendor"  # the owner of the chain of what operators did
MOST_EXACT = 2**53 - 1  # RFC 8785 has I-JSON's numbers: a larger one is kept as its text


def genesis(owner: str) -> bytes:
    """What stands before the first event of a chain; `owner` is the tenant's id, or `vendor`."""
    return sha256(f"bespoke audit v1 {owner}".encode()).digest()


def content(*, id: str, at: datetime, actor: str, verb: str, target: str, detail: Mapping[str, Any]) -> bytes:
    """The SHA-256 of an event's canonical form: {"actor", "at", "detail", "id", "target", "verb"}, `at` in UTC."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event: dict[str, Any] = {
        "id": id,
        "at": moment,
        "actor": actor,
        "verb": verb,
        "target": target,
        "detail": dict(detail),
    }
    return sha256(rfc8785.dumps(event)).digest()


def link(before: bytes, sequence: int, of: bytes) -> bytes:
    """The digest of the event with this sequence and content, after the digest before it."""
    return sha256(before + sequence.to_bytes(8, "big") + of).digest()


def plain(detail: Mapping[str, Any]) -> dict[str, Any]:
    """A detail as it comes back from the database: JSON, its numbers exact, ids and times as text."""
    read: dict[str, Any] = json.loads(json.dumps(detail, default=str), parse_int=_exact)
    return read


def _exact(digits: str) -> int | str:
    return digits if abs(int(digits)) > MOST_EXACT else int(digits)
