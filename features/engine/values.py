"""JSON as the engine reads and writes it: strict, bounded, with the order of properties kept."""

import json
import math
from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias

from tenants.errors import Malformed, Problem

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


class Absent(Enum):
    """The type of ABSENT: no value at all, which is not the same as null."""

    value_ = "absent"


ABSENT: Final = Absent.value_

MAX_DEPTH = 64  # levels of lists and objects
MAX_INTEGER = 2**53 - 1  # RFC 8785 stands on doubles, which hold no larger integer exactly
MAX_DIGITS = 300  # Python refuses to convert very long ones, and no double needs as many
MAX_PROBLEMS = 50  # nobody reads more, and an answer must not be larger than what it answers


def pointer(*segments: str | int) -> str:
    """Return the RFC 6901 pointer made of these segments."""
    return "".join("/" + str(segment).replace("~", "~0").replace("/", "~1") for segment in segments)


def loads(text: str | bytes) -> Json:
    """Read JSON strictly: UTF-8 without BOM, no NaN or Infinity, no key twice in an object.

    Raises Malformed with a message that says where.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"Not UTF-8 at byte {error.start}.") from error
    if text.startswith("\ufeff"):
        raise Malformed("Begins with a byte order mark; send plain UTF-8.")
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"Not JSON at {where}: {error.msg}.") from error
    except RecursionError as error:
        raise Malformed(f"Nested deeper than {MAX_DEPTH} levels.") from error
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise Malformed(f"The key {json.dumps(key[:80])} comes twice in one object.")
        found[key] = value
    return found


def _constant(name: str) -> Json:
    raise Malformed(f"{name} is not JSON.")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed(f"The number {text[:40]} is too large.")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Malformed(f"A number has more than {MAX_DIGITS} digits.")
    return int(text)


def dumps(value: object) -> str:
    """Write compact JSON text, properties in the order they have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_json(value: object, at: str = "", depth: int = 0) -> list[Problem]:
    """Name what RFC 8785 or PostgreSQL cannot hold, each with its pointer (at most MAX_PROBLEMS).

    Integers beyond 2^53-1, NaN and Infinity, lone surrogates, U+0000, more than MAX_DEPTH levels, and
    anything that is not JSON at all (YAML knows dates and sets).
    """
    if isinstance(value, str):
        return _check_text(value, at)
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [] if abs(value) <= MAX_INTEGER else [Problem(at, "json", "is an integer beyond 2^53-1")]
    if isinstance(value, float):
        return [] if math.isfinite(value) else [Problem(at, "json", "is not a finite number")]
    if not isinstance(value, dict | list):
        return [Problem(at, "json", f"is not JSON ({type(value).__name__})")]
    if depth >= MAX_DEPTH:
        return [Problem(at, "json", f"is nested deeper than {MAX_DEPTH} levels")]
    found: list[Problem] = []
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        wrong = _check_key(key, at) if isinstance(value, dict) else []  # below it, no pointer could be written
        found += wrong or check_json(child, at + pointer(key), depth + 1)
        if len(found) >= MAX_PROBLEMS:
            break
    return found[:MAX_PROBLEMS]


def _check_key(key: object, at: str) -> list[Problem]:
    if not isinstance(key, str):
        return [Problem(at, "json", f"has a key that is not text ({key!r:.40})")]
    return [Problem(at, problem.rule, f"has a key that {problem.message}") for problem in _check_text(key, at)]


def _check_text(text: str, at: str) -> list[Problem]:
    if "\x00" in text:
        return [Problem(at, "json", "contains the character U+0000")]
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return [Problem(at, "json", "contains half of a surrogate pair")]
    return []


def same(one: Json, other: Json) -> bool:
    """Tell whether two values are the same JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def with_plain_numbers(value: Json) -> Json:
    """Return the value with every whole number written without a fraction: 1 for 1.0, which are the same JSON."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value
    if isinstance(value, dict):
        return {key: with_plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_plain_numbers(item) for item in value]
    return value


def strings(value: Json) -> Iterable[str]:
    """Yield every text inside a value, in order; keys are not among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
