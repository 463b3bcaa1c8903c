"""Keys led by the tenant, forced policies and grants of every table of this app."""

from django.db import migrations

from tenants.tables import GlobalTable, TenantTable

VENDOR = {"SELECT": None, "INSERT": None}
MOVED = {"SELECT": None, "INSERT": None, "UPDATE": None}
NO_TEXTS = ["id", "tenant_id", "feature_id", "subject_id", "number", "author", "valid_from", "valid_to"]


class Migration(migrations.Migration):
    dependencies = [("features", "0001_initial"), ("tenants", "0002_isolation")]

    operations = [
        GlobalTable("Feature", operator={**MOVED}),
        GlobalTable("Version", operator=VENDOR),
        GlobalTable("CurrentVersion", operator=MOVED),
        GlobalTable("ModelTarget", operator=VENDOR),
        GlobalTable("ModelAlias", operator=MOVED),
        GlobalTable("VendorStamp", operator=MOVED),
        TenantTable("Override", operator={"SELECT": NO_TEXTS}),
        TenantTable("Pin", operator={"SELECT": None}),
        TenantTable("Policy", operator={"SELECT": None}),
        TenantTable("Stamp"),
    ]
