"""The operator reads why support was let in on the organisation's own row, which is erased with it; no audit holds it."""

from django.db import migrations

from tenants.tables import OperatorGrant


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_privacy")]

    operations = [OperatorGrant("SupportGrant", {"SELECT": ["reason", "created_at"]})]
