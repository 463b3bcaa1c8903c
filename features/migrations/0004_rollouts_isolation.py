"""Grants and policies of what 0003 made."""

from django.db import migrations

from tenants.tables import READ, READ_WRITE, GlobalTable, TenantTable

MOVED = {"SELECT": None, "INSERT": None, "UPDATE": None}
NONE: dict[str, None] = {}


class Migration(migrations.Migration):
    dependencies = [("features", "0003_rollouts"), ("tenants", "0002_isolation")]

    operations = [
        GlobalTable("Withdrawal", operator=MOVED),
        GlobalTable("Stage", operator=MOVED),
        GlobalTable("Rollout", app=NONE, operator=MOVED),
        GlobalTable("RolloutEvent", app=NONE, operator={"SELECT": None, "INSERT": None}),
        GlobalTable("GuardPoint", app=NONE, operator=READ_WRITE),
        GlobalTable("Impact", app=NONE, operator=READ_WRITE),
        GlobalTable("ImpactRow", app=NONE, operator=READ_WRITE),
        GlobalTable("ModelTarget", app=NONE, operator={"UPDATE": ["ends_at"]}),
        TenantTable("Availability", app=READ, operator=MOVED),
        TenantTable("NoticeMark"),
    ]
