"""WHAT a feature should do, and for whom: versions, override revisions, pins, policies, model targets, stamps.

Whatever can change in time is a row valid from one instant to another, written by `validity.supersede` alone; the
database refuses two rows of one thing at once.
"""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models.functions import Now

from tenants.ids import uuid7
from tenants.models import Subject, TenantForeignKey, TenantModel

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


class Feature(models.Model):
    """One thing the product does. Belongs to the vendor; every tenant can read it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=64, unique=True)
    title = models.CharField(max_length=100)
    summary = models.CharField(max_length=300, blank=True)
    verb = models.CharField(max_length=40, blank=True)
    icon = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key


class Version(models.Model):
    """An immutable, numbered behavior published by the vendor: the base layer."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    behavior = OrderedJSONField()
    rules = OrderedJSONField(default=dict)
    titles = OrderedJSONField(default=dict)
    digest = models.CharField(max_length=70)
    message = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)
    source = models.CharField(max_length=10, choices=[("api", "api"), ("catalog", "catalog")])
    source_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feature", "number"], name="version_number")]


class CurrentVersion(Validity):
    """The version of a feature that everyone follows who has no pin."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            never_two_at_once("current_once", "feature"),
            ends_after_it_begins("current_ends_later"),
        ]


class ModelTarget(models.Model):
    """What an alias means: provider, endpoint, model and prices (micro-units of the currency per million tokens)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    alias = models.CharField(max_length=64)
    revision = models.PositiveIntegerField()
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    capabilities = models.JSONField(default=dict)
    input_price = models.PositiveBigIntegerField()
    cached_input_price = models.PositiveBigIntegerField()
    output_price = models.PositiveBigIntegerField()
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alias", "revision"], name="target_revision")]


class ModelAlias(Validity):
    """The target that an alias points to."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    alias = models.CharField(max_length=64)
    target = models.ForeignKey(ModelTarget, models.PROTECT, related_name="+")
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            never_two_at_once("alias_once", "alias"),
            ends_after_it_begins("alias_ends_later"),
        ]


class VendorStamp(models.Model):
    """Counts the changes to what everyone shares: a feature's pointers, or (under the nil id) the model aliases."""

    scope = models.UUIDField(primary_key=True, editable=False)
    value = models.PositiveBigIntegerField(default=1)


class Override(TenantModel, Validity):
    """An immutable numbered revision of what a tenant or a user changes; the newest is the one that is valid."""

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    subject = TenantForeignKey(Subject)
    number = models.PositiveIntegerField()
    operations = OrderedJSONField()
    rules = OrderedJSONField(default=dict)
    message = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "feature", "subject", "number"], name="override_number"),
            never_two_at_once("override_once", "tenant", "feature", "subject"),
            ends_after_it_begins("override_ends_later"),
        ]

    @property
    def etag(self) -> str:
        return f'"{self.number}"'


class Pin(TenantModel, Validity):
    """A standing choice to stay on given versions. One with an end has its `valid_to` from the start."""

    class Kind(models.TextChoices):
        BASE = "base"
        SNAPSHOT = "snapshot"

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    subject = TenantForeignKey(Subject)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    base = models.PositiveIntegerField()
    tenant_revision = models.PositiveIntegerField(null=True)
    user_revision = models.PositiveIntegerField(null=True)
    targets = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            never_two_at_once("pin_once", "tenant", "feature", "subject"),
            ends_after_it_begins("pin_ends_later"),
        ]


class Policy(TenantModel, Validity):
    """What a tenant lets its users do. Until it saves one, they may pin and override freely."""

    users_may_pin = models.CharField(max_length=5, default="yes")  # yes, no, or a number of days
    users_may_override = models.BooleanField(default=True)
    retention_days = models.PositiveIntegerField(null=True)
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            never_two_at_once("policy_once", "tenant"),
            ends_after_it_begins("policy_ends_later"),
        ]


class Stamp(TenantModel):
    """Counts the changes to one subject's pointers of one feature; the tenant's own under the tenant as subject.

    A policy counts under the nil feature. Caches and runs compare stamps instead of waiting for time (architecture 5).
    """

    feature = models.UUIDField()
    subject = models.UUIDField()
    value = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "feature", "subject"], name="stamp_scope")]


EVERY_FEATURE = MODELS = UUID(int=0)
