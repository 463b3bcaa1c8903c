"""What tenants and their people keep: overrides, pins, policies, what they may use, and the stamps of all that."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tenants.models import Subject, TenantForeignKey, TenantModel

from .rows import OrderedJSONField, Validity, ends_after_it_begins, never_two_at_once
from .vendor import Feature


class Override(TenantModel, Validity):
    """An immutable numbered revision of what a tenant or a user changes; the newest is the one that is valid."""

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    subject = TenantForeignKey(Subject)
    number = models.PositiveIntegerField()
    operations = OrderedJSONField()
    rules = OrderedJSONField(default=dict)
    aliases = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))  # those that it names
    message = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "feature", "subject", "number"], name="override_number"),
            never_two_at_once("override_once", "tenant", "feature", "subject"),
            ends_after_it_begins("override_ends_later"),
        ]
        indexes = [
            models.Index(fields=["tenant"], condition=Q(valid_to=None) & ~Q(aliases=[]), name="override_names_models")
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
    as_of = models.DateTimeField(null=True)  # the moment that a restore went back to
    run = models.UUIDField(null=True)  # or the run

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
    store = models.BooleanField(default=True)  # False: what runs were given and gave is not kept
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


class Availability(TenantModel, Validity):
    """That a tenant has a feature which is served to listed tenants only. The vendor writes these."""

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    author = models.CharField(max_length=100)

    class Meta:
        constraints = [
            never_two_at_once("available_once", "tenant", "feature"),
            ends_after_it_begins("available_ends_later"),
        ]


class NoticeMark(TenantModel):
    """That somebody has read a notice, or was mailed it. Notices themselves are derived, never stored (notices.py)."""

    subject = TenantForeignKey(Subject)
    notice = models.UUIDField()
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "subject", "notice"], name="notice_marked_once")]
