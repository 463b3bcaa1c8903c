"""The text of an API key: `bsk_<base62(tenant ‖ key)>_<base62 secret><checksum>`. Pure: nothing here asks a database.

The key carries its tenant, so that the door can open that tenant's transaction and look the key up there. The secret
has 192 bits; the checksum (CRC-32 of all before it) lets scanners and typing errors be told without a look-up.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH, CHECK_LENGTH = 43, 33, 6  # digits in base 62 of 32, 24 and 4 bytes
PREFIX = "bsk_"
SCANNED = re.compile(r"bsk_[0-9A-Za-z]{43}_[0-9A-Za-z]{39}")  # for scanners: docs/keys.md
INVITATION = "bsi_"  # in front of what an invitation's mail carries, which is made in the same way


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key that reads well; whether it is good is the database's to say. `tenant_id` is nil for an operator's."""

    tenant_id: UUID
    key_id: UUID
    secret: str


def mint(tenant_id: UUID, key_id: UUID, prefix: str = PREFIX) -> tuple[str, bytes]:
    """Return a new key's whole text, to be shown once, and the hash that is kept."""
    secret = _base62(secrets.token_bytes(24), SECRET_LENGTH)
    body = f"{prefix}{_base62(tenant_id.bytes + key_id.bytes, ID_LENGTH)}_{secret}"
    return body + _checksum(body), hash_of(secret)


def parse(text: str, prefix: str = PREFIX) -> KeyText | None:
    """Return what a key says of itself, or None when it is no key of ours."""
    head, _, tail = text.removeprefix(prefix).partition("_")
    if not text.startswith(prefix) or len(head) != ID_LENGTH or len(tail) != SECRET_LENGTH + CHECK_LENGTH:
        return None
    if not hmac.compare_digest(_checksum(text[:-CHECK_LENGTH]).encode(), text[-CHECK_LENGTH:].encode()):
        return None
    number = _number(head)
    if number is None or number >= 1 << 256:
        return None
    ids = number.to_bytes(32, "big")
    return KeyText(UUID(bytes=ids[:16]), UUID(bytes=ids[16:]), tail[:SECRET_LENGTH])


def hash_of(secret: str) -> bytes:
    """Return the SHA-256 that is kept of a secret; with 192 random bits no salt or stretching is needed."""
    return hashlib.sha256(secret.encode()).digest()


def matches(key: KeyText, kept: bytes | memoryview) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_of(key.secret), bytes(kept))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4, "big"), CHECK_LENGTH)


def _base62(data: bytes, length: int) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _number(digits: str) -> int | None:
    number = 0
    for digit in digits:
        place = ALPHABET.find(digit)
        if place < 0:
            return None
        number = number * 62 + place
    return number
