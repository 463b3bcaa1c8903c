"""Fields of two behaviors side by side, for people: of one that is hidden from them, only that it differs."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from features.engine import Change

from .comparing import Piece, pieces
from .parts import Difference
from .words import field_title, readable


def differences_of(changes: Iterable[Change], hidden: frozenset[str], titles: Mapping[str, Any]) -> list[Difference]:
    """Say what changes, in words or lines; `titles` are those of the version that people see."""
    return [
        hidden_difference(field_title(change.field, titles))
        if change.field in hidden
        else Difference(field_title(change.field, titles), pieces(_read(change, "before"), _read(change, "after")))
        for change in changes
    ]


def hidden_difference(title: str) -> Difference:
    """Say of a field that it differs, and nothing else."""
    return Difference(title, (Piece("same", _("Different, but not shown to customers.")),))


def _read(change: Change, side: str) -> Any:
    there = change.kind != ("added" if side == "before" else "removed")
    return readable(change.field, getattr(change, side)) if there else None
