"""Reading a contract as people would: what a part is called, whether it may be left out, what it points to."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from .words import sentence

Schema = Mapping[str, Any]


def as_schema(value: Any) -> Schema:
    return value if isinstance(value, Mapping) else {}


def follow(part: Any, definitions: Schema) -> Schema:
    """Follow a local `$ref` into the definitions; a contract has no other references.

    A definition that leads back to itself would be drawn without end: only what it is called is told of it, and its
    part is written as JSON.
    """
    schema = as_schema(part)
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    found = definitions.get(name)
    if not isinstance(found, Mapping):
        return schema
    if _leads_back(name, definitions):
        return {key: value for key, value in {**found, **schema}.items() if key in ("title", "description")}
    return {**found, **schema}


def _leads_back(name: str, definitions: Schema) -> bool:
    seen, ahead = set[str](), list(_named_in(definitions[name]))
    while ahead:
        other = ahead.pop()
        if other == name:
            return True
        if other not in seen and other in definitions:
            seen.add(other)
            ahead += _named_in(definitions[other])
    return False


def _named_in(part: Any) -> Iterator[str]:
    """The definitions that a part refers to, at any depth."""
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].removeprefix("#/$defs/")
        for inner in part.values():
            yield from _named_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _named_in(inner)


def properties(schema: Schema, definitions: Schema) -> dict[str, Schema]:
    """The declared properties in authored order, references followed."""
    return {name: follow(part, definitions) for name, part in as_schema(schema.get("properties")).items()}


def with_flags_left_out(part: Any) -> Any:
    """A contract whose optional booleans are choices of yes and no, so that an example can also leave them out."""
    if not isinstance(part, Mapping):
        return part
    kept = {**part}
    for group in ("properties", "$defs"):
        if isinstance(part.get(group), Mapping):
            kept[group] = {name: with_flags_left_out(inner) for name, inner in part[group].items()}
    if "items" in part:
        kept["items"] = with_flags_left_out(part["items"])
    needed = part.get("required", ())
    for name, inner in as_schema(kept.get("properties")).items():
        if name not in needed and isinstance(inner, Mapping) and inner.get("type") == "boolean" and "enum" not in inner:
            said = {key: inner[key] for key in ("title", "description", "default") if key in inner}
            choice = {"enum": [True, False], "labels": {True: _("Yes"), False: _("No")}, "unset": _("Left out")}
            kept["properties"] = {**kept["properties"], name: {**said, **choice}}
    return kept


def label(name: str, schema: Schema) -> str:
    title = schema.get("title")
    return title if isinstance(title, str) and title else sentence(name)


def check_kinds() -> dict[str, str]:
    """What each kind of check asks of an answer."""
    return {
        "max_words": _("At most so many words"), "min_words": _("At least so many words"),
        "max_chars": _("At most so many characters"), "contains": _("Contains each of these"),
        "excludes": _("Contains none of these"), "quoted": _("Is quoted from the input"),
        "shorter_than_input": _("Is shorter than the input"),
    }  # fmt: skip


def check_words(check: Schema) -> str:
    """A check in a line: what is said when it fails, else what it asks and of how much."""
    if check.get("message"):
        return str(check["message"])
    told = check_kinds().get(str(check.get("kind")), sentence(str(check.get("kind", ""))))
    bound = check.get("max", check.get("min"))
    return told if bound is None else f"{told}: {bound}"


def contract_lines(schema: Schema) -> str:
    """A contract as lines, one for each part: what it is called, what it holds, whether it has to be there."""
    needed = schema.get("required", ())
    parts = properties(schema, as_schema(schema.get("$defs")))
    return "\n".join(
        f"{label(name, part)}: {_holds(part)}{'' if name in needed else ', ' + _('optional')}"
        for name, part in parts.items()
    )


def _holds(schema: Schema) -> str:
    if "enum" in schema:
        return _("one of %(choices)s") % {"choices": ", ".join(map(str, schema["enum"]))}
    words = {
        "string": _("text"), "boolean": _("yes or no"), "integer": _("whole number"), "number": _("number"),
        "array": _("list"), "object": _("parts"),
    }  # fmt: skip
    told = [words.get(kind(schema), _("anything"))]
    for low, high in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if low in schema:
            told.append(_("at least %(n)s") % {"n": schema[low]})
        if high in schema:
            told.append(_("at most %(n)s") % {"n": schema[high]})
    return ", ".join(told)


def kind(schema: Schema) -> str:
    """The JSON type that a part has when it is not null, or "" when the schema leaves it open."""
    given = schema.get("type")
    if isinstance(given, list):
        others = [one for one in given if one != "null"]
        return str(others[0]) if len(others) == 1 else ""
    return str(given or "")


def nullable(schema: Schema) -> bool:
    given = schema.get("type")
    return isinstance(given, list) and "null" in given


def child(pointer: str, name: str | int) -> str:
    """The JSON pointer of a part (RFC 6901)."""
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
