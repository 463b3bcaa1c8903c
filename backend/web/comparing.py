"""Two values side by side as pieces that were kept, taken out or put in: words for short texts, lines for long ones."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .slots import MARK, Slot, slots
from .words import plain

Kind = Literal["same", "removed", "added"]
WORDS_UNDER = 400  # characters; above that a difference is read line by line
ISLAND = 4  # characters; a shorter stretch that stayed between two changes joins them
CONTEXT = 2  # unchanged lines that are kept around a change


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text with what happened to it. `whole_line` says that it stands on a line of its own.

    `slots` is the text cut at what a run fills in, where it is a template that people are to read.
    """

    kind: Kind
    text: str
    whole_line: bool = False
    slots: Sequence[Slot] = ()


def pieces(before: Any, after: Any) -> tuple[Piece, ...]:
    """Compare two values of one field. A value that is not there is given as None."""
    old, new = ("" if value is None else plain(value) for value in (before, after))
    if max(len(old), len(new)) < WORDS_UNDER:
        return tuple(_by_words(old, new))
    return tuple(_by_lines(old, new))


def as_read(found: Sequence[Piece], titles: Mapping[str, Any], contract: Any) -> tuple[Piece, ...]:
    """Cut the pieces of a template at what is filled in, as `slots` does."""
    return tuple(replace(piece, slots=slots(piece.text, titles, contract)) for piece in found)


def _by_words(old: str, new: str) -> list[Piece]:
    a, b = _cut(old), _cut(new)
    found: list[Piece] = []
    removed: list[str] = []
    added: list[str] = []
    island = ""
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        same = "".join(a[i1:i2])
        if tag != "equal":
            removed += [island, *a[i1:i2]]
            added += [island, *b[j1:j2]]
            island = ""
        elif len(same.strip()) < ISLAND and i2 < len(a) and (removed or added):
            island = same  # too little to interrupt a change for: it reads better as part of it
        else:
            found += [*_words(removed, added), Piece("same", same)]
            removed, added = [], []
    return [*found, *_words(removed, added)]


def _cut(text: str) -> list[str]:
    """A text as words and the blanks between them; what a run fills in is one word."""
    stretches = MARK.split(text)
    return [word for one in stretches for word in ([one] if MARK.fullmatch(one) else re.findall(r"\s+|\S+", one))]


def _words(removed: list[str], added: list[str]) -> list[Piece]:
    sides = [Piece(kind, "".join(words)) for kind, words in _sides(removed, added)]
    return [piece for piece in sides if piece.text]


def _by_lines(old: str, new: str) -> list[Piece]:
    a, b = old.splitlines(), new.splitlines()
    groups = difflib.SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(CONTEXT)
    found: list[Piece] = []
    for number, group in enumerate(groups):
        if number:
            found.append(Piece("same", "…", whole_line=True))
        for tag, i1, i2, j1, j2 in group:
            sides: list[tuple[Kind, list[str]]] = [("same", a[i1:i2])] if tag == "equal" else _sides(a[i1:i2], b[j1:j2])
            found += [Piece(kind, line, whole_line=True) for kind, lines in sides for line in lines]
    return found


def _sides(removed: list[str], added: list[str]) -> list[tuple[Kind, list[str]]]:
    return [("removed", removed), ("added", added)]
