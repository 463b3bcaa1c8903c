"""Violations of a schema in plain words, at their places."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import jsonschema_rs

from tenants.errors import Problem

from .values import MAX_PROBLEMS, Json, dumps, pointer


def violations(validator: jsonschema_rs.Draft202012Validator, value: Json, at: str) -> list[Problem]:
    """Name the violations of a value, each once, at most MAX_PROBLEMS."""
    found = (problem for error in validator.iter_errors(value) for problem in explain(error, at))
    return list(islice(dict.fromkeys(found), MAX_PROBLEMS))


def explain(error: jsonschema_rs.ValidationError, at: str) -> Iterator[Problem]:
    """Yield what one of the library's errors says, in plain words."""
    place, rule, kind = at + pointer(*error.instance_path), error.kind.name, error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        yield Problem(place + pointer(kind.property), rule, "is missing")
    elif isinstance(
        kind,
        jsonschema_rs.ValidationErrorKind.AdditionalProperties
        | jsonschema_rs.ValidationErrorKind.UnevaluatedProperties,
    ):
        for name in kind.unexpected:
            yield Problem(place + pointer(name), rule, "is not known here")
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AnyOf | jsonschema_rs.ValidationErrorKind.OneOfNotValid):
        yield from _explain_branches(kind.context, place, rule, error.instance_path, at)
    else:
        yield Problem(place, rule, _words(rule, kind))


def _explain_branches(
    branches: list[list[jsonschema_rs.ValidationError]], place: str, rule: str, path: list[str | int], at: str
) -> Iterator[Problem]:
    """Where only one alternative is of the right type (the others are often just null), say what is wrong in it."""
    near = [branch for branch in branches if not any(_wrong_type(error, path) for error in branch)]
    if len(near) == 1:
        for error in near[0]:
            yield from explain(error, at)
    else:
        yield Problem(place, rule, "fits none of the forms that are allowed here")


def _wrong_type(error: jsonschema_rs.ValidationError, path: list[str | int]) -> bool:
    return error.kind.name == "type" and error.instance_path == path


_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

# keyword -> what to say, from the error's own kind
_SAYINGS: Mapping[str, Callable[..., str]] = {
    "type": lambda kind: f"must be {' or '.join(said for name, said in _TYPES.items() if name in kind.types)}",
    "enum": lambda kind: f"must be one of: {_shown(kind.options)}",
    "const": lambda kind: f"must be {_shown([kind.expected_value])}",
    "minLength": lambda kind: f"must have at least {kind.limit} characters" if kind.limit > 1 else "must not be empty",
    "maxLength": lambda kind: f"must have at most {kind.limit} characters",
    "minimum": lambda kind: f"must be {kind.limit} or more",
    "maximum": lambda kind: f"must be {kind.limit} or less",
    "exclusiveMinimum": lambda kind: f"must be more than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {kind.multiple_of}",
    "minItems": lambda kind: f"must have at least {kind.limit} items" if kind.limit > 1 else "must not be empty",
    "maxItems": lambda kind: f"must have at most {kind.limit} items",
    "uniqueItems": lambda _: "must not hold the same item twice",
    "contains": lambda _: "lacks an item of the kind that must be there",
    "unevaluatedItems": lambda _: "has items that are not known here",
    "minProperties": lambda kind: f"must have at least {kind.limit} properties",
    "maxProperties": lambda kind: f"must have at most {kind.limit} properties",
    "propertyNames": lambda _: "has a property whose name is not allowed",
    "pattern": lambda kind: str(kind.message),  # our own keyword's (patterns.py)
    "format": lambda kind: f"must be a valid {kind.format}",
    "not": lambda _: "has a form that is ruled out here",
    "oneOf": lambda _: "fits more than one of the forms that are allowed here",
    "falseSchema": lambda _: "is not allowed here",
}


def _words(rule: str, kind: jsonschema_rs.ValidationErrorKind) -> str:
    saying = _SAYINGS.get(rule)
    return saying(kind) if saying else f"breaks “{rule}” of the schema"


def _shown(options: list[Json]) -> str:
    texts = [option if isinstance(option, str) else dumps(option) for option in options[:20]]
    more = ", …" if len(options) > 20 else ""
    return ", ".join(text if len(text) <= 60 else text[:59] + "…" for text in texts) + more
