"""Patterns of schemas: the syntax of Rust's `regex`, matched in linear time, and paid for.

Linear can be very long: every character may take as many steps as the pattern has states, and 20 characters of pattern
make a thousand of them. So what is matched is paid for out of one budget for each validation, by the length of the text
and the size that the pattern compiles to.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache

import jsonschema_rs

from .values import Json

MAX_SIZE = 2_000_000  # bytes that one pattern may compile to
MAX_MATCHED = 3_000_000_000  # characters times bytes of the pattern that they are matched with: about half a second
_LIMITS = jsonschema_rs.RegexOptions(size_limit=MAX_SIZE, dfa_size_limit=MAX_SIZE)


_left: ContextVar[int] = ContextVar("left", default=0)


def begin() -> None:
    """Begin another validation, with the whole budget."""
    _left.set(MAX_MATCHED)


class Pattern:
    """The keyword `pattern`, in place of the library's own."""

    def __init__(self, _: Json, pattern: str, __: object) -> None:
        self._pattern, self._size, self._validator = pattern, size_of(pattern), plain_validator({"pattern": pattern})

    def validate(self, instance: Json) -> None:
        """Raise ValueError, in the words that a violation is told in."""
        if not isinstance(instance, str):
            return
        _left.set(left := _left.get() - len(instance) * self._size)
        if left < 0:
            raise ValueError(f"is too long to be matched with the pattern {self._pattern}")
        if not self._validator.is_valid(instance):
            raise ValueError(f"must match the pattern {self._pattern}")


def validator(schema: dict[str, Json]) -> jsonschema_rs.Draft202012Validator:
    """Make a schema ready, its patterns paid for from the budget that `begin` gives."""
    return plain_validator(schema, {"pattern": Pattern})


def plain_validator(
    schema: dict[str, Json], keywords: Mapping[str, type] | None = None
) -> jsonschema_rs.Draft202012Validator:
    """Make a schema ready: formats are asserted, nothing is fetched. Raises jsonschema_rs.ValidationError."""
    return jsonschema_rs.Draft202012Validator(
        schema, validate_formats=True, pattern_options=_LIMITS, offline=True, ignore_unknown_formats=True,
        keywords=dict(keywords or {}),
    )  # fmt: skip


@lru_cache(maxsize=2_000)
def size_of(pattern: str) -> int:
    """Return the bytes that a pattern compiles to, rounded up to a power of two times 1,000."""
    size = 1_000
    while size < MAX_SIZE and not _compiles(pattern, size):
        size *= 2
    return size


def _compiles(pattern: str, size: int) -> bool:
    try:
        limits = jsonschema_rs.RegexOptions(size_limit=size)
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=limits, offline=True)
    except jsonschema_rs.ValidationError:
        return False
    return True
