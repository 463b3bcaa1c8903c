"""Whom moving a feature to a version reaches: every override and every pin classified, before and while it moves.

A row in Impact is the truth; a worker claims it (work.py), goes through the tenants (walk.py) with the very functions
that serve (outcome.py), and writes rows that name subjects and fields, never content.
"""

from .outcome import OUTCOMES
from .record import KINDS, find_impact, impact_of_rollout, impacts_of, look, record_impact, rows_of

__all__ = [
    "KINDS", "OUTCOMES", "find_impact", "impact_of_rollout", "impacts_of", "look", "record_impact", "rows_of",
]  # fmt: skip
