"""Keys led by the tenant, forced policies and grants of every table of this app, and grants on the libraries' tables."""

from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations

from tenants.tables import DROP_FUNCTIONS, FUNCTIONS, GlobalTable, TenantTable

OF_LIBRARIES = """
GRANT SELECT ON django_migrations, django_content_type, auth_permission, auth_group, auth_group_permissions
    TO bespoke_app, bespoke_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON django_session, account_emailaddress, account_emailconfirmation TO bespoke_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO bespoke_app;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_initial"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        GlobalTable(
            "User",
            app={"SELECT": None, "INSERT": None, "UPDATE": None},
            operator={"SELECT": None, "INSERT": None},
        ),
        GlobalTable("Operator", app={}, operator={"SELECT": None, "INSERT": None}),
        GlobalTable("OperatorKey", app={}, operator={"SELECT": None, "INSERT": None, "UPDATE": None}),
        GlobalTable("VendorAuditEvent", app={}, operator={"SELECT": None, "INSERT": None}),
        TenantTable(
            "Tenant",
            key="id",
            app={"SELECT": None, "UPDATE": ["name"]},
            operator={"SELECT": None, "INSERT": None, "UPDATE": None},
            of_user="id IN (SELECT tenant_id FROM tenants_member WHERE user_id = (SELECT app_user()))",
        ),
        TenantTable("Subject", operator={"SELECT": None, "INSERT": None}),
        TenantTable(
            "Member",
            operator={"SELECT": None, "INSERT": None},
            of_user="user_id = (SELECT app_user())",
        ),
        TenantTable("ApiKey"),
        TenantTable("AuditEvent", app={"SELECT": None, "INSERT": None}),
        migrations.RunSQL(OF_LIBRARIES, migrations.RunSQL.noop),
    ]
