"""Keys led by the tenant, forced policies, grants and partitions of every table of this app."""

from django.db import migrations

from tenants.tables import TenantTable

CLAIMS = {"SELECT": None, "UPDATE": ["token", "lease_until", "lost", "not_before"]}
NO_CONTENT = ["id", "tenant_id", "feature_id", "subject_id", "state", "receipt", "attempts", "usage", "cost", "cached",
              "created_at", "started_at", "finished_at"]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial"), ("features", "0002_isolation")]

    operations = [
        TenantTable("Run", partitioned="id", operator={"SELECT": NO_CONTENT}),
        TenantTable(
            "Attempt", partitioned="run", primary_key=("tenant_id", "run", "number"), operator={"SELECT": None}
        ),
        TenantTable("Ledger", partitioned="run", primary_key=("tenant_id", "run"), operator={"SELECT": None}),
        TenantTable("Queued", operator=CLAIMS),
        TenantTable("IdempotencyKey"),
    ]
