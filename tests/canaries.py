"""Canaries: a word in every column of every tenant's table, driven by the registry that export and erasure go by."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.contrib.postgres.fields import ArrayField
from django.db import connections, models
from django.utils import timezone
from psycopg import sql
from psycopg.types.json import Jsonb

from features.models import Feature, ModelTarget, OrderedJSONField
from features.runs.models import Ledger, Queued, Run
from tenants.ids import uuid7
from tenants.models import ApiKey, AuditEvent, AuditHead, Member, Subject, Tenant, User
from tenants.privacy_models import Erasure, Export
from tenants.records import Records, registry
from tests.processes import as_superuser

MADE_OTHERWISE = (Tenant, Subject, AuditEvent, AuditHead, Erasure)
SECOND = {"valid_to": 2, "until": 2, "expires_at": 2, "previous_until": 2}  # days from now: these end after they began


def superuser() -> psycopg.Connection[Any]:
    """The database as nobody in the product sees it, past every policy."""
    settings = connections["owner"].settings_dict
    url = f"postgresql://bespoke_owner@/{settings['NAME']}?host={settings['HOST']}"
    return psycopg.connect(as_superuser(url), autocommit=True)


def word(name: str, model: type[models.Model], column: str) -> str:
    """The canary of one column."""
    return f"{name}.{model.__name__}.{column}"


class Seeder:
    """Puts one row of a tenant, and of a subject if the table has one, into every table."""

    def __init__(self, db: psycopg.Connection[Any], feature: Feature, target: ModelTarget) -> None:
        self.db, self.feature, self.target = db, feature, target

    def seed(self, name: str, tenant: UUID, subject: UUID, *, member: bool = False, shared: bool = True) -> None:
        """`shared`: also the tables whose rows belong to no subject. Rows with parents come after them."""
        made: dict[type[models.Model], UUID] = {}
        for one in reversed(registry()):
            of_subject = bool(one.subject or one.follows)
            if one.model in MADE_OTHERWISE or not (of_subject or shared):
                continue
            if one.follows and one.follows[0][0] not in made:
                continue
            if one.model in (Member, ApiKey) and not member:
                continue
            made[one.model] = self._row(one, name, tenant, subject, made)

    def _row(self, one: Records, name: str, tenant: UUID, subject: UUID, made: dict[type[models.Model], UUID]) -> UUID:
        row = {f.attname: self._value(f, word(name, one.model, f.column)) for f in one.model._meta.local_fields}
        row |= {"id": uuid7(), "tenant_id": tenant}
        for column in one.model._meta.local_fields:
            there = column.remote_field.model if isinstance(column, models.ForeignKey) else None
            if there in made:
                row[column.attname] = made[there]
            elif there is User:
                row[column.attname] = self._login(name)
        if one.subject:
            row[one.subject] = subject
        for there, column in one.follows[:1]:
            row[column] = made[there]
        if one.model is Ledger:
            row["run"] = uuid7()  # of a run that has ended before
        if one.model is Run:
            row["receipt"] = Jsonb({"base": 1, "canary": word(name, Run, "receipt"), "model_target": None})
        if one.model is Queued:
            row |= {"token": None, "follows": None, "reserved": None}
        if one.model in (Export,):
            row |= {"state": "done", "token": None, "claimed_until": None}
        columns = sql.SQL(", ").join(map(sql.Identifier, row))
        places = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(one.table), columns, places)
        self.db.execute(statement, list(row.values()))
        return row["id"]

    def _login(self, name: str) -> UUID:
        login = User.objects.create_user(f"{name}@{name}.example".lower(), "a long password", name=f"{name}.login")
        return login.id

    def _value(self, column: Any, canary: str) -> Any:
        if isinstance(column, models.ForeignKey):
            there = column.remote_field.model
            return {Feature: self.feature.id, ModelTarget: self.target.id}.get(there)
        if isinstance(column, OrderedJSONField):
            return json.dumps({"canary": canary})
        if isinstance(column, models.JSONField) and column.default is list:
            return Jsonb([])  # of ids
        if isinstance(column, models.JSONField):
            return Jsonb({"canary": canary})
        if isinstance(column, ArrayField):
            return [canary] if isinstance(column.base_field, models.CharField) else []
        if column.choices:
            return column.choices[0][0]
        if isinstance(column, models.CharField | models.TextField):
            return canary[: column.max_length]
        if isinstance(column, models.BinaryField):
            return canary.encode()[: column.max_length]
        if isinstance(column, models.DateTimeField | models.DateField):
            return timezone.now() + timedelta(days=SECOND.get(column.name, 0))
        if isinstance(column, models.UUIDField):
            return uuid7()
        return False if isinstance(column, models.BooleanField) else 1


def everything(db: psycopg.Connection[Any]) -> Iterator[tuple[str, str]]:
    """Every row of every table as text, with its table."""
    for table in tables(db):
        for (row,) in db.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))).fetchall():
            yield table, row


def tables(db: psycopg.Connection[Any]) -> list[str]:
    """Every table but partitions, which are read through their parent."""
    rows = db.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    return [row[0] for row in rows]


def found(db: psycopg.Connection[Any], text: str) -> set[str]:
    """The tables in which a text is anywhere, as text or in bytes."""
    forms = (text, text.encode().hex())
    return {table for table, row in everything(db) if any(form in row for form in forms)}


def digest_of(db: psycopg.Connection[Any], tenant: UUID) -> dict[str, str]:
    """A digest of all rows of a tenant, by table."""
    digests = {}
    for one in registry():
        statement = sql.SQL(
            "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} t WHERE {} = %s"
        )
        query = statement.format(sql.Identifier(one.table), sql.Identifier(one.tenant))
        digests[one.table] = db.execute(query, [tenant]).fetchone()[0]  # type: ignore[index]
    return digests
