"""Runs, their attempts, the queue and the ledger: the big tables, partitioned by run id (a UUIDv7 carries the time).

The run's row is the truth and the queue's row beside it says who works on it; bells (bells.py) carry no run.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from features.models import Feature, ModelTarget, OrderedJSONField
from tenants.ids import uuid7
from tenants.models import Subject, TenantForeignKey, TenantModel
from tenants.secrets import SealedField


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
    batch = models.UUIDField(null=True)  # the batch that it is an item of, from 0 at which place, and the item's key
    place = models.PositiveIntegerField(null=True)
    item_key = models.CharField(max_length=255, blank=True, db_default="")
    preview = models.UUIDField(null=True)  # the preview that it belongs to: it is nobody's run, and goes with that
    cache_key = models.BinaryField(max_length=32, null=True)  # runs with the same key would have the same answer
    store = models.BooleanField(default=True)  # False: input and output go soon after the end, their digests stay
    forget_at = models.DateTimeField(null=True)  # when they go
    input_digest = models.CharField(max_length=64, blank=True)  # SHA-256 of what was forgotten
    output_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "subject", "-id"], name="run_of_subject"),
            models.Index(fields=["tenant", "feature", "-id"], name="run_of_feature"),
            models.Index(
                fields=["tenant", "cache_key", "-id"],
                name="run_of_cache_key",
                condition=models.Q(cache_key__isnull=False),
            ),
            models.Index(
                fields=["tenant", "batch", "place"], name="run_of_batch", condition=models.Q(batch__isnull=False)
            ),
            models.Index(fields=["forget_at"], name="run_forgotten", condition=models.Q(forget_at__isnull=False)),
        ]


class Batch(TenantModel):
    """Many runs of one feature, taken in at once, on one behavior: the receipt is that of each of its runs.

    `items` came, `refused` of them are no runs (RefusedItem). `totals` is what it came to, once it has ended.
    """

    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", db_index=False)
    subject = TenantForeignKey(Subject)
    author = models.CharField(max_length=100)
    receipt = models.JSONField()
    store = models.BooleanField(default=True)
    fresh = models.BooleanField(default=False)  # the model is asked whatever is cached
    items = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    totals = models.JSONField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "subject", "-id"], name="batch_of_subject"),
            models.Index(fields=["id"], name="batch_open", condition=models.Q(finished_at=None)),
        ]


class RefusedItem(TenantModel):
    """An item of a batch that could not be taken in, and why."""

    batch = TenantForeignKey(Batch)
    place = models.PositiveIntegerField()
    item_key = models.CharField(max_length=255, blank=True)
    error = models.JSONField()


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
    """A run that waits or is worked on; its id is the run's. A claim is the token, good while the lease is renewed.

    `reserved` micro-units are held of `budgets` for its next call; null where nothing was looked up yet. One that
    `follows` another waits for that one's output, which will be its own.
    """

    feature = models.UUIDField()
    batch = models.BooleanField(default=False)  # waits behind all that is not
    item_of = models.UUIDField(null=True)  # the batch
    quarantined = models.BooleanField(default=False)  # carried out alone in a process of its own
    not_before = models.DateTimeField(db_default=Now())
    follows = models.UUIDField(null=True)
    deadline = models.DateTimeField(null=True)  # counts from the first start, anew after a worker died
    token = models.UUIDField(null=True)
    process = models.UUIDField(null=True)  # of the worker that holds the claim
    lease_until = models.DateTimeField(null=True)
    lost = models.PositiveIntegerField(default=0)  # how often its worker died
    alone = models.PositiveIntegerField(default=0)  # and how often while it had nothing else to do
    cancel_requested_at = models.DateTimeField(null=True)
    reserved = models.PositiveBigIntegerField(null=True)
    budgets = ArrayField(models.UUIDField(), default=list)
    trace = models.CharField(max_length=55, null=True)  # noqa: DJ001  # W3C traceparent of who accepted it

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "batch", "not_before", "id"],
                name="queued_waiting",
                condition=models.Q(token__isnull=True, follows__isnull=True, quarantined=False),
            ),
            models.Index(fields=["lease_until"], name="queued_leases", condition=models.Q(token__isnull=False)),
            models.Index(fields=["tenant", "follows"], name="queued_follow", condition=~models.Q(follows=None)),
            models.Index(fields=["tenant", "item_of"], name="queued_of_batch", condition=~models.Q(item_of=None)),
            models.Index(fields=["id"], name="queued_quarantined", condition=models.Q(quarantined=True)),
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
    own_key = models.UUIDField(null=True)  # the tenant's own, which the call was made with at no cost to the vendor
    reserved = models.PositiveBigIntegerField(default=0)  # what the call could cost at the worst, in micro-units
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
    calls = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)  # of these, what the provider's prefix cache had
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0)
    # Which layer's text made how many of the input tokens: an estimate (runs/tokens.py).
    base_tokens = models.PositiveBigIntegerField(default=0)
    tenant_tokens = models.PositiveBigIntegerField(default=0)
    user_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["feature", "version", "run"], name="ledger_of_version")]


class Promise(models.Model):
    """A caller's promise that a request is the same one: a digest of what was asked, and the answer to it."""

    caller = models.CharField(max_length=100)  # the credential: a key, or who is signed in
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    answer = SealedField(blank=True, default="", db_default="")  # empty where it is a run's, or is not kept any more
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


class IdempotencyKey(TenantModel, Promise):
    """A promise within a tenant: of a request that made a run or a batch, or of any other (once.py)."""

    run = models.UUIDField()  # or the batch; where an answer is kept the promise itself

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "caller", "key"], name="idempotency_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]


class OperatorIdempotencyKey(Promise):
    """A promise of the vendor's staff. Only the operator role can read this table."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="operator_idempotency_once")]


class Budget(TenantModel):
    """What may be spent in a day or a month (UTC): by the tenant, one user or each, on one feature or all together.

    Amounts are micro-units: at `soft` people are told, a call that could cost more than is left of `hard` is not made.
    """

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    subject = TenantForeignKey(Subject, null=True)
    each_user = models.BooleanField(default=False)
    feature = models.ForeignKey(Feature, models.PROTECT, related_name="+", null=True, db_index=False)
    period = models.CharField(max_length=5, choices=Period.choices)
    soft = models.PositiveBigIntegerField(null=True)
    hard = models.PositiveBigIntegerField(null=True)
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "subject", "each_user", "feature", "period"], name="budget_once", nulls_distinct=False
            )
        ]


class BudgetUse(TenantModel):
    """What was spent of a budget in its present period and what calls in flight may cost; of each user by itself.

    `subject` is the nil id unless the budget is each user's. `soft_at`: since when in this period `soft` is reached;
    `hard_at`: when the first call of it was refused, since not enough was left.
    """

    budget = TenantForeignKey(Budget)
    subject = models.UUIDField()
    began = models.DateField()
    spent = models.PositiveBigIntegerField(default=0)
    reserved = models.PositiveBigIntegerField(default=0)
    soft_at = models.DateTimeField(null=True)
    hard_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant"],
                name="budget_told",
                condition=models.Q(soft_at__isnull=False) | models.Q(hard_at__isnull=False),
            )
        ]


class Worker(models.Model):
    """A worker process that is there: how many runs it can drive at once, and when it last said so."""

    id = models.UUIDField(primary_key=True, editable=False)
    name = models.CharField(max_length=200)
    slots = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
