"""A person's own time zone, organisations that ask for a second factor, and what allauth keeps of factors and sessions."""

from django.db import migrations, models

OF_LIBRARIES = """
GRANT SELECT, INSERT, UPDATE, DELETE ON mfa_authenticator, usersessions_usersession TO bespoke_app;
GRANT UPDATE (require_mfa) ON tenants_tenant TO bespoke_app;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0008_key_scopes"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="require_mfa",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="user",
            name="time_zone",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.RunSQL(OF_LIBRARIES, migrations.RunSQL.noop),
    ]
