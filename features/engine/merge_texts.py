"""Three texts into one: what both sides changed since the text that both knew, line by line."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from .diff import MAX_LINES


@dataclass(frozen=True, slots=True, order=True)
class _Edit:
    """The lines from `start` up to `stop` of the text that both knew, and what one side put there instead."""

    start: int
    stop: int
    lines: tuple[str, ...]


def merge_texts(then: str, now: str, mine: str) -> str | None:
    """Return `then` with the changes of both `now` and `mine`; None where a person must decide.

    That is where both changed the same line or neighbouring ones and not in the same way, and where texts are too long
    to be compared line by line. Which side is which makes no difference.
    """
    if now in (then, mine):
        return mine
    if mine == then:
        return now
    before = then.split("\n")
    theirs, ours = _edits(before, now.split("\n")), _edits(before, mine.split("\n"))
    if theirs is None or ours is None:
        return None
    edits = sorted({*theirs, *ours})
    if any(one.stop >= other.start for one, other in pairwise(edits)):
        return None
    merged, at = list[str](), 0
    for edit in edits:
        merged += [*before[at : edit.start], *edit.lines]
        at = edit.stop
    return "\n".join([*merged, *before[at:]])


def _edits(before: list[str], after: list[str]) -> set[_Edit] | None:
    if max(len(before), len(after)) > MAX_LINES:
        return None
    found = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return {
        _Edit(start, stop, tuple(after[new_start:new_stop]))
        for tag, start, stop, new_start, new_stop in found
        if tag != "equal"
    }
