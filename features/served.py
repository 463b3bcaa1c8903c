"""What one subject is served of one feature, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from features.engine import Base, Choice, Compiled, Effective, Revision
from tenants.subjects import Who

from .models import Feature, ModelTarget
from .reading import Stamps
from .receipt import Receipt


@dataclass(frozen=True, slots=True)
class Served:
    """What one subject is served of one feature: the choice, the merged and compiled behavior, targets and receipt."""

    feature: Feature
    who: Who
    choice: Choice
    base: Base
    tenant: Revision | None
    user: Revision | None
    effective: Effective
    compiled: Compiled
    targets: Mapping[str, ModelTarget]
    receipt: Receipt
    at: datetime
    stamps: Stamps

    @property
    def digest(self) -> str:
        return self.effective.digest
