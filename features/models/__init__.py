"""WHAT a feature should do, and for whom: versions, override revisions, pins, policies, rollouts, model targets.

Whatever can change in time is a row valid from one instant to another, written by `validity.supersede` alone; the
database refuses two rows of one thing at once.
"""

from .rollout import GuardPoint, Impact, ImpactRow, Rollout, RolloutEvent, Stage
from .rows import OrderedJSONField, TsTzRange, Validity, ends_after_it_begins, never_two_at_once
from .tenant import Availability, NoticeMark, Override, Pin, Policy, Stamp
from .vendor import (
    EVERY_FEATURE,
    MODELS,
    CurrentVersion,
    Feature,
    ModelAlias,
    ModelTarget,
    VendorStamp,
    Version,
    Withdrawal,
)

__all__ = [
    "EVERY_FEATURE", "MODELS", "Availability", "CurrentVersion", "Feature", "GuardPoint", "Impact", "ImpactRow",
    "ModelAlias", "ModelTarget", "NoticeMark", "OrderedJSONField", "Override", "Pin", "Policy", "Rollout",
    "RolloutEvent", "Stage", "Stamp", "TsTzRange", "Validity", "VendorStamp", "Version", "Withdrawal",
    "ends_after_it_begins", "never_two_at_once",
]  # fmt: skip
