"""What a schema costs to apply: its references, and how many schemas may come to bear on one part of a value."""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from tenants.errors import Problem

from .values import Json, pointer

MAX_OVERLAP = 100  # schemas applied to one and the same part of a value, by weight
WEIGHTS = {"multipleOf": 45, "uniqueItems": 3}  # besides 1 for each schema: what costs as much as so many others
MAX_STEPS = 50_000  # spent on finding that out

SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
OTHERS = ""  # stands for every property, or every item, that no schema names

Nodes = Mapping[str, Json]  # pointer → subschema


class TooMuch(Exception):
    """More schemas than allowed would bear on one part of a value."""


def check_refs(nodes: Nodes, at: str = "") -> list[Problem]:
    """Name what is wrong with a schema's references: a target that is not `#` or under `#/$defs/`, one that leads
    back to itself without going into the value, and more of them than MAX_OVERLAP on one part of a value.
    """
    if problems := [found for place, part in nodes.items() if (found := _check_target(place, part, nodes, at))]:
        return problems
    if (looped := _looped(nodes)) is not None:
        return [Problem(at + looped, "$ref", "leads back to itself without going into the value")]
    try:
        overlap(nodes)
    except TooMuch:
        return [Problem(at, "size", f"would apply more than {MAX_OVERLAP} schemas to the same part of a value")]
    return []


def _check_target(place: str, part: Json, nodes: Nodes, at: str) -> Problem | None:
    if not isinstance(part, dict) or "$ref" not in part:
        return None
    target = part["$ref"]
    if isinstance(target, str) and (target == "#" or (target.startswith("#/$defs/") and _target(target) in nodes)):
        return None
    return Problem(at + place + "/$ref", "$ref", "must be “#” or a schema under “#/$defs/”")


def _target(reference: str) -> str:
    return unquote(reference[1:])


def _looped(nodes: Nodes) -> str | None:
    """Return a schema that by references comes back to itself without going into the value, if there is one."""
    settled: set[str] = set()
    for start in nodes:
        on_path: dict[str, list[str]] = {start: _same_value(start, nodes)}
        while on_path and start not in settled:
            place = next(reversed(on_path))
            if not (ahead := on_path[place]):
                settled.add(place)
                del on_path[place]
            elif (following := ahead.pop()) in on_path:
                return following
            elif following not in settled:
                on_path[following] = _same_value(following, nodes)
    return None


def overlap(nodes: Nodes) -> int:
    """Return the largest number of schemas that are applied to one part of any value, by weight.

    Goes through the kinds of places that a value can have; a kind is the schemas that are handed to it. A recursive
    schema that hands a part to itself once leads to kinds already seen; one that does so twice would cost 2^depth,
    and its kinds grow until they are too much. Raises TooMuch beyond MAX_OVERLAP or after MAX_STEPS.
    """
    largest = steps = 0
    seen: set[tuple[str, ...]] = {("",)}
    ahead = list(seen)
    while ahead:
        parts = _applied(ahead.pop(), nodes)
        kinds = {tuple(sorted(kind)) for kind in _parts_below(parts, nodes) if kind}
        largest = max(largest, sum(_weight(nodes[place]) for place in parts))
        steps += len(parts) + sum(map(len, kinds))
        if steps > MAX_STEPS:
            raise TooMuch
        ahead += kinds - seen
        seen |= kinds
    return largest


def _applied(handed: tuple[str, ...], nodes: Nodes) -> list[str]:
    """Return all schemas applied to a value that is handed to these, each as often as it is applied."""
    found: list[str] = []
    ahead, weight = list(handed), 0
    while ahead:
        place = ahead.pop()
        found.append(place)
        ahead += _same_value(place, nodes)
        weight += _weight(nodes[place])
        if weight > MAX_OVERLAP:
            raise TooMuch
    return found


def _weight(part: Json) -> int:
    return 1 + (sum(WEIGHTS[keyword] for keyword in WEIGHTS if keyword in part) if isinstance(part, dict) else 0)


def _same_value(place: str, nodes: Nodes) -> list[str]:
    part = nodes[place]
    if not isinstance(part, dict):
        return []
    found = [_target(str(part["$ref"]))] if "$ref" in part else []
    return found + [child for keyword in SAME_VALUE for _, child in _children(place, keyword, nodes)]


def _children(place: str, keyword: str, nodes: Nodes) -> Iterator[tuple[str, str]]:
    """Yield (name or "", pointer) of the schemas under one keyword."""
    part = nodes[place]
    value = part.get(keyword) if isinstance(part, dict) else None
    if place + pointer(keyword) in nodes:
        yield OTHERS, place + pointer(keyword)
    elif isinstance(value, list | dict):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield str(name), place + pointer(keyword, name)


def _parts_below(parts: list[str], nodes: Nodes) -> Iterator[list[str]]:
    """Yield, for each kind of part that the value may have, the schemas that are handed to it."""
    yield from _below(
        parts, nodes, "properties", "additionalProperties", ("patternProperties", "unevaluatedProperties")
    )
    yield from _below(parts, nodes, "prefixItems", "items", ("contains", "unevaluatedItems"))


def _below(parts: list[str], nodes: Nodes, named: str, rest: str, always: tuple[str, ...]) -> Iterator[list[str]]:
    by_name = [dict(_children(place, named, nodes)) for place in parts]
    others = [[child for _, child in _children(place, rest, nodes)] for place in parts]
    everywhere = [child for place in parts for keyword in always for _, child in _children(place, keyword, nodes)]
    yield [*everywhere, *(child for found in others for child in found)]
    shared = [index for index, found in enumerate(others) if found]
    for name in dict.fromkeys(name for names in by_name for name in names):
        own = [names[name] for names in by_name if name in names]
        yield own + everywhere + [child for index in shared if name not in by_name[index] for child in others[index]]
