"""What the vendor keeps: features, their versions, which of them is current or withdrawn, and what models mean."""

from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from tenants.ids import uuid7

from .rows import OrderedJSONField, Validity, ends_after_it_begins, never_two_at_once

EVERY_FEATURE = MODELS = UUID(int=0)


class Feature(models.Model):
    """One thing the product does. Belongs to the vendor; served to every tenant, or to those listed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=64, unique=True)
    title = models.CharField(max_length=100)
    summary = models.CharField(max_length=300, blank=True)
    verb = models.CharField(max_length=40, blank=True)
    icon = models.CharField(max_length=40, blank=True)
    cache_seconds = models.PositiveIntegerField(null=True)  # how long an output answers equal runs; 0 never, null usual
    listed_only = models.BooleanField(default=False)  # served to those tenants alone that have an Availability
    retires_at = models.DateTimeField(null=True)
    retiring = models.CharField(max_length=500, blank=True)  # what the vendor tells people of it
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
    samples = OrderedJSONField(default=list)
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


class Withdrawal(Validity):
    """The vendor's emergency stop of one version: whoever is on it is served the replacement while this is valid."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    replacement = models.PositiveIntegerField()
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            never_two_at_once("withdrawn_once", "feature", "version"),
            ends_after_it_begins("withdrawn_ends_later"),
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
    ends_at = models.DateTimeField(null=True)  # from then on the alias's own target stands in for it

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
