from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_replays")]

    operations = [migrations.AddField("queued", "trace", models.CharField(max_length=55, null=True))]
