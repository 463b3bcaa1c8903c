"""The one registry of what tenants' tables hold: export, erasure and the tests that seed canaries are driven by it.

Each app lists its tables in a module `records`. A table that is not listed, or a column that is neither shown nor left
out with a reason, fails tests/tenants/test_records.py: so nobody adds one without deciding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.utils.module_loading import autodiscover_modules

from .isolation import APP, OPERATOR
from .models import (
    ApiKey,
    AuditEvent,
    AuditHead,
    Delivery,
    Invitation,
    Member,
    ProviderKey,
    Subject,
    SupportGrant,
    Tenant,
    User,
    Webhook,
)
from .privacy_models import Erasure, Export, ExportPiece

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Records:
    """What one table holds, and what becomes of it.

    name: of its file in an export; empty: it is in none. shown: the columns exported. left_out: the others, and why
    (`*`: all of them). subject: the column that says whose a row is; when they are erased it goes, or stays if there is
    a reason `kept`. follows: a row goes with the row of another table whose id is in such a column. stays: why rows
    stay even when the organisation is erased. instead: what columns of a row that stays become (SQL; `%(pseudonym)s` is
    an id that leads to nobody). key: its primary key after the tenant. role: whose connection writes. gone: is told the
    ids of deleted rows, after COMMIT.
    """

    model: type[models.Model]
    name: str
    shown: Sequence[str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    follows: Sequence[tuple[type[models.Model], str]] = ()
    kept: str = ""
    stays: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)
    key: Sequence[str] = ("id",)
    role: str = APP
    gone: Callable[[UUID, Sequence[UUID]], None] | None = None

    @property
    def table(self) -> str:
        """Its name in the database."""
        return self.model._meta.db_table

    @property
    def tenant(self) -> str:
        """The column that says of which tenant a row is."""
        return "id" if self.model is Tenant else "tenant_id"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose data is erased: one subject's, or with None all of a tenant. `label` is who they are as an author."""

    tenant_id: UUID
    subject: UUID | None
    label: str


_listed: dict[type[models.Model], Records] = {}
LETTING_GO: list[Callable[[Whose], bool]] = []  # stops what is under way; False: it has not stopped yet
ELSEWHERE: list[Callable[[Whose], Mapping[str, int]]] = []  # erases in tables that belong to no tenant: rows by table
BESIDE: dict[str, Callable[[UUID], Iterator[Row]]] = {}  # files of an export whose rows are in such tables


def listed(*records: Records) -> None:
    """Add tables to the registry."""
    _listed.update({one.model: one for one in records})


@lru_cache(maxsize=1)
def registry() -> tuple[Records, ...]:
    """Every listed table, each before those that it refers to: so rows can be deleted in this order."""
    autodiscover_modules("records")
    graph = {model: set(_refer_to(model)) for model in _listed}
    return tuple(_listed[model] for model in reversed(list(TopologicalSorter(graph).static_order())))


def _refer_to(model: type[models.Model]) -> Iterator[type[models.Model]]:
    for column in model._meta.local_fields:
        if isinstance(column, models.ForeignKey) and (there := column.remote_field.model) in _listed:
            yield there
    yield from (there for there, _ in _listed[model].follows)


def columns_of(model: type[models.Model]) -> list[str]:
    """The names of a table's columns."""
    return [column.attname for column in model._meta.local_fields]


def _logins(tenant_id: UUID) -> Iterator[Row]:
    """The logins of members: what people see of them, not what opens them."""
    for member in Member.objects.filter(tenant_id=tenant_id).select_related("user").order_by("id").iterator(200):
        yield {"user_id": member.user_id, "email": member.user.email, "name": member.user.name}


_SECRET = "a secret"  # noqa: S105  # why a column is left out
_WORKING = "says which worker has it"
_KEPT_AS_PROOF = "the audit's chain: ids and digests only, and it proves what was done"
_OF_ALL = "is the organisation's, not one person's"

BESIDE["logins"] = _logins
listed(
    Records(
        Tenant, "organisation",
        ["id", "slug", "name", "created_at", "requests_per_minute", "concurrent_runs", "state", "state_reason",
         "state_at", "require_mfa"],
        kept=_OF_ALL, stays="what is kept belongs to it; its name and address are taken out",
        instead={"name": "'Erased'", "slug": "'erased-' || id", "state_reason": "''"}, role=OPERATOR,
    ),
    Records(Subject, "subjects", ["id", "tenant_id", "kind", "key", "created_at"], subject="id"),
    Records(Member, "members", ["id", "tenant_id", "user_id", "role", "created_at", "removed_at"], subject="id"),
    Records(
        ApiKey, "keys",
        ["id", "tenant_id", "kind", "name", "member_id", "created_by", "created_at", "expires_at", "revoked_at",
         "last_used_at", "requests_per_minute", "concurrent_runs", "scopes", "replaced_by"],
        {"secret_hash": _SECRET}, subject="member_id",
    ),
    Records(
        Invitation, "invitations",
        ["id", "tenant_id", "email", "role", "invited_by", "created_at", "sent_at", "expires_at", "accepted_at",
         "revoked_at"],
        {"secret_hash": _SECRET}, kept="an invitation is the organisation's; a member's own goes with the member",
    ),
    Records(
        SupportGrant, "support_access",
        ["id", "tenant_id", "reason", "granted_by", "created_at", "until", "ended_at"], kept=_OF_ALL,
    ),
    Records(
        ProviderKey, "provider_keys",
        ["id", "tenant_id", "provider", "name", "base_url", "created_by", "created_at", "revoked_at", "refused_at"],
        {"sealed": _SECRET, "last_four": _SECRET, "fingerprint": _SECRET}, kept=_OF_ALL,
    ),
    Records(
        Webhook, "webhooks",
        ["id", "tenant_id", "url", "description", "events", "previous_until", "created_by", "created_at",
         "failing_since", "disabled_at", "disabled_why", "deleted_at"],
        {"secret": _SECRET, "previous": _SECRET}, kept=_OF_ALL,
    ),
    Records(
        Delivery, "deliveries",
        ["id", "tenant_id", "webhook_id", "event", "data", "at", "attempts", "due_at", "status", "problem",
         "delivered_at"],
        {"token": "says which process sends it"}, kept="holds ids only, and goes after thirty days",
    ),
    Records(
        AuditEvent, "audit",
        ["id", "tenant_id", "at", "actor", "verb", "target", "detail", "sequence", "digest"],
        kept=_KEPT_AS_PROOF, stays=_KEPT_AS_PROOF,
    ),
    Records(
        AuditHead, "audit_head", ["id", "tenant_id", "sequence", "digest"],
        {"told": "how far the vendor's log has come"}, kept=_KEPT_AS_PROOF, stays=_KEPT_AS_PROOF,
    ),
    Records(
        Export, "exports",
        ["id", "tenant_id", "state", "author", "created_at", "finished_at", "bytes", "digest", "expires_at"],
        {"token": _WORKING, "claimed_until": _WORKING, "manifest": "is in the export itself"},
        kept="ids only; every export that holds their data is deleted",
    ),
    Records(
        ExportPiece, "", [], {"*": "it is the export itself"},
        follows=[(Export, "export_id")], kept="every export that holds their data is deleted",
        key=("export_id", "number"),
    ),
    Records(
        Erasure, "erasures",
        ["id", "tenant_id", "state", "author", "created_at", "finished_at", "kind", "subject", "report", "digest"],
        {"token": _WORKING, "claimed_until": _WORKING}, kept="the proof that they were erased: ids and counts only",
        stays="the proof that it was erased: ids and counts only",
    ),
)  # fmt: skip


def unlisted() -> list[str]:
    """What nobody has decided on, in words: tenants' tables that are not listed, columns neither shown nor left out."""
    registry()
    from .catalogue import models_of_tenants  # which is asked for here alone: it needs every app to be ready

    wrong = [model.__name__ for model in models_of_tenants() if model not in _listed]
    for one in _listed.values():
        if one.name:
            decided = {*one.shown, *one.left_out}
            wrong += [f"{one.model.__name__}.{column}" for column in set(columns_of(one.model)) ^ decided]
        elif "*" not in one.left_out:
            wrong.append(f"{one.model.__name__}: why it is in no export")
        if not (one.subject or one.follows or one.kept):
            wrong.append(f"{one.model.__name__}: what becomes of it when somebody is erased")
    return wrong


def login_tables() -> Iterator[tuple[type[models.Model], str]]:
    """Tables of ours and of libraries that belong to a login and to no tenant: with their column that names it."""
    for model in apps.get_models():
        for column in model._meta.local_fields:
            if isinstance(column, models.ForeignKey) and column.remote_field.model is User and model not in _listed:
                yield model, column.attname
