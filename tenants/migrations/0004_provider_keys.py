"""Customers' own provider keys. The operator has no grant on them, and the app none to change what a key is."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.secrets
from tenants.tables import TenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderKey",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=40)),
                ("name", models.CharField(max_length=100)),
                ("base_url", models.CharField(blank=True, max_length=2000)),
                ("sealed", tenants.secrets.SealedField()),
                ("last_four", models.CharField(max_length=4)),
                ("fingerprint", models.CharField(max_length=8)),
                ("created_by", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("revoked_at", models.DateTimeField(null=True)),
                ("refused_at", models.DateTimeField(null=True)),
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("revoked_at__isnull", True)),
                        fields=["tenant", "provider", "-id"],
                        name="providerkey_live",
                    )
                ],
            },
        ),
        TenantTable(
            "ProviderKey",
            app={"SELECT": None, "INSERT": None, "DELETE": None, "UPDATE": ["sealed", "revoked_at", "refused_at"]},
        ),
    ]
