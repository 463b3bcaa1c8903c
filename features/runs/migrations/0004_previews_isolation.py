"""Grants and policies of what 0003 made."""

from django.db import migrations

from tenants.tables import TenantTable


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_previews"), ("features", "0004_rollouts_isolation")]

    operations = [TenantTable("Preview", operator={"SELECT": ["id", "tenant_id", "expires_at"]})]
