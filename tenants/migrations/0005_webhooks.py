"""Webhooks and their outbox. The operator writes what the vendor did into it, claims, and reads no secret or address."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.models
import tenants.secrets
from tenants.tables import TenantTable

TO_CLAIM = ["id", "tenant_id", "events", "failing_since", "disabled_at"]
CLAIM = ["token", "due_at", "attempts"]
WAITING = ["id", "tenant_id", "webhook_id", "at", *CLAIM]


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0004_provider_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("url", models.CharField(max_length=2000)),
                ("description", models.CharField(blank=True, max_length=200)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None),
                ),
                ("secret", tenants.secrets.SealedField()),
                ("previous", tenants.secrets.SealedField(blank=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("created_by", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("failing_since", models.DateTimeField(null=True)),
                ("disabled_at", models.DateTimeField(null=True)),
                ("disabled_why", models.CharField(blank=True, max_length=10)),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("event", models.CharField(max_length=40)),
                ("data", models.JSONField()),
                ("at", models.DateTimeField()),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("due_at", models.DateTimeField(null=True)),
                ("token", models.UUIDField(null=True)),
                ("status", models.PositiveIntegerField(null=True)),
                ("problem", models.CharField(blank=True, max_length=200)),
                ("delivered_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "webhook",
                    tenants.models.TenantForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenants.webhook",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant", "webhook", "-id"], name="delivery_of_webhook"),
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)),
                        fields=["tenant", "webhook", "due_at"],
                        name="delivery_due",
                    ),
                ],
            },
        ),
        TenantTable("Webhook", operator={"SELECT": TO_CLAIM}),
        TenantTable("Delivery", operator={"SELECT": WAITING, "INSERT": None, "UPDATE": CLAIM, "DELETE": None}),
    ]
