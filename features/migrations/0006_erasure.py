"""The operator may delete what organisations were given, when one is erased; it never could before."""

from django.db import migrations

from tenants.tables import OperatorGrant


class Migration(migrations.Migration):
    dependencies = [("features", "0005_caching_and_storing")]

    operations = [OperatorGrant("Availability", {"DELETE": None})]
