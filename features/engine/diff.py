"""What changed between two behaviors, field by field, texts line by line."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from .digest import ordered
from .fields import is_text
from .values import ABSENT, Absent, Json, same

Line = tuple[Literal["same", "removed", "added"], str]
MAX_LINES = 1000  # beyond it a comparison line by line could take seconds; the text is then shown whole, old and new


@dataclass(frozen=True, slots=True)
class Change:
    """One field's change; `before` of an added and `after` of a removed field is null."""

    field: str
    kind: Literal["added", "removed", "changed"]
    before: Json
    after: Json
    lines: list[Line] | None


def diff(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Change]:
    """List the fields that differ, in the order of `after`, removed ones last. Order of properties counts."""
    names = [*after, *(name for name in before if name not in after)]
    changes = (_change(name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in names)
    return [change for change in changes if change]


def _change(field: str, before: Json | Absent, after: Json | Absent) -> Change | None:
    if before is ABSENT:
        return None if after is ABSENT else Change(field, "added", None, after, _lines(field, "", after))
    if after is ABSENT:
        return Change(field, "removed", before, None, _lines(field, before, ""))
    if same(ordered(before), ordered(after)):
        return None
    return Change(field, "changed", before, after, _lines(field, before, after))


def _lines(field: str, before: Json, after: Json) -> list[Line] | None:
    if not is_text(field) or not isinstance(before, str) or not isinstance(after, str):
        return None
    return compare(before, after)


def compare(before: str, after: str) -> list[Line]:
    """Compare two texts line by line. Equal lines at both ends are set aside first, which bounds the work."""
    old, new = before.splitlines(), after.splitlines()
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    return [*_all("same", old[:head]), *middle, *_all("same", old[len(old) - tail :])]


def _middle(old: list[str], new: list[str]) -> list[Line]:
    if max(len(old), len(new)) > MAX_LINES:
        return [*_all("removed", old), *_all("added", new)]
    found: list[Line] = []
    for tag, start, stop, new_start, new_stop in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            found += _all("same", old[start:stop])
        else:
            found += _all("removed", old[start:stop])
            found += _all("added", new[new_start:new_stop])
    return found


def _all(kind: Literal["same", "removed", "added"], lines: list[str]) -> list[Line]:
    return [(kind, line) for line in lines]
