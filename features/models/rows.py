"""What the tables of behavior have in common: ordered JSON, and rows valid from one instant to another."""

import json
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:  # Django's fields are generic for type checkers only
    _TextField = models.TextField


class OrderedJSONField(_TextField):
    """JSON kept as text, because jsonb forgets the order of properties and order steers constrained decoding."""

    _pyi_private_set_type: Any  # what django-stubs reads of a field: any JSON goes in, and comes out
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, *_: object) -> Any:
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def to_python(self, value: Any) -> Any:
        return value


class TsTzRange(models.Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


def never_two_at_once(name: str, *scope: str) -> ExclusionConstraint:
    """Refuse two rows of one scope that are valid at the same instant; no column of the scope may be null."""
    return ExclusionConstraint(
        name=name,
        expressions=[
            *((field, RangeOperators.EQUAL) for field in scope),
            (TsTzRange("valid_from", "valid_to"), RangeOperators.OVERLAPS),
        ],
    )


def ends_after_it_begins(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(name=name, condition=models.Q(valid_to__gt=models.F("valid_from")))


class Validity(models.Model):
    """A row valid from one instant until another, or until further notice."""

    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)

    class Meta:
        abstract = True
