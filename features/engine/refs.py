"""References inside a schema: only local ones, and none that could make validation run long or for ever."""

from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import unquote

from tenants.errors import Problem

from .values import Json, pointer

MAX_EXPANDED = 4_000  # schemas, were every reference written out
EVERY = "*"  # the slot of what applies to all properties, or all items

# Applied to the same value / to a part of it, and to which part.
SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
PROPERTIES = ("patternProperties", "additionalProperties", "unevaluatedProperties")
ITEMS = ("items", "prefixItems", "contains", "unevaluatedItems")

Nodes = Mapping[str, Json]
Edges = Mapping[str, tuple[str, ...]]


def check_refs(nodes: Nodes, at: str = "") -> list[Problem]:
    """Name what is wrong with the references of a schema, given as pointer → subschema.

    Four things are refused: a target that is not `#` or a schema under `#/$defs/`; a reference that comes back to
    itself without descending into the value; so many references to references that the schema written out would
    exceed MAX_EXPANDED; and a recursive schema that applies itself more than once to the same part of a value,
    which would cost 2^depth.
    """
    problems = [problem for place, part in nodes.items() if (problem := _check_target(place, part, nodes, at))]
    if problems:
        return problems
    here = {place: tuple(_applied_here(place, nodes)) for place in nodes}
    if looped := next((place for place in nodes if _returns(place, here)), None):
        return [Problem(at + looped, "$ref", "leads back to itself without going into the value")]
    below = {place: tuple(_applied_below(place, nodes)) for place in nodes}
    loops = _loops({place: (*here[place], *(target for _, target in below[place])) for place in nodes})
    if _expanded(here, below, loops) > MAX_EXPANDED:
        return [Problem(at, "$ref", f"comes to more than {MAX_EXPANDED} schemas when its references are written out")]
    doubled = (place for place in nodes if _doubles(place, here, below, loops))
    return [Problem(at + place, "$ref", "applies itself twice to the same part of a value") for place in doubled][:1]


def _check_target(place: str, part: Json, nodes: Nodes, at: str) -> Problem | None:
    if not isinstance(part, dict) or "$ref" not in part:
        return None
    target = part["$ref"]
    if isinstance(target, str) and (target == "#" or (target.startswith("#/$defs/") and _target(target) in nodes)):
        return None
    return Problem(at + place + "/$ref", "$ref", "must be “#” or a schema under “#/$defs/”")


def _target(reference: str) -> str:
    return unquote(reference[1:])


def _children(place: str, keyword: str, nodes: Nodes) -> Iterator[tuple[str, str]]:
    """Yield (name or "", pointer) of the schemas under one keyword."""
    value = cast(dict[str, Json], nodes[place]).get(keyword)
    if place + pointer(keyword) in nodes:
        yield "", place + pointer(keyword)
    elif isinstance(value, list | dict):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield str(name), place + pointer(keyword, name)


def _applied_here(place: str, nodes: Nodes) -> Iterator[str]:
    part = nodes[place]
    if not isinstance(part, dict):
        return
    if "$ref" in part:
        yield _target(str(part["$ref"]))
    for keyword in SAME_VALUE:
        for _, child in _children(place, keyword, nodes):
            yield child


def _applied_below(place: str, nodes: Nodes) -> Iterator[tuple[str, str]]:
    """Yield (slot, pointer): the schemas applied to a part of the value, and to which part."""
    if not isinstance(nodes[place], dict):
        return
    for name, child in _children(place, "properties", nodes):
        yield f".{name}", child
    for keyword in PROPERTIES:
        for _, child in _children(place, keyword, nodes):
            yield f".{EVERY}", child
    for keyword in ITEMS:
        for _, child in _children(place, keyword, nodes):
            yield "[]", child


def _returns(start: str, edges: Edges) -> bool:
    """Tell whether a walk along edges comes back to where it started."""
    seen: set[str] = set()
    ahead = list(edges[start])
    while ahead:
        place = ahead.pop()
        if place == start:
            return True
        if place not in seen:
            seen.add(place)
            ahead += edges[place]
    return False


def _loops(edges: Edges) -> Mapping[str, frozenset[str]]:
    """Return, for each schema that is part of a recursion, the schemas that it reaches and that reach it."""
    reach = {place: _reached(place, edges) for place in edges if _returns(place, edges)}
    return {
        place: frozenset(other for other in reached if place in reach.get(other, ()))
        for place, reached in reach.items()
    }


def _reached(start: str, edges: Edges) -> frozenset[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for place in edges[ahead.pop()]:
            if place not in seen:
                seen.add(place)
                ahead.append(place)
    return frozenset(seen)


def _expanded(
    here: Edges, below: Mapping[str, tuple[tuple[str, str], ...]], loops: Mapping[str, frozenset[str]]
) -> int:
    """Count the schemas there would be with every reference written out once, recursion counted as one."""
    known: dict[str, int] = {}
    ahead = ["", *loops]
    while ahead:  # not by recursion: a chain of references may be as long as the schema
        place = ahead[-1]
        outside = [*here[place], *(target for _, target in below[place])]
        outside = [target for target in outside if target not in loops.get(place, ())]
        if unknown := [target for target in outside if target not in known]:
            ahead += unknown
        else:
            known[place] = 1 + sum(known[target] for target in outside)
            ahead.pop()
    return sum(known[place] for place in {"", *loops})


def _doubles(
    place: str,
    here: Edges,
    below: Mapping[str, tuple[tuple[str, str], ...]],
    loops: Mapping[str, frozenset[str]],
) -> bool:
    """Tell whether a recursive schema hands the same part of a value to its recursion more than once."""
    loop = loops.get(place)
    if not loop:
        return False
    slots: dict[str, int] = {}
    ahead, steps = [place], 0
    while ahead and (steps := steps + 1) <= MAX_EXPANDED:
        current = ahead.pop()
        ahead += here[current]
        for slot, target in below[current]:
            slots[slot] = slots.get(slot, 0) + (target in loop)
    anywhere = slots.pop(f".{EVERY}", 0)
    named = max((count for slot, count in slots.items() if slot.startswith(".")), default=0)
    return steps > MAX_EXPANDED or anywhere + named > 1 or slots.get("[]", 0) > 1
