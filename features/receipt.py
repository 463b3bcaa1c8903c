"""The receipt: exactly which behavior served somebody, small enough to stand on every output."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Receipt:
    """Version and revision numbers, what decided the base, the model target, and the digest of the whole.

    held: {by, fields, wanted}; rollout: {id, to}; withdrawn: {version, replacement}; each null where it is not so.
    """

    digest: str
    base: int
    tenant: int | None
    user: int | None
    pin: dict[str, Any] | None
    model_target: dict[str, Any] | None
    held: dict[str, Any] | None = None
    rollout: dict[str, Any] | None = None
    withdrawn: dict[str, Any] | None = None
    substituted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the receipt as the API shows it and as a run keeps it."""
        return {
            "digest": self.digest,
            "base": self.base,
            "tenant": self.tenant,
            "user": self.user,
            "pin": self.pin,
            "held": self.held,
            "rollout": self.rollout,
            "withdrawn": self.withdrawn,
            "model_target": self.model_target,
            "substituted": self.substituted,
        }
