"""Which versions are withdrawn at the moment, and what is said of it to those who see a version or a pin."""

from typing import Any

from features.engine import replacement

from .models import Feature, Withdrawal


def withdrawals_now(feature: Feature, using: str) -> dict[int, Withdrawal]:
    """The withdrawals in force of a feature, by version; within the actor's transaction."""
    return {row.version: row for row in Withdrawal.objects.using(using).filter(feature=feature, valid_to=None)}


def withdrawn_json(number: int, stopped: dict[int, Withdrawal]) -> dict[str, Any] | None:
    """What is said of a version that is withdrawn: what is served in its place, and why. None for any other."""
    row = stopped.get(number)
    if row is None:
        return None
    served = replacement(number, {version: other.replacement for version, other in stopped.items()})
    return {"version": number, "replacement": served, "reason": row.reason, "since": row.valid_from}
