"""What bodies are read with: DRF's fields without their guessing, so that "1" is no number and 1 no text."""

import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from features.engine import pointer
from tenants.errors import Malformed, Problem
from tenants.roles import Scope

# RFC 3339, section 5.6
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?\d*(?:[Zz]|[+-]\d\d:\d\d)")


def read_time(text: object) -> datetime | None:
    """Read an RFC 3339 time as UTC; None for anything else, a time without its zone included."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Strict(serializers.Serializer[Any]):
    """An object whose unknown fields are refused with 400, each by name."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) and self.parent is None:
            raise Malformed("Send one JSON object.")
        unknown = [name for name in data if name not in self.fields] if isinstance(data, dict) else []
        if unknown:
            known = ", ".join(self.fields) or "none"
            place = (self.field_name,) if self.parent is not None and self.field_name else ()
            told = [
                Problem(pointer(*place, name), "unknown", f"is not known here; there are: {known}") for name in unknown
            ]
            raise Malformed("The request has fields that are not known here.", errors=told)
        return super().to_internal_value(data)


class Nothing(Strict):
    """A body that says nothing: `{}`, or none at all."""


class Text(serializers.CharField):
    """A JSON string."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Address(serializers.EmailField):
    """An e-mail address, no longer than one is kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)


class Whole(serializers.IntegerField):
    """A JSON number without a fraction."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not (isinstance(data, int) or (isinstance(data, float) and data.is_integer())):
            self.fail("invalid")
        return super().to_internal_value(int(data))


class Truth(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Object(serializers.DictField):
    """A JSON object, whose inside is read elsewhere."""


class Choice(serializers.ChoiceField):
    """One of some words; another one is told which there are."""

    default_error_messages = {"invalid_choice": "must be one of {choices}"}

    def fail(self, key: str, **given: Any) -> NoReturn:
        super().fail(key, **given, choices=", ".join(map(str, self.choices)))


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field[datetime, str, str, Any]):
    """An RFC 3339 time with its zone."""

    default_error_messages = {"invalid": "must be an RFC 3339 time with its zone, such as 2026-03-03T09:30:00Z"}

    def to_internal_value(self, data: str) -> datetime:
        return read_time(data) or self._refuse()

    def _refuse(self) -> NoReturn:
        self.fail("invalid")


@extend_schema_field({"anyOf": [{"enum": ["yes", "no"]}, {"type": "integer", "minimum": 1, "maximum": 3650}]})
class MayPin(serializers.Field[Any, Any, Any, Any]):
    """Whether users may pin: yes, no, or for how many days."""

    default_error_messages = {"invalid": 'must be "yes", "no" or a number of days from 1 to 3650'}

    def to_internal_value(self, data: Any) -> str | int:
        days = isinstance(data, int) and not isinstance(data, bool) and 1 <= data <= 3650
        if not days and data not in ("yes", "no"):
            self.fail("invalid")
        told: str | int = data
        return told


class Scopes(serializers.ListField):
    """What a key is for: one scope or more."""

    def __init__(self, **options: Any) -> None:
        scopes = Choice([scope.value for scope in Scope])
        super().__init__(child=scopes, allow_empty=False, max_length=len(Scope), **options)
