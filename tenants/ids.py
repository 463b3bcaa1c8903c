"""Ids: UUIDv7 (RFC 9562), which carry the time. Made here: PostgreSQL makes them only from 18 on."""

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """Return a new time-ordered id."""
    return _uuid7()


def moment_of(value: UUID) -> datetime:
    """Return the moment that a UUIDv7 carries (its first 48 bits are milliseconds since 1970)."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def floor_of(moment: datetime) -> UUID:
    """Return the lowest UUIDv7-shaped id of a moment, as a bound for ranges of ids."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
