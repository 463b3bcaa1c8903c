"""The digest that names an effective behavior exactly, and the canonical bytes it is made of."""

from collections.abc import Mapping
from hashlib import sha256

import rfc8785

from tenants.errors import Invalid

from .fields import group_of
from .kept import Kept, exactly
from .values import Json

FORMAT = "1"  # goes in front, so that a later format can stand beside this one
ORDERED = frozenset({"input", "output", "examples"})  # here the order of properties steers the model


def canonical(value: Json) -> bytes:
    """Return the RFC 8785 bytes of a value. Raises Invalid where RFC 8785 has none."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError) as error:
        raise Invalid(f"The value has no canonical form: {error}.") from error


def ordered(value: Json) -> Json:
    """Write every object as a list of [key, value] pairs, so that its order outlives canonical sorting.

    No two values are written alike: an object without properties stays one, and of lists only those that read like
    such pairs are written otherwise than they are, as {"list": […]}.
    """
    if isinstance(value, dict):
        return [[key, ordered(inner)] for key, inner in value.items()] or {}
    if isinstance(value, list):
        items = [ordered(item) for item in value]
        return {"list": items} if items and all(map(_like_a_property, items)) else items
    return value


def _like_a_property(item: Json) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


def in_order(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Sort fields as they are digested and listed: sections, then examples, as they stand; the others by name."""
    sections, examples, others = list[str](), list[str](), list[str]()
    for field in fields:
        group = group_of(field)
        (sections if group == "instructions" else examples if group == "examples" else others).append(field)
    return {field: fields[field] for field in (*sections, *examples, *sorted(others))}


def digest(fields: Mapping[str, Json]) -> str:
    """Return "1:" and the SHA-256 (hex) of the canonical bytes of [[field, value], …] (behavior.md 4)."""
    pairs = (_pair(field, value) for field, value in in_order(fields).items())
    return f"{FORMAT}:{sha256(b'[' + b','.join(pairs) + b']').hexdigest()}"


def _pair(field: str, value: Json) -> bytes:
    """The canonical bytes of [field, value], kept by content: most of a behavior's fields are those of many others."""
    return _pairs.get(
        (field, exactly(value)), lambda: canonical([field, ordered(value) if group_of(field) in ORDERED else value])
    )


_pairs = Kept[bytes](2_000)
