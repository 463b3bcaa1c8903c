"""Overrides say beside their texts which model aliases they name, so that operators can count them."""

from typing import Any

from django.db import migrations, models
from django.db.models import Q

from tenants.tables import OperatorGrant, tenant_rows


def fill(apps: Any, schema_editor: Any) -> None:
    """Write the aliases of overrides that are there already; the next ones are written with theirs."""
    rows = apps.get_model("features", "Override").objects.using(schema_editor.connection.alias)
    with tenant_rows(schema_editor, "features_override"):
        for row in rows.filter(operations__contains='"model.').iterator():
            values = {one["field"]: one["value"] for one in row.operations}
            named = [values.get("model.name"), *(values.get("model.fallbacks") or ())]
            row.aliases = sorted({alias for alias in named if isinstance(alias, str)})
            row.save(update_fields=["aliases"])


class Migration(migrations.Migration):
    dependencies = [("features", "0006_erasure")]

    operations = [
        migrations.AddField(
            model_name="override",
            name="aliases",
            field=models.JSONField(default=list, db_default=models.Value([], models.JSONField())),
        ),
        OperatorGrant("Override", {"SELECT": ["aliases"]}),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="override",
            index=models.Index(
                fields=["tenant"], condition=Q(valid_to=None) & ~Q(aliases=[]), name="override_names_models"
            ),
        ),
    ]
