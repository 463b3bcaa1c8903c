"""Somebody saved first: what a field was, what it is now, what one has typed; and both together where that works."""

from collections.abc import Mapping
from typing import Any

from features.engine import ABSENT, Operation, is_text, merge_texts, same

from .comparing import pieces
from .parts import Meanwhile
from .words import plain

Operations = Mapping[str, Operation]


def meanwhile(before: Operations, now: Operations, typed: Operation, below: Any, told: str) -> Meanwhile:
    """Compare a field's three states: in the layer's operations when one began and as they are now, and as typed.

    `below` is what lies beneath the layer, `told` who saved and what. Both sides' changes become one text where they
    are of one kind and touch different lines.
    """
    field = typed.field
    then, theirs = (_shown(side.get(field), typed.kind, below) for side in (before, now))
    if then == theirs:
        return Meanwhile(told, touched=False)
    kinds = {side[field].kind for side in (before, now) if field in side} | {typed.kind}
    mine = plain(typed.value)
    alike = len(kinds) == 1 and (is_text(field) or isinstance(typed.value, str))
    merged = merge_texts(then, theirs, mine) if alike else None
    return Meanwhile(
        told,
        touched=True,
        then=then,
        theirs=pieces(then, theirs),
        mine=pieces(then, mine),
        merged=None if merged in (theirs, mine) else merged,
    )


def touched(before: Operations, now: Operations) -> list[str]:
    """The fields on which two states of a layer differ."""
    return [
        field
        for field in dict.fromkeys([*now, *before])
        if field not in now or field not in before or not _equal(before[field], now[field])
    ]


def _equal(one: Operation, other: Operation) -> bool:
    return one.kind == other.kind and same(one.value, other.value)


def _shown(operation: Operation | None, kind: str, below: Any) -> str:
    """What the box would hold for a layer's state: its own text, or without one what would be inherited."""
    if operation is not None and operation.kind == "remove":
        return ""
    if operation is not None:
        return plain(operation.value)
    return "" if kind == "append" or below is ABSENT else plain(below)
