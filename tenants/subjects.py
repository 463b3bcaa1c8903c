"""Whom behavior is resolved for, as a value: a subject needs no row until something is written for it."""

import unicodedata
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

from .errors import Malformed
from .models import Subject

MEMBER_PREFIX = "member:"


@dataclass(frozen=True, slots=True)
class Who:
    """A subject within a tenant: its id, the key it is called by, and its namespace."""

    id: UUID
    key: str
    kind: Literal["member", "external", "tenant"]

    @property
    def is_tenant(self) -> bool:
        return self.kind == "tenant"


def tenant_itself(tenant_id: UUID) -> Who:
    """The tenant as a subject: it has no user layer."""
    return Who(tenant_id, "", "tenant")


def member_subject(member_id: UUID) -> Who:
    return Who(member_id, f"{MEMBER_PREFIX}{member_id}", "member")


def external_subject(tenant_id: UUID, key: str) -> Who:
    """The subject that a customer calls by its own key (1–200 characters, NFC, no control characters).

    Its id is UUIDv5(tenant, key) (RFC 9562, section 5.5), so that resolving needs no row. Raises Malformed.
    """
    key = unicodedata.normalize("NFC", key)
    if not 1 <= len(key) <= 200 or any(unicodedata.category(c) in ("Cc", "Cs") for c in key):
        raise Malformed("A user's key has 1 to 200 characters and no control characters.")
    if key.startswith(MEMBER_PREFIX):
        raise Malformed(
            f"A user's key may not begin with {MEMBER_PREFIX!r}: that namespace is the dashboard's members'."
        )
    return Who(uuid5(tenant_id, key), key, "external")


def make_sure(tenant_id: UUID, who: Who) -> None:
    """Write the subject's row if it has none yet; within the tenant's transaction."""
    Subject.objects.bulk_create(
        [Subject(id=who.id, tenant_id=tenant_id, kind=who.kind, key=who.key)], ignore_conflicts=True
    )
