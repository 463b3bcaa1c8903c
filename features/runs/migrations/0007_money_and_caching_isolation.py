"""Grants and policies of what 0006 made."""

from django.db import migrations

from tenants.tables import READ_WRITE, GlobalTable, OperatorGrant, TenantTable

FORGETTING = {"SELECT": ["store", "forget_at"]}
CLAIMS = {"UPDATE": ["process", "alone", "quarantined", "deadline", "follows"]}
OLD_KEYS = {"SELECT": ["id", "tenant_id", "created_at"], "DELETE": None}


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_money_and_caching"), ("features", "0005_caching_and_storing")]

    operations = [
        TenantTable("Budget"),
        TenantTable("BudgetUse", primary_key=("tenant_id", "budget_id", "subject")),
        GlobalTable("Worker", app={}, operator=READ_WRITE),
        OperatorGrant("Run", FORGETTING),
        OperatorGrant("Queued", CLAIMS),
        OperatorGrant("IdempotencyKey", OLD_KEYS, first=True),
    ]
