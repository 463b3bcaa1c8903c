"""Limits of a tenant's and a key's own. The app's role may change the name of a Tenant only, the operator's all of it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0002_isolation"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="concurrent_runs",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="requests_per_minute",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="concurrent_runs",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="requests_per_minute",
            field=models.IntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("requests_per_minute__gte", 1)), name="apikey_requests"
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(condition=models.Q(("concurrent_runs__gte", 1)), name="apikey_runs"),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("requests_per_minute__gte", 1)), name="tenant_requests"
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(condition=models.Q(("concurrent_runs__gte", 1)), name="tenant_runs"),
        ),
    ]
