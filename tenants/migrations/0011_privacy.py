"""Exports and erasures; the operator's role claims them, and never reads an export's file."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.models
from tenants.tables import READ, TenantTable

CLAIM = ["state", "token", "claimed_until"]
TO_CLAIM = ["id", "tenant_id", *CLAIM]


def job() -> list[tuple[str, models.Field]]:
    """The columns of every kind of job."""
    states = [("queued", "Queued"), ("running", "Running"), ("done", "Done"), ("failed", "Failed")]
    return [
        ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
        ("state", models.CharField(choices=states, default="queued", max_length=10)),
        ("author", models.CharField(max_length=100)),
        ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        ("token", models.UUIDField(null=True)),
        ("claimed_until", models.DateTimeField(null=True)),
        ("finished_at", models.DateTimeField(null=True)),
    ]


def of_tenant() -> tuple[str, models.Field]:
    """The column that says of which tenant a row is."""
    protect = django.db.models.deletion.PROTECT
    key = models.ForeignKey("tenants.tenant", protect, related_name="+", db_constraint=False, db_index=False)
    return ("tenant", key)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_audit_chain")]

    operations = [
        migrations.CreateModel(
            name="Export",
            fields=[
                *job(),
                ("bytes", models.PositiveBigIntegerField(default=0)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("manifest", models.JSONField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                of_tenant(),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["id"], name="export_open", condition=models.Q(("state__in", ["queued", "running"]))
                    ),
                    models.Index(fields=["expires_at"], name="export_expires", condition=models.Q(("bytes__gt", 0))),
                ]
            },
        ),
        migrations.CreateModel(
            name="ExportPiece",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                (
                    "export",
                    tenants.models.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.export",
                    ),
                ),
                of_tenant(),
            ],
            options={"abstract": False},
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                *job(),
                (
                    "kind",
                    models.CharField(
                        choices=[("member", "Member"), ("external", "External"), ("tenant", "Tenant")], max_length=10
                    ),
                ),
                ("subject", models.UUIDField(null=True)),
                ("report", models.JSONField(default=dict)),
                ("digest", models.CharField(blank=True, max_length=64)),
                of_tenant(),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant", "subject"], name="erasure_of_subject"),
                    models.Index(
                        fields=["id"], name="erasure_open", condition=models.Q(("state__in", ["queued", "running"]))
                    ),
                ]
            },
        ),
        TenantTable("Export", operator={"SELECT": [*TO_CLAIM, "expires_at", "bytes"], "UPDATE": CLAIM}),
        TenantTable("ExportPiece", primary_key=("tenant_id", "export_id", "number")),
        TenantTable("Erasure", operator={**READ, "INSERT": None, "UPDATE": CLAIM}),
    ]
