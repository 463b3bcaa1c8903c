"""How a feature moves to a version step by step, what guards saw, and whom a move would reach."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tenants.ids import uuid7

from .rows import Validity, ends_after_it_begins, never_two_at_once
from .vendor import Feature


class Rollout(models.Model):
    """The stepwise move of a feature to version `to`. `steps` and `guards` are as the vendor wrote them (rollouts.py).

    `step` is the index of the step that is in force, -1 before the first; `began_at` is when it began.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        ROLLED_BACK = "rolled_back"

    class Unit(models.TextChoices):
        TENANT = "tenant"
        USER = "user"

    OPEN = (State.RUNNING, State.PAUSED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+")
    before = models.PositiveIntegerField()
    to = models.PositiveIntegerField()
    unit = models.CharField(max_length=10, choices=Unit.choices, default=Unit.TENANT)
    steps = models.JSONField()
    guards = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.RUNNING)
    why = models.CharField(max_length=500, blank=True)
    step = models.IntegerField(default=0)
    began_at = models.DateTimeField()
    message = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feature"], condition=Q(state__in=["running", "paused"]), name="rollout_one_at_a_time"
            )
        ]


class Stage(Validity):
    """Whom a rollout includes, from one instant to another: those in a share of the buckets, and tenants by name.

    `share` is in buckets of 10,000; `tenants` are ids. Pausing changes nothing here, advancing and rolling back do.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+")
    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="stages")
    version = models.PositiveIntegerField()
    unit = models.CharField(max_length=10, choices=Rollout.Unit.choices)
    share = models.PositiveIntegerField()
    tenants = models.JSONField(default=list)

    class Meta:
        constraints = [never_two_at_once("stage_once", "feature"), ends_after_it_begins("stage_ends_later")]


class RolloutEvent(models.Model):
    """What happened to a rollout, and who did it or which guard. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="events")
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=20)
    step = models.IntegerField()
    actor = models.CharField(max_length=100)
    detail = models.JSONField(default=dict)


class GuardPoint(models.Model):
    """What one guard measured at one evaluation of a rollout's step; `value` is null under the minimum sample."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="points")
    at = models.DateTimeField(db_default=Now())
    step = models.IntegerField()
    guard = models.CharField(max_length=30)
    value = models.FloatField(null=True)
    sample = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["rollout", "guard", "at"], name="guard_points")]


class Impact(models.Model):
    """Whom moving a feature to a version reaches: counted, and listed in ImpactRow, by a worker after it was asked for.

    `kind` says what the move is: looked at only, published, moved, a rollout, a withdrawal. `stage` is the part of
    everyone it includes, null for all. It compares as of `at`, and is resumed after `last_tenant`.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+")
    rollout = models.ForeignKey(Rollout, models.PROTECT, null=True, related_name="impacts")
    kind = models.CharField(max_length=20)
    before = models.PositiveIntegerField()
    to = models.PositiveIntegerField()
    stage = models.JSONField(null=True)
    at = models.DateTimeField(db_default=Now())  # by the wall, within whatever transaction
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    counts = models.JSONField(default=dict)
    tenants_done = models.PositiveIntegerField(default=0)
    tenants_all = models.PositiveIntegerField(default=0)
    last_tenant = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)


class ImpactRow(models.Model):
    """One override or pin that a move reaches, by name and never with content. `outcome` is one of impact.OUTCOMES.

    `before` and `after` are the versions served: a pinned subject with two different ones lost to a withdrawal.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    impact = models.ForeignKey(Impact, models.CASCADE, related_name="rows")
    tenant = models.UUIDField()
    tenant_name = models.CharField(max_length=200)
    subject = models.UUIDField()
    layer = models.CharField(max_length=6)
    name = models.CharField(max_length=210)
    outcome = models.CharField(max_length=10)
    before = models.PositiveIntegerField()
    after = models.PositiveIntegerField()
    fields = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["impact", "outcome", "id"], name="impact_rows")]
