"""The receipt: exactly which behavior served somebody, small enough to stand on every output."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Receipt:
    """Version and revision numbers, the pin that decided if one did, the model target, and the digest of the whole.

    `held`, `rollout` and `withdrawn` are null until those exist for a subject.
    """

    digest: str
    base: int
    tenant: int | None
    user: int | None
    pin: dict[str, Any] | None
    model_target: dict[str, Any] | None
    substituted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the receipt as the API shows it and as a run keeps it."""
        return {
            "digest": self.digest,
            "base": self.base,
            "tenant": self.tenant,
            "user": self.user,
            "pin": self.pin,
            "held": None,
            "rollout": None,
            "withdrawn": None,
            "model_target": self.model_target,
            "substituted": self.substituted,
        }
