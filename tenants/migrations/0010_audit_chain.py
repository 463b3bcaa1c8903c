"""Audit events become links of a chain for each tenant and one for the vendor; those there are get their digests."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import tenants.ids
from tenants.chain import content, genesis, link, plain
from tenants.tables import GlobalTable, TenantTable, tenant_rows

ADDED = {"SELECT": None, "INSERT": None}
HEAD = [
    ("sequence", models.PositiveBigIntegerField()),
    ("digest", models.BinaryField(max_length=32)),
    ("told", models.PositiveBigIntegerField(default=0)),
]


def chain_up(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Digest the events that there are, in the order of their ids."""
    event, head = apps.get_model("tenants", "AuditEvent"), apps.get_model("tenants", "AuditHead")
    with tenant_rows(schema_editor, "tenants_auditevent"), tenant_rows(schema_editor, "tenants_audithead"):
        for tenant_id in event.objects.using("owner").order_by().values_list("tenant_id", flat=True).distinct():
            rows = event.objects.using("owner").filter(tenant_id=tenant_id)
            sequence, digest = _chain(rows, genesis(str(tenant_id)))
            head.objects.using("owner").create(id=tenant_id, tenant_id=tenant_id, sequence=sequence, digest=digest)
    rows = apps.get_model("tenants", "VendorAuditEvent").objects.using("owner").all()
    sequence, digest = _chain(rows, genesis("vendor"))
    if sequence:
        head = apps.get_model("tenants", "VendorAuditHead")
        head.objects.using("owner").create(id=1, sequence=sequence, digest=digest)


def _chain(rows: Any, digest: bytes) -> tuple[int, bytes]:
    sequence = 0
    for sequence, row in enumerate(rows.order_by("id").iterator(1000), 1):
        detail = plain(row.detail)
        new = content(id=str(row.id), at=row.at, actor=row.actor, verb=row.verb, target=row.target, detail=detail)
        digest = link(digest, sequence, new)
        rows.filter(pk=row.pk).update(sequence=sequence, digest=digest, detail=detail)
    return sequence, digest


class Migration(migrations.Migration):
    dependencies = [("tenants", "0009_logins_and_operators")]

    operations = [
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.UUIDField(default=tenants.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                *HEAD,
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=["tenant"], name="audit_head_once")]},
        ),
        migrations.CreateModel(
            name="VendorAuditHead",
            fields=[("id", models.PositiveSmallIntegerField(editable=False, primary_key=True, serialize=False)), *HEAD],
            options={"abstract": False},
        ),
        TenantTable(
            "AuditHead",
            app={**ADDED, "UPDATE": ["sequence", "digest"]},
            operator={"SELECT": None, "UPDATE": ["told"]},
        ),
        GlobalTable("VendorAuditHead", app={}, operator={**ADDED, "UPDATE": None}),
        *(
            migrations.AddField(model, name, field)
            for model in ("AuditEvent", "VendorAuditEvent")
            for name, field in (
                ("sequence", models.PositiveBigIntegerField(null=True)),
                ("digest", models.BinaryField(max_length=32, null=True)),
            )
        ),
        *(migrations.AlterField(m, "at", models.DateTimeField()) for m in ("AuditEvent", "VendorAuditEvent")),
        migrations.RunPython(chain_up, migrations.RunPython.noop),
        migrations.AlterField("AuditEvent", "sequence", models.PositiveBigIntegerField()),
        migrations.AlterField("AuditEvent", "digest", models.BinaryField(max_length=32)),
        migrations.AlterField("VendorAuditEvent", "sequence", models.PositiveBigIntegerField(unique=True)),
        migrations.AlterField("VendorAuditEvent", "digest", models.BinaryField(max_length=32)),
        migrations.AddConstraint(
            "AuditEvent", models.UniqueConstraint(fields=["tenant", "sequence"], name="audit_in_order")
        ),
    ]
