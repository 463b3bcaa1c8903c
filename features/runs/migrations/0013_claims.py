"""Who waits is found in the order in which they may start, so that a claim looks at none that must wait longer."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0012_partitions")]
    operations = [
        migrations.RemoveIndex(model_name="queued", name="queued_waiting"),
        migrations.AddIndex(
            model_name="queued",
            index=models.Index(
                condition=models.Q(("follows__isnull", True), ("quarantined", False), ("token__isnull", True)),
                fields=["tenant", "batch", "not_before", "id"],
                name="queued_waiting",
            ),
        ),
    ]
