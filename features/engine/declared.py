"""Which properties a schema declares, for templates and checks that name them."""

from collections.abc import Iterator
from typing import cast
from urllib.parse import unquote

from .values import Json

SAME_VALUE = ("allOf", "anyOf", "oneOf")
CONDITIONAL = ("if", "then", "else")


class Declared:
    """What may stand at one place of a value, over all alternatives of its schema. Followed as it is asked for."""

    def __init__(self, root: dict[str, Json], *schemas: Json) -> None:
        self._root = root
        self._parts = tuple(_parts(root, schemas or (root,)))
        self._known: dict[str, Declared | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The declared property names, in authored order."""
        return tuple(dict.fromkeys(name for part in self._parts for name in _map(part, "properties")))

    @property
    def is_object(self) -> bool:
        """Whether an object may stand here."""
        return any(_allows(part, "object") for part in self._parts)

    def at(self, name: str) -> "Declared | None":
        """Return what is declared for a property, or None where there is no such property.

        An object that lists no properties at all may hold any.
        """
        if name not in self._known:
            self._known[name] = self._property(name)
        return self._known[name]

    def _property(self, name: str) -> "Declared | None":
        found = [properties[name] for part in self._parts if name in (properties := _map(part, "properties"))]
        if not found:
            found = [inner for part in self._parts for inner in _map(part, "patternProperties").values()]
            found += [part["additionalProperties"] for part in self._parts if _is_schema(part, "additionalProperties")]
        if not found and self.is_object and not self.names and not any(_closed(part) for part in self._parts):
            found = [{}]
        return Declared(self._root, *found) if found else None

    def items(self) -> "Declared | None":
        """Return what is declared for the items of a list, or None where no list may stand."""
        if "[]" not in self._known:
            self._known["[]"] = self._items()
        return self._known["[]"]

    def _items(self) -> "Declared | None":
        found = [part["items"] for part in self._parts if _is_schema(part, "items")]
        found += [inner for part in self._parts for inner in _list(part, "prefixItems")]
        if not found and any(_allows(part, "array") for part in self._parts):
            found = [{}]
        return Declared(self._root, *found) if found else None


def with_nulls(schema: "dict[str, Json] | Declared", value: Json) -> Json:
    """Return the value with every declared property that is absent given as null, nested ones too."""
    return _fill(schema if isinstance(schema, Declared) else Declared(schema), value)


def _fill(tree: Declared | None, value: Json) -> Json:
    if tree is None:
        return value
    if isinstance(value, dict):
        filled = {name: _fill(tree.at(name), inner) for name, inner in value.items()}
        return filled | {name: None for name in tree.names if name not in value}
    if isinstance(value, list):
        items = tree.items()
        return [_fill(items, item) for item in value]
    return value


def _parts(root: dict[str, Json], schemas: tuple[Json, ...]) -> Iterator[dict[str, Json]]:
    """Yield the schemas that apply to the same value, references followed, each once."""
    seen: set[int] = set()
    ahead = list(schemas)
    while ahead:
        part = ahead.pop(0)
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if "$ref" in part:
            ahead.append(_followed(root, str(part["$ref"])))
        ahead += [inner for keyword in SAME_VALUE for inner in _list(part, keyword)]
        ahead += [part[keyword] for keyword in CONDITIONAL if keyword in part]
        ahead += _map(part, "dependentSchemas").values()


def _followed(root: dict[str, Json], reference: str) -> Json:
    place: Json = root
    for segment in reference.split("/")[1:]:
        name = unquote(segment).replace("~1", "/").replace("~0", "~")
        place = place[int(name)] if isinstance(place, list) else cast(dict[str, Json], place)[name]
    return place


def _map(part: dict[str, Json], keyword: str) -> dict[str, Json]:
    value = part.get(keyword)
    return value if isinstance(value, dict) else {}


def _list(part: dict[str, Json], keyword: str) -> list[Json]:
    value = part.get(keyword)
    return value if isinstance(value, list) else []


def _is_schema(part: dict[str, Json], keyword: str) -> bool:
    return isinstance(part.get(keyword), dict) or part.get(keyword) is True


def _closed(part: dict[str, Json]) -> bool:
    return part.get("additionalProperties") is False or part.get("unevaluatedProperties") is False


def _allows(part: dict[str, Json], kind: str) -> bool:
    """Tell whether a part by itself lets such a value stand: says so, or says nothing and only of itself."""
    types = part.get("type")
    if types is not None:
        return kind in (types if isinstance(types, list) else [types])
    return not any(keyword in part for keyword in ("$ref", *SAME_VALUE, "enum", "const"))
