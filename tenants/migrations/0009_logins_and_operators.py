"""What logins have of their own (a time zone, second factors, sessions); operators' roles, approvals, support access."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.ids
import tenants.models
from tenants.tables import GlobalTable, TenantTable

OF_LIBRARIES = """
GRANT SELECT, INSERT, UPDATE, DELETE ON mfa_authenticator, usersessions_usersession TO bespoke_app;
GRANT UPDATE (require_mfa) ON tenants_tenant TO bespoke_app;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0008_key_scopes"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="require_mfa",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="user",
            name="time_zone",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.RunSQL(OF_LIBRARIES, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="operator",
            name="roles",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=10), default=tenants.models.all_operator_roles, size=None
            ),
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("action", models.CharField(max_length=20)),
                ("feature", models.CharField(max_length=64)),
                ("given", models.TextField()),
                ("requested_by", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=100)),
                ("approved", models.BooleanField(null=True)),
                (
                    "operator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.operator"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SupportGrant",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("reason", models.CharField(max_length=500)),
                ("granted_by", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("until", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
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
                "indexes": [models.Index(fields=["tenant", "-until"], name="support_live")],
            },
        ),
        GlobalTable("Operator", app={}, operator={"UPDATE": ["roles"]}),
        GlobalTable("Approval", app={}, operator={"SELECT": None, "INSERT": None, "UPDATE": None}),
        TenantTable("SupportGrant", operator={"SELECT": ["id", "tenant_id", "until", "ended_at"]}),
    ]
