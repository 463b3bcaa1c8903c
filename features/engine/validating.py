"""Values held against a schema that was made ready once, in bounded time and memory whatever the value."""

from itertools import islice
from typing import cast

import jsonschema_rs

from tenants.errors import Problem

from .patterns import MAX_MATCHED, begin, size_of, validator
from .refs import overlap
from .schemas import patterns_of, subschemas
from .values import MAX_PROBLEMS, Json, check_json
from .wording import explain, violations

MAX_CHECKS = 1_000_000  # parts of a value times schemas on each, up to which it is looked at
MAX_WEIGHED = 50_000  # … and up to which all violations are named
MAX_COPIED = 5_000_000  # characters; the library copies the part that is wrong into every violation, some times over


class Validator:
    """A schema made ready once, to be asked many times. The schema must have passed check_schema."""

    def __init__(self, schema: dict[str, Json]) -> None:
        self._validator = validator(schema)
        parts = dict(subschemas(schema))
        self._overlap = overlap(parts)
        self._each = 1 + max(map(_names_asked_for, parts.values()))
        self._by_name = any(isinstance(part, dict) and "propertyNames" in part for part in parts.values())
        names = {
            p for at, part in parts.items() for place, p in patterns_of(at, part) if "/patternProperties/" in place
        }
        self._patterns_of_names = sum(map(size_of, names))

    def problems(self, value: Json, at: str = "") -> list[Problem]:
        """Name the violations (at most MAX_PROBLEMS) with their pointers, in plain words.

        The library makes up every violation before it hands over the first, each alternative has its own, and all hold
        copies of what is wrong; so of a large value only the first is named, and of a very large one none.
        """
        if problems := check_json(value, at):
            return problems
        shape = _Shape(value)
        checks, matched = shape.parts * self._overlap, shape.letters_of_names * self._patterns_of_names
        if checks > MAX_CHECKS or matched > MAX_MATCHED:
            return [Problem(at, "size", "has too many parts, or too long names, to be held against this schema")]
        begin()
        if self._validator.is_valid(value):
            return []
        begin()
        each = self._each + (shape.most_names if self._by_name else 0)
        if checks <= MAX_WEIGHED and shape.copied * self._overlap * each <= MAX_COPIED:
            return violations(self._validator, value, at)
        if shape.letters * self._overlap > MAX_COPIED:
            return [Problem(at, "schema", "does not fit its schema, and is too large to say where")]
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return list(islice(explain(error, at), MAX_PROBLEMS))
        return []


def _names_asked_for(part: Json) -> int:
    """How many violations one schema can find in one object by itself: a name that is missing is one each."""
    if not isinstance(part, dict):
        return 0
    required, dependent = part.get("required"), part.get("dependentRequired")
    asked = len(required) if isinstance(required, list) else 0
    return asked + sum(
        len(cast(list[Json], names)) for names in (dependent if isinstance(dependent, dict) else {}).values()
    )


class _Shape:
    """How large a value is: parts, letters, those of names, and what it comes to if every part is copied by itself."""

    def __init__(self, value: Json) -> None:
        self.parts = self.letters_of_names = self.copied = self.most_names = 0
        self.letters = self._walk(value)

    def _walk(self, value: Json) -> int:
        self.parts += 1
        letters = 8
        if isinstance(value, str):
            letters += len(value)
        elif isinstance(value, dict):
            named = sum(map(len, value))
            self.letters_of_names += named
            self.most_names = max(self.most_names, len(value))
            letters += named + sum(map(self._walk, value.values()))
        elif isinstance(value, list):
            letters += sum(map(self._walk, value))
        self.copied += letters
        return letters
