"""Makes an export: a zip file of NDJSON, a file for each table of the registry, written piece by piece.

Memory is bounded: rows are read a few at a time, and the file is kept in the database in pieces of a megabyte, where
row level security stands between tenants as everywhere and every web process can read it. Tables are read one after
the other, each row as it is then; the manifest says from when to when. A worker that takes over begins anew.
"""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from .audit import record
from .isolation import APP, OPERATOR, operator_tx, tenant_tx
from .jobs import Claim, carrying
from .models import AuditEvent, Tenant
from .privacy_models import Export, ExportPiece
from .records import BESIDE, Records, Row, registry

FORMAT = 1
KEPT = timedelta(hours=24)
PIECE = 1024 * 1024  # bytes
MOST_ROWS, MOST_BYTES = 500, 2 * PIECE  # that are read at a time, about
NOT_IN_IT = (
    "Secrets: passwords, keys, what signs webhooks. What the vendor wrote: features' versions, hidden texts among them."
)


def carry_out(claim: Claim) -> None:
    """Make a claimed export, or leave it to another worker: if this one is to end, the database is away, it is lost."""
    with carrying(claim, "export"):
        _Making(claim).go()


def delete_expired() -> int:
    """Delete the files of exports that have expired; their rows stay, saying that there were some. Returns how many."""
    with operator_tx():
        rows = Export.objects.using(OPERATOR).filter(expires_at__lt=Now(), bytes__gt=0)
        expired = list(rows.values_list("tenant_id", "id"))
    for tenant_id, export_id in expired:
        with tenant_tx(tenant_id):
            delete_file(tenant_id, export_id)
    return len(expired)


def delete_file(tenant_id: UUID, export_id: UUID) -> None:
    """Delete an export's file, within the tenant's transaction; one that is being made is begun anew."""
    ExportPiece.objects.filter(tenant_id=tenant_id, export_id=export_id).delete()
    rows = Export.objects.filter(tenant_id=tenant_id, pk=export_id)
    rows.filter(state=Export.State.RUNNING).update(state=Export.State.QUEUED, claimed_until=None, token=None)
    rows.filter(bytes__gt=0).update(bytes=0, expires_at=Now())


class _Making:
    """One export being made: what a zip file is written to (it asks for `write` and `flush`), and its manifest."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.tenant_id = claim, claim.tenant_id
        self.buffer, self.number, self.size, self.sum = bytearray(), 0, 0, hashlib.sha256()
        self.files: dict[str, Any] = {}

    def go(self) -> None:
        with tenant_tx(self.tenant_id):
            self.claim.hold()
            ExportPiece.objects.filter(tenant_id=self.tenant_id, export_id=self.claim.id).delete()
            manifest = self._begin()
        with zipfile.ZipFile(self, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # it needs no more
            for one in registry():
                if one.name:
                    self._file(archive, one.name, _rows(one, self.tenant_id), one.left_out)
            for name, rows in BESIDE.items():
                self._file(archive, name, _beside(rows, self.tenant_id), {})
            manifest |= {"finished": _text(timezone.now()), "files": self.files}
            archive.writestr("manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
        self._keep()
        self._end(manifest)

    def write(self, data: bytes) -> int:
        self.buffer += data
        self.size += len(data)
        self.sum.update(data)
        while len(self.buffer) >= PIECE:
            self._keep()
        return len(data)

    def flush(self) -> None:
        """Pieces are kept when they are full."""

    def _keep(self) -> None:
        piece, self.buffer = bytes(self.buffer[:PIECE]), self.buffer[PIECE:]
        with tenant_tx(self.tenant_id):
            self.claim.hold()
            row = ExportPiece(tenant_id=self.tenant_id, export_id=self.claim.id, number=self.number, data=piece)
            row.save(force_insert=True)
        self.number += 1

    def _begin(self) -> dict[str, Any]:
        tenant = Tenant.objects.get(pk=self.tenant_id)
        with connections[APP].cursor() as cursor:
            cursor.execute("SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app")
            schema = dict(cursor.fetchall())
        return {
            "format": FORMAT, "organisation": {"id": str(tenant.id), "slug": tenant.slug, "name": tenant.name},
            "begun": _text(timezone.now()), "schema": schema, "not_in_it": NOT_IN_IT,
        }  # fmt: skip

    def _file(self, archive: zipfile.ZipFile, name: str, rows: Iterator[Row], left_out: Mapping[str, str]) -> None:
        count, digest = 0, hashlib.sha256()
        with archive.open(f"{name}.ndjson", "w", force_zip64=True) as file:
            for count, row in enumerate(rows, 1):
                line = f"{json.dumps(row, default=_text, ensure_ascii=False)}\n".encode()
                digest.update(line)
                file.write(line)
                if count % MOST_ROWS == 0:
                    self._still_ours()
        self.files[f"{name}.ndjson"] = {"rows": count, "sha256": digest.hexdigest(), "left_out": dict(left_out)}

    def _still_ours(self) -> None:
        with tenant_tx(self.tenant_id):
            self.claim.hold()

    def _end(self, manifest: Mapping[str, Any]) -> None:
        with tenant_tx(self.tenant_id):
            self.claim.hold()
            Export.objects.filter(tenant_id=self.tenant_id, pk=self.claim.id).update(
                state=Export.State.DONE, claimed_until=None, token=None, finished_at=Now(), bytes=self.size,
                digest=self.sum.hexdigest(), manifest=manifest, expires_at=timezone.now() + KEPT,
            )  # fmt: skip
            event = AuditEvent(tenant_id=self.tenant_id, actor="system:export", verb="data.export")
            event.target, event.detail = f"export:{self.claim.id}", {"digest": self.sum.hexdigest(), "what": "made"}
            record(event)


def _rows(one: Records, tenant_id: UUID) -> Iterator[Row]:
    """The rows of a table in the order of its key, a few at a time: fewer where they are large."""
    keys = ", ".join(one.key)
    columns = ", ".join(dict.fromkeys(["id", *one.shown, *one.key]))
    statement = f"SELECT {columns} FROM {one.table} WHERE {one.tenant} = %s"
    last: tuple[Any, ...] | None = None
    most = 8
    while True:
        after = f" AND ({keys}) > ({', '.join(['%s'] * len(one.key))})" if last else ""
        with tenant_tx(tenant_id):
            found = list(
                one.model._default_manager.raw(
                    f"{statement}{after} ORDER BY {keys} LIMIT %s", [tenant_id, *(last or ()), most]
                )
            )
        size = 0
        for row in found:
            shown = {column: getattr(row, column) for column in one.shown}
            size += len(repr(shown))
            yield shown
        if len(found) < most:
            return
        last = tuple(getattr(found[-1], name) for name in one.key)
        most = max(1, min(MOST_ROWS, most * 2 if size < MOST_BYTES // 2 else most * MOST_BYTES // (2 * size)))


def _beside(rows: Any, tenant_id: UUID) -> Iterator[Row]:
    with tenant_tx(tenant_id):
        found = list(rows(tenant_id))
    yield from found


def _text(value: Any) -> str:
    """How a value that JSON has no form for is told: times in RFC 3339, bytes in base64, all else as its text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return str(value)
