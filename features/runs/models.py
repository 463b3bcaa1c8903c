"""Runs, their attempts, the queue and the ledger: the big tables, partitioned by run id (a UUIDv7 carries the time).

The run's row is the truth and the queue's row beside it says who works on it; Celery only rings bells.
"""

from django.db import models
from django.db.models.functions import Now

from features.models import Feature, ModelTarget, OrderedJSONField
from tenants.models import Subject, TenantForeignKey, TenantModel


class State(models.TextChoices):
    """The states of a run; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Run(TenantModel):
    """One execution of a feature on one input, with the receipt of the behavior that it was accepted with."""

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    subject = TenantForeignKey(Subject)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    input = OrderedJSONField(null=True)
    output = OrderedJSONField(null=True)
    error = models.JSONField(null=True)
    receipt = models.JSONField()
    now = models.DateTimeField()
    author = models.CharField(max_length=100)
    attempts = models.PositiveIntegerField(default=0)
    usage = models.JSONField(null=True)
    cost = models.PositiveBigIntegerField(default=0)
    cached = models.BooleanField(default=False)
    feedback = OrderedJSONField(null=True)
    replay_of = models.UUIDField(null=True)  # the run whose input this one was asked again
    preview = models.UUIDField(null=True)  # the preview that it belongs to: it is nobody's run, and goes with that
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "subject", "-id"], name="run_of_subject"),
            models.Index(fields=["tenant", "feature", "-id"], name="run_of_feature"),
        ]


class Preview(TenantModel):
    """Two behaviors to be compared on some inputs, kept until it was answered: nothing else of a preview is saved.

    `sides` are the two choices of versions, with operations that no revision holds where they are only proposed;
    its runs are the pairs of each input, in order.
    """

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    subject = TenantForeignKey(Subject)
    author = models.CharField(max_length=100)
    sides = OrderedJSONField()
    runs = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="preview_expires")]


class Queued(TenantModel):
    """A run that waits or is worked on; its id is the run's. A claim is the token, good while the lease is renewed."""

    feature = models.UUIDField()
    batch = models.BooleanField(default=False)
    not_before = models.DateTimeField(db_default=Now())
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    lost = models.PositiveIntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    trace = models.CharField(max_length=55, null=True)  # noqa: DJ001  # W3C traceparent of who accepted it

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "batch", "id"], name="queued_waiting", condition=models.Q(token__isnull=True)
            ),
            models.Index(fields=["lease_until"], name="queued_leases", condition=models.Q(token__isnull=False)),
        ]


class Attempt(TenantModel):
    """One call to a model within a run, written before the call is made. Never holds content."""

    run = models.UUIDField()
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    target = models.ForeignKey(ModelTarget, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    cached_input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0)


class Ledger(TenantModel):
    """What a finished run cost: one row for each, whatever became of it."""

    run = models.UUIDField()
    feature = models.UUIDField()
    subject = models.UUIDField()
    at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10)
    cached = models.BooleanField(default=False)
    model = models.CharField(max_length=64, blank=True)
    version = models.PositiveIntegerField(default=0)  # the base it was served with: what guards of rollouts count by
    error = models.CharField(max_length=40, blank=True)  # a failed run's error type; `checks` if only those failed
    repairs = models.PositiveIntegerField(default=0)
    malformed = models.BooleanField(default=False)  # an answer had not the output's form, repaired later or not
    preview = models.BooleanField(default=False)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["feature", "version", "run"], name="ledger_of_version")]


class IdempotencyKey(TenantModel):
    """A caller's promise that a request is the same one: the run that it made, and a digest of what was asked."""

    caller = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    run = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "caller", "key"], name="idempotency_once")]
