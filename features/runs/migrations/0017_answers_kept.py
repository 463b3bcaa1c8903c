"""Answers to what was asked with an idempotency key and made no run, and what operators ask so."""

import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.secrets
from tenants.tables import READ_WRITE, GlobalTable


class Migration(migrations.Migration):
    dependencies = [("runs", "0016_budgets_told_isolation")]

    operations = [
        migrations.AddField(
            model_name="idempotencykey",
            name="answer",
            field=tenants.secrets.SealedField(blank=True, db_default="", default=""),
        ),
        migrations.CreateModel(
            name="OperatorIdempotencyKey",
            fields=[
                ("caller", models.CharField(max_length=100)),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.CharField(max_length=64)),
                ("answer", tenants.secrets.SealedField(blank=True, db_default="", default="")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "id",
                    models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("caller", "key"), name="operator_idempotency_once")],
            },
        ),
        GlobalTable("OperatorIdempotencyKey", app={}, operator=READ_WRITE),
    ]
