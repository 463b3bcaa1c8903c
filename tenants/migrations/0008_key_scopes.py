"""What keys may be used for, and which key took whose place. Keys that there are keep all that they had."""

import django.contrib.postgres.fields
from django.db import migrations, models

import tenants.models
from tenants.tables import OperatorGrant

# For processes that do not know of scopes yet, while a deployment goes on.
DEFAULTS = """
ALTER TABLE tenants_apikey ALTER COLUMN scopes SET DEFAULT '{read,run,customise,admin}';
ALTER TABLE tenants_operatorkey ALTER COLUMN scopes SET DEFAULT '{read,run,customise,admin}';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0007_invitations"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="replaced_by",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=10), default=tenants.models.all_scopes, size=None
            ),
        ),
        migrations.AddField(
            model_name="operatorkey",
            name="replaced_by",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="operatorkey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=10), default=tenants.models.all_scopes, size=None
            ),
        ),
        migrations.RunSQL(DEFAULTS, migrations.RunSQL.noop),
        OperatorGrant("ApiKey", {"SELECT": ["id", "tenant_id", "revoked_at", "expires_at"]}, first=True),
    ]
