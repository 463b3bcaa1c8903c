"""Grants and policies of what 0018 made: mail asks which tenants have anything to be told of their budgets."""

from django.db import migrations

from tenants.tables import OperatorGrant


class Migration(migrations.Migration):
    dependencies = [("runs", "0015_budgets_told")]

    operations = [OperatorGrant("BudgetUse", {"SELECT": ["tenant_id", "soft_at", "hard_at"]}, first=True)]
