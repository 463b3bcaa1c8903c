"""Exports of all that an organisation has, and erasures: work that a worker does, a row for each."""

from django.db import models
from django.db.models.functions import Now

from .models import Subject, TenantForeignKey, TenantModel


class Job(TenantModel):
    """Work that waits, is done by the token's holder while the lease runs, or has ended. Holds ids only."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    OPEN = (State.QUEUED, State.RUNNING)

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    author = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    token = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Export(Job):
    """All that an organisation has, as one zip file in pieces, until it expires. `manifest` says what is in it."""

    bytes = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)  # SHA-256 of the file
    manifest = models.JSONField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="export_open", condition=models.Q(state__in=["queued", "running"])),
            models.Index(fields=["expires_at"], name="export_expires", condition=models.Q(bytes__gt=0)),
        ]


class ExportPiece(TenantModel):
    """A piece of an export's file, by its place from 0."""

    export = TenantForeignKey(Export)
    number = models.PositiveIntegerField()
    data = models.BinaryField()


class Erasure(Job):
    """The erasing of one subject, or of the organisation whole (`subject` is null), and the report of what was done.

    `report` grows while it is done; `digest` is the SHA-256 of its canonical form (RFC 8785) when it has ended.
    """

    kind = models.CharField(max_length=10, choices=Subject.Kind.choices)
    subject = models.UUIDField(null=True)
    report = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "subject"], name="erasure_of_subject"),
            models.Index(fields=["id"], name="erasure_open", condition=models.Q(state__in=["queued", "running"])),
        ]
