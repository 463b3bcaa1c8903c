"""JSON Schemas of the contract: which are accepted (docs/reference/schemas.md).

Draft 2020-12 as far as SUPPORTED goes, with two published refusals: no `$id`, anchors or dynamic references, and
patterns in the syntax of Rust's `regex` only (no look-around, no back references), which match in linear time.
The listed formats are asserted. Nothing is ever fetched.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, cast

import jsonschema_rs

from tenants.errors import Problem

from .patterns import plain_validator
from .refs import check_refs
from .values import Json, check_json, dumps, pointer
from .wording import violations

MAX_BYTES = 64_000
MAX_DEPTH = 32
MAX_NODES = 2_000  # objects and lists
MAX_PATTERN = 1_000  # characters
MAX_PATTERNS = 50  # making one ready can take 15 ms
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

_META = plain_validator({"$ref": DRAFT})


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
    problems += [] if problems else violations(_META, schema, at)
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


def _measure(value: Json) -> tuple[int, int]:
    """Return (levels, number of objects and lists)."""
    if not isinstance(value, dict | list):
        return 0, 0
    inner = [_measure(child) for child in (value.values() if isinstance(value, dict) else value)]
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
    places = [(at + place, pattern) for root, part in subschemas(schema) for place, pattern in patterns_of(root, part)]
    patterns = {pattern for _, pattern in places}
    if len(patterns) > MAX_PATTERNS:
        return [Problem(at, "size", f"has more than {MAX_PATTERNS} patterns")]
    wrong = {pattern: _check_pattern(pattern) for pattern in patterns}
    return [Problem(place, "pattern", message) for place, pattern in places if (message := wrong[pattern])]


def patterns_of(place: str, part: Json) -> Iterator[tuple[str, str]]:
    """Yield (pointer, pattern) of the patterns of one schema, those of its patternProperties too."""
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
        plain_validator({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return "is not a pattern that can be matched in linear time"
    return None
