"""Erases a subject, or a whole organisation: by the registry, in small pieces, begun again wherever it broke off.

Each step finds by itself what is left to do, so carrying an erasure out twice changes nothing. What is erased is
counted in the transaction that erases it. The report's digest stands in the audit's chain: it cannot be changed later.
"""

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import rfc8785
import structlog
from django.conf import settings
from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from .audit import record
from .export import delete_file
from .isolation import APP, NOBODY, OPERATOR, operator_tx, tenant_tx
from .jobs import Claim, carrying
from .logins import anonymise
from .models import AuditEvent, Invitation, Member, Subject
from .privacy_models import Erasure, Export
from .records import ELSEWHERE, LETTING_GO, Records, Whose, registry
from .subjects import MEMBER_PREFIX

log = structlog.get_logger(__name__)

FORMAT = 1
PIECE = 500  # rows that one transaction deletes, beside those that go with them
WIDE = 20_000  # rows that one transaction looks through for those that stay and are changed
PAUSE = 1.0  # seconds until it is looked whether what runs has stopped

# Rows of one table, some at a time; {which} says which.
_SOME = "SELECT {key} FROM {table} WHERE {tenant} = %(tenant)s AND {which} LIMIT %(piece)s"
_DELETE = "DELETE FROM {table} WHERE {tenant} = %(tenant)s AND {key} = ANY(%(keys)s) AND {which}"
_UNTIL = """
SELECT {key} FROM (
    SELECT {key} FROM {table} WHERE {tenant} = %(tenant)s AND {key} > %(after)s ORDER BY {key} LIMIT %(wide)s
) piece ORDER BY {key} DESC LIMIT 1"""
_CHANGE = """
UPDATE {table} SET {changes}
WHERE {tenant} = %(tenant)s AND {which} AND {key} > %(after)s AND {key} <= %(until)s"""


class _NotYet(Exception):
    """Something is under way still: look again in a moment."""


def carry_out(claim: Claim) -> None:
    """Carry a claimed erasure out, as far as can be now; what is left is gone on with by whoever claims it next."""
    with carrying(claim, "erasure"):
        try:
            _Erasing(claim).go()
        except _NotYet:
            claim.let_go(PAUSE)


class _Erasing:
    """One erasure being carried out."""

    def __init__(self, claim: Claim) -> None:
        self.claim, self.tenant_id = claim, claim.tenant_id
        with tenant_tx(self.tenant_id):
            self.row = Erasure.objects.get(tenant_id=self.tenant_id, pk=claim.id)
        label = f"{MEMBER_PREFIX}{self.row.subject}" if self.row.kind == Subject.Kind.MEMBER else ""
        self.whose = Whose(self.tenant_id, self.row.subject, label)
        self.whole, self.subject = self.row.subject is None, self.row.subject or NOBODY

    def go(self) -> None:
        tables = registry()  # first: what stops what is under way is listed with the tables
        self._let_go()
        self._delete_exports()
        self._close_logins()
        for one in tables:
            self._erase(one)
        for elsewhere in ELSEWHERE:
            found = elsewhere(self.whose)
            with tenant_tx(self.tenant_id):
                self._count(found)
        self._end()

    def _let_go(self) -> None:
        """Stop what is under way for them; a worker that has begun is waited for."""
        with tenant_tx(self.tenant_id):
            self.claim.hold()
        stopped = [stop(self.whose) for stop in LETTING_GO]
        if not all(stopped):
            raise _NotYet

    def _delete_exports(self) -> None:
        """Exports that were made before hold them still."""
        with tenant_tx(self.tenant_id):
            self.claim.hold()
            for export_id in Export.objects.filter(tenant_id=self.tenant_id).values_list("id", flat=True):
                delete_file(self.tenant_id, export_id)

    def _close_logins(self) -> None:
        """Anonymise the logins of members who are nobody elsewhere."""
        after = NOBODY
        while True:
            with tenant_tx(self.tenant_id):
                self.claim.hold()
                rows = Member.objects.filter(tenant_id=self.tenant_id, pk__gt=after).order_by("pk")
                rows = rows if self.whole else rows.filter(pk=self.subject)
                members = list(rows.values_list("pk", "user_id", "user__email")[:PIECE])
            for pk, user_id, email in members:
                after = pk
                with tenant_tx(self.tenant_id):
                    self.claim.hold()
                    asked = Invitation.objects.filter(tenant_id=self.tenant_id, email__iexact=email)
                    self._count({"tenants_invitation": asked.delete()[0]})
                done = anonymise(user_id, leaving=self.tenant_id)
                with tenant_tx(self.tenant_id):
                    self.claim.hold()
                    self._count({"logins anonymised": int(done)})
            if len(members) < PIECE:
                return

    def _erase(self, one: Records) -> None:
        if one.model is Subject and not self.whole:
            return  # at the very end, with a look whether anything came meanwhile
        which = _which(one, self.whole)
        if which is None:
            return
        stays = one.stays if self.whole else one.kept
        if not stays:
            self._delete(one, which)
        elif one.instead:
            self._change(one, which)

    def _delete(self, one: Records, which: str) -> None:
        names = _names(one, which)
        while True:
            with tenant_tx(self.tenant_id):
                self.claim.hold()
                with _role(one), connections[one.role].cursor() as cursor:
                    parameters: dict[str, Any] = {"tenant": self.tenant_id, "subject": self.subject, "piece": PIECE}
                    cursor.execute(_SOME.format(**names), parameters)
                    keys = list({row[0] for row in cursor.fetchall()})
                    counts = {}
                    for table, column in _following(one):
                        followers = {**names, "table": table, "key": column, "which": "true"}
                        cursor.execute(_DELETE.format(**followers), {**parameters, "keys": keys})
                        counts[table] = cursor.rowcount
                    cursor.execute(_DELETE.format(**names), {**parameters, "keys": keys})
                    counts[one.table] = cursor.rowcount
                self._count(counts)
            if one.gone is not None and keys:
                one.gone(self.tenant_id, keys)
            if not keys:
                return

    def _change(self, one: Records, which: str) -> None:
        """Take out of rows that stay what leads to somebody."""
        changes = ", ".join(f"{column} = {value}" for column, value in one.instead.items())
        names, pseudonym = {**_names(one, which), "changes": changes}, uuid4()
        after = NOBODY
        while True:
            with tenant_tx(self.tenant_id):
                self.claim.hold()
                with _role(one), connections[one.role].cursor() as cursor:
                    parameters: dict[str, Any] = {
                        "tenant": self.tenant_id, "subject": self.subject, "pseudonym": pseudonym,
                        "after": after, "wide": WIDE,
                    }  # fmt: skip
                    cursor.execute(_UNTIL.format(**names), parameters)
                    row = cursor.fetchone()
                    if row is None:
                        return
                    [after] = row
                    cursor.execute(_CHANGE.format(**names), {**parameters, "until": after})
                    changed = cursor.rowcount
                self._count({f"{one.table} kept": changed})

    def _count(self, counts: Mapping[str, int]) -> None:
        """Add to the report's counts, within the tenant's transaction."""
        row = Erasure.objects.select_for_update().get(tenant_id=self.tenant_id, pk=self.claim.id)
        counted = row.report.setdefault("counts", {})
        for name, count in counts.items():
            counted[name] = counted.get(name, 0) + count
        Erasure.objects.filter(tenant_id=self.tenant_id, pk=row.pk).update(report=row.report)

    def _end(self) -> None:
        """Delete the subject itself if nothing came meanwhile, and sign the erasure off."""
        with tenant_tx(self.tenant_id):
            self.claim.hold()
            if not self.whole:
                list(Subject.objects.select_for_update().filter(pk=self.subject))  # nothing new refers to it now
                if any(self._is_left(one) for one in registry()):
                    raise _NotYet
                deleted, _ = Subject.objects.filter(pk=self.subject).delete()
                self._count({Subject._meta.db_table: deleted})
            row = Erasure.objects.get(tenant_id=self.tenant_id, pk=self.claim.id)
            report = report_of(row, timezone.now())
            digest = hashlib.sha256(rfc8785.dumps(report)).hexdigest()
            Erasure.objects.filter(tenant_id=self.tenant_id, pk=row.pk).update(
                state=Erasure.State.DONE,
                claimed_until=None,
                token=None,
                finished_at=Now(),
                report=report,
                digest=digest,
            )
            event = AuditEvent(tenant_id=self.tenant_id, actor="system:erasure", verb="subject.erase")
            event.target, event.detail = f"erasure:{row.id}", {"what": "done", "report": digest}
            record(event)
        log.info("erasure.done", tenant=str(self.tenant_id), erasure=str(row.id), subject=str(row.subject))

    def _is_left(self, one: Records) -> bool:
        which = _which(one, whole=False)
        if which is None or one.model is Subject or one.kept:
            return False
        with connections[APP].cursor() as cursor:
            parameters: dict[str, Any] = {"tenant": self.tenant_id, "subject": self.subject, "piece": 1}
            cursor.execute(_SOME.format(**_names(one, which)), parameters)
            return cursor.fetchone() is not None


def report_of(row: Erasure, finished: datetime) -> dict[str, Any]:
    """The report of an erasure: whose, counts by table, what is kept and why, and when backups have aged out.

    Holds ids, counts and reasons only.
    """
    whole = row.subject is None
    kept = {one.table: one.stays if whole else one.kept for one in registry()}
    until = (finished + timedelta(days=settings.BACKUP_DAYS)).date()
    return {
        "format": FORMAT, "erasure": str(row.id), "organisation": str(row.tenant_id), "of": row.kind,
        "subject": None if whole else str(row.subject), "asked_by": row.author,
        "asked": row.created_at.isoformat(), "finished": finished.isoformat(),
        "counts": row.report.get("counts", {}),
        "kept": {table: why for table, why in kept.items() if why},
        "backups": f"Backups made before hold it until {until.isoformat()} at the latest.",
    }  # fmt: skip


def _role(one: Records) -> AbstractContextManager[None]:
    """The operator's work is committed by itself before it is counted, or this process would wait for itself."""
    return operator_tx() if one.role == OPERATOR else nullcontext()


def _which(one: Records, whole: bool) -> str | None:
    """Which rows of a table are meant; None: none of them."""
    if whole:
        return "true"
    return f"{one.subject} = %(subject)s" if one.subject else None


def _names(one: Records, which: str) -> dict[str, str]:
    return {"table": one.table, "tenant": one.tenant, "key": one.key[0], "which": which}


def _following(one: Records) -> list[tuple[str, str]]:
    """The tables whose rows go with those of another, and their column that names it."""
    return [(other.table, column) for other in registry() for there, column in other.follows if there is one.model]
