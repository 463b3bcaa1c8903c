"""Organisations that the vendor has suspended or closed. The app reads the state; only the operator's role sets it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0005_webhooks"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="state",
            field=models.CharField(
                choices=[("active", "Active"), ("suspended", "Suspended"), ("closed", "Closed")],
                db_default="active",
                default="active",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="tenant",
            name="state_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="state_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
    ]
