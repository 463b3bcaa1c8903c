"""Whether an organisation is active, and since when and why it is not."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_webhooks")]

    operations = [
        migrations.AddField(
            "tenant",
            "state",
            models.CharField(
                max_length=10,
                choices=[("active", "Active"), ("suspended", "Suspended"), ("closed", "Closed")],
                default="active",
                db_default="active",
            ),
        ),
        migrations.AddField(
            "tenant", "state_reason", models.CharField(blank=True, max_length=500, default="", db_default="")
        ),
        migrations.AddField("tenant", "state_at", models.DateTimeField(null=True)),
    ]
