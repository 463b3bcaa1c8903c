"""Fields of two behaviors side by side, for people: of one that is hidden from them, only that it differs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from features.engine import Change, is_text

from .comparing import Piece, as_read, pieces
from .parts import Difference
from .schema_words import contract_lines
from .words import field_title, readable


def differences_of(
    changes: Iterable[Change], hidden: frozenset[str], titles: Mapping[str, Any], contract: Any = None
) -> list[Difference]:
    """Say what changes, in words or lines; `titles` and `contract` (its input) are those of the version people see."""
    return [
        hidden_difference(field_title(change.field, titles))
        if change.field in hidden
        else Difference(field_title(change.field, titles), difference_pieces(change, titles, contract))
        for change in changes
    ]


def hidden_difference(title: str) -> Difference:
    """Say of a field that it differs, and nothing else."""
    return Difference(title, (Piece("same", _("Different, but not shown to customers.")),))


def difference_pieces(change: Change, titles: Mapping[str, Any], contract: Any = None) -> Sequence[Piece]:
    """What changes of one field. A contract is told in lines, unless what changes is something they do not say.

    A template is read with the names of what is filled in: of fields by `titles`, of what is given by `contract`.
    """
    before = None if change.kind == "added" else readable(change.field, change.before)
    after = None if change.kind == "removed" else readable(change.field, change.after)
    if change.field in ("input", "output") and isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = contract_lines(before), contract_lines(after)
        return pieces(old, new) if old != new else pieces(before, after)
    found = pieces(before, after)
    return as_read(found, titles, contract) if is_text(change.field) else found
