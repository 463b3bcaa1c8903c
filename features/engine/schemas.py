"""JSON Schemas of the contract: which are accepted, what they declare, and validation in plain words.

Draft 2020-12 as far as SUPPORTED goes, with two published refusals: no `$id`, anchors or dynamic references, and
patterns in the syntax of Rust's `regex` only (no look-around, no back references), which match in linear time.
The listed formats are asserted. Nothing is ever fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Literal, cast

import jsonschema_rs

from tenants.errors import Problem

from .declared import Declared, declared, with_nulls
from .refs import check_refs, overlap
from .values import MAX_PROBLEMS, Json, check_json, dumps, pointer

__all__ = ["FORMATS", "SUPPORTED", "Declared", "Validator", "check_schema", "declared", "subschemas", "with_nulls"]

MAX_BYTES = 64_000
MAX_DEPTH = 32
MAX_NODES = 2_000  # objects and lists
MAX_PATTERN = 1_000  # characters
MAX_PATTERNS = 50  # making one ready can take 15 ms
MAX_WEIGHED = 50_000  # parts of a value times schemas on each, up to which all violations are named
DRAFT = "https://json-schema.org/draft/2020-12/schema"
FORMATS = ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid")

# keyword -> whether its value is a schema, a list of schemas, schemas by name, or none of these
SUPPORTED: Mapping[str, Literal["schema", "list", "map", "value"]] = {
    **dict.fromkeys(("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then"), "schema"),
    **dict.fromkeys(("else", "unevaluatedItems", "unevaluatedProperties"), "schema"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), "list"),
    **dict.fromkeys(("$defs", "properties", "patternProperties", "dependentSchemas"), "map"),
    **dict.fromkeys(("$schema", "$ref", "$comment", "title", "description", "default", "examples"), "value"),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly", "format", "type", "enum", "const", "pattern"), "value"),
    **dict.fromkeys(("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "multipleOf"), "value"),
    **dict.fromkeys(("exclusiveMaximum", "minItems", "maxItems", "uniqueItems", "minContains"), "value"),
    **dict.fromkeys(("maxContains", "minProperties", "maxProperties", "required", "dependentRequired"), "value"),
}

_PATTERNS = jsonschema_rs.RegexOptions(size_limit=2_000_000, dfa_size_limit=2_000_000)


def _validator(schema: dict[str, Json]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema, validate_formats=True, pattern_options=_PATTERNS, offline=True, ignore_unknown_formats=True
    )


_META = _validator({"$ref": DRAFT})


def check_schema(schema: Json, at: str = "") -> list[Problem]:
    """Name everything because of which a schema is not accepted; pointers begin with `at`."""
    if problems := check_json(schema, at):
        return problems
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return [Problem(at + "/type", "schema", "must be “object”: input and output are objects")]
    if problems := _check_size(schema, at):
        return problems
    problems = [problem for place, part in subschemas(schema) for problem in _check_part(part, at + place)]
    problems += _check_patterns(schema, at)
    if schema.get("$schema", DRAFT) != DRAFT:
        problems.append(Problem(at + "/$schema", "schema", f"must be {DRAFT}"))
    problems += [] if problems else _violations(_META, schema, at)
    # References are followed only in what is otherwise sound.
    return problems or check_refs(dict(subschemas(schema)), at)


def _check_size(schema: dict[str, Json], at: str) -> list[Problem]:
    size, (depth, nodes) = len(dumps(schema).encode()), _measure(schema)
    found = []
    if size > MAX_BYTES:
        found.append(Problem(at, "size", f"has {size} bytes; {MAX_BYTES} are allowed"))
    if depth > MAX_DEPTH:
        found.append(Problem(at, "size", f"is nested {depth} levels deep; {MAX_DEPTH} are allowed"))
    if nodes > MAX_NODES:
        found.append(Problem(at, "size", f"has {nodes} objects and lists; {MAX_NODES} are allowed"))
    return found


def _measure(value: Json, *, leaf: int = 0) -> tuple[int, int]:
    """Return (levels, number of objects and lists, and of what is in them if `leaf` is 1)."""
    if not isinstance(value, dict | list):
        return 0, leaf
    inner = [_measure(child, leaf=leaf) for child in (value.values() if isinstance(value, dict) else value)]
    return 1 + max((depth for depth, _ in inner), default=0), 1 + sum(nodes for _, nodes in inner)


def subschemas(schema: Json, at: str = "") -> Iterator[tuple[str, Json]]:
    """Yield (pointer, schema) for a schema and all within it; what sits in enum, default and the like is data."""
    yield at, schema
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        role = SUPPORTED.get(keyword, "value")
        if role == "schema":
            yield from subschemas(value, at + pointer(keyword))
        elif role == "list" and isinstance(value, list):
            for index, inner in enumerate(value):
                yield from subschemas(inner, at + pointer(keyword, index))
        elif role == "map" and isinstance(value, dict):
            for name, inner in value.items():
                yield from subschemas(inner, at + pointer(keyword, name))


def _check_part(part: Json, at: str) -> list[Problem]:
    if not isinstance(part, dict):
        return []  # true and false are schemas; anything else the meta-schema names
    found = [
        Problem(at + pointer(keyword), "keyword", "is not a keyword that is supported here")
        for keyword in part
        if keyword not in SUPPORTED
    ]
    if isinstance(part.get("format"), str) and part["format"] not in FORMATS:
        found.append(Problem(at + "/format", "format", f"must be one of: {', '.join(FORMATS)}"))
    return found


def _check_patterns(schema: dict[str, Json], at: str) -> list[Problem]:
    places = [(at + place, pattern) for root, part in subschemas(schema) for place, pattern in _patterns(root, part)]
    patterns = {pattern for _, pattern in places}
    if len(patterns) > MAX_PATTERNS:
        return [Problem(at, "size", f"has more than {MAX_PATTERNS} patterns")]
    wrong = {pattern: _check_pattern(pattern) for pattern in patterns}
    return [Problem(place, "pattern", message) for place, pattern in places if (message := wrong[pattern])]


def _patterns(place: str, part: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(part, dict):
        return
    if isinstance(part.get("pattern"), str):
        yield place + "/pattern", cast(str, part["pattern"])
    if isinstance(part.get("patternProperties"), dict):
        for pattern in cast(dict[str, Json], part["patternProperties"]):
            yield place + pointer("patternProperties", pattern), pattern


def _check_pattern(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters"
    try:
        _validator({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return "is not a pattern that can be matched in linear time"
    return None


class Validator:
    """A schema made ready once, to be asked many times. The schema must have passed check_schema."""

    def __init__(self, schema: dict[str, Json]) -> None:
        self._validator = _validator(schema)
        self._overlap = overlap(dict(subschemas(schema)))

    def problems(self, value: Json, at: str = "") -> list[Problem]:
        """Name the violations (at most MAX_PROBLEMS) with their pointers, in plain words.

        The library makes up every violation before it hands over the first, and each alternative has its own; so
        of a value with a great many parts only the first is named.
        """
        if problems := check_json(value, at):
            return problems
        if self._validator.is_valid(value):
            return []
        if _measure(value, leaf=1)[1] * self._overlap <= MAX_WEIGHED:
            return _violations(self._validator, value, at)
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return list(islice(_explain(error, at), MAX_PROBLEMS))
        return []


def _violations(validator: jsonschema_rs.Draft202012Validator, value: Json, at: str) -> list[Problem]:
    found = (problem for error in validator.iter_errors(value) for problem in _explain(error, at))
    return list(islice(dict.fromkeys(found), MAX_PROBLEMS))


def _explain(error: jsonschema_rs.ValidationError, at: str) -> Iterator[Problem]:
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
            yield from _explain(error, at)
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
    "pattern": lambda kind: f"must match the pattern {kind.pattern}",
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
