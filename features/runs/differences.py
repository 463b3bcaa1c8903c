"""PURE: what differs between two outputs, value by value, texts line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from features.engine import Json, dumps, pointer, same
from features.engine.diff import Line, compare

LONG = 60  # characters beyond which a text is compared line by line
MOST = 500  # differences told of one pair: who reads more of them reads the outputs
MAX_ITEMS = 1000  # beyond it lists are compared place by place: aligning them could take seconds


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: where (RFC 6901; of a removed one in the old output, else in the new) and how.

    `before` of an added and `after` of a removed value is null. `lines` where both are texts and one is long.
    """

    pointer: str
    kind: Literal["added", "removed", "changed"]
    before: Json
    after: Json
    lines: list[Line] | None = None


def differences(before: Json, after: Json) -> list[Difference]:
    """List what differs, in the order of the new output. The order of properties says nothing in an output."""
    found: list[Difference] = []
    for difference in _between("", before, after):
        found.append(difference)
        if len(found) == MOST:
            break
    return found


def _between(at: str, before: Json, after: Json) -> Iterator[Difference]:
    if same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(at, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(at, before, after)
    else:
        yield Difference(at, "changed", before, after, _lines(before, after))


def _of_objects(at: str, before: dict[str, Json], after: dict[str, Json]) -> Iterator[Difference]:
    for name, value in after.items():
        if name in before:
            yield from _between(at + pointer(name), before[name], value)
        else:
            yield Difference(at + pointer(name), "added", None, value)
    for name, value in before.items():
        if name not in after:
            yield Difference(at + pointer(name), "removed", value, None)


def _of_lists(at: str, before: list[Json], after: list[Json]) -> Iterator[Difference]:
    """An item put in or taken out is that, and does not make every later one look changed."""
    for old_start, old_stop, new_start, new_stop in _blocks(before, after):
        paired = min(old_stop - old_start, new_stop - new_start)
        for step in range(paired):
            yield from _between(at + pointer(new_start + step), before[old_start + step], after[new_start + step])
        for place in range(new_start + paired, new_stop):
            yield Difference(at + pointer(place), "added", None, after[place])
        for place in range(old_start + paired, old_stop):
            yield Difference(at + pointer(place), "removed", before[place], None)


def _blocks(before: list[Json], after: list[Json]) -> list[tuple[int, int, int, int]]:
    if max(len(before), len(after)) > MAX_ITEMS:
        return [(0, len(before), 0, len(after))]
    old, new = [dumps(item) for item in before], [dumps(item) for item in after]
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [places for tag, *places in opcodes if tag != "equal"]  # type: ignore[misc]


def _lines(before: Json, after: Json) -> list[Line] | None:
    if not isinstance(before, str) or not isinstance(after, str):
        return None
    return compare(before, after) if max(len(before), len(after)) > LONG or "\n" in before + after else None
