"""Grants and policies of what 0009 made."""

from django.db import migrations

from tenants.tables import TenantTable

OPEN = {"SELECT": ["id", "tenant_id", "cancel_requested_at", "finished_at"]}


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_batches")]

    operations = [
        TenantTable("Batch", operator=OPEN),
        TenantTable("RefusedItem", primary_key=("tenant_id", "batch_id", "place")),
    ]
