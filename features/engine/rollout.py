"""Whom a step of a rollout includes: buckets that never move, so that a larger share only ever adds."""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

BUCKETS = 10_000
Unit = Literal["tenant", "user"]


@dataclass(frozen=True, slots=True)
class StageRow:
    """Whom a rollout to `version` includes for a time: `share` of 10,000 buckets, and tenants by id."""

    rollout: str
    version: int
    unit: Unit
    share: int
    tenants: Collection[str] = ()


def bucket(feature: str, version: int, unit_key: str) -> int:
    """Return the bucket (0–9,999) of a tenant's id or a subject's key in every rollout of a feature to a version.

    First 8 bytes, big-endian, of SHA-256(feature key NUL version NUL unit key) mod 10,000 (behavior.md 7): it depends
    on nothing else, so pausing, resuming or a second rollout to the same version reshuffles nobody.
    """
    named = f"{feature}\0{version}\0{unit_key}".encode()
    return int.from_bytes(sha256(named).digest()[:8], "big") % BUCKETS


def inside(stage: StageRow, *, feature: str, tenant: str, user: str | None) -> bool:
    """Whether a subject is served the rollout's version. `user` is the subject's key, None for the tenant itself.

    With unit user the tenant itself stays where it is until everybody is inside.
    """
    if tenant in stage.tenants or stage.share >= BUCKETS:
        return True
    if stage.unit == "user":
        return user is not None and bucket(feature, stage.version, user) < stage.share
    return bucket(feature, stage.version, tenant) < stage.share
