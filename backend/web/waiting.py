"""What waits for somebody: per feature, whether they stay behind and why, for the menu, banners and lists."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from features.notices import inbox
from features.overview import Overview


@dataclass(frozen=True, slots=True)
class ConflictLine:
    """A feature on which the organisation's own changes wait for a decision."""

    key: str
    feature: str
    kind: Literal["held", "conflict"]
    title: str
    text: str
    at: datetime


def conflicts_of_tenant(overview: Overview) -> list[ConflictLine]:
    """The features with holds and conflicts of the organisation's own layer, holds first."""
    found = [
        ConflictLine(notice.feature.key, notice.feature.title, notice.kind, notice.title, notice.text, notice.at)
        for notice in inbox(overview.actor, overview.known)
        if notice.layer == "tenant" and notice.kind in ("held", "conflict") and notice.feature is not None
    ]
    return sorted(found, key=lambda line: line.kind != "held")
