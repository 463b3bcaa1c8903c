"""Customers' own keys for model providers: entered, never shown again, used by their own runs alone."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now

from .actor import Actor
from .errors import Conflict, Invalid, NotFound, Problem
from .ids import uuid7
from .models import ProviderKey
from .outbound import Refused, check_url
from .secrets import Secret, Unreadable, is_readable, seal, unseal

MOST = 20  # live ones of a tenant


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call is made with instead of the vendor's key. `secret` is None where it cannot be read any more."""

    id: UUID
    provider: str
    name: str
    base_url: str  # empty: the provider's own
    last_four: str
    secret: Secret | None


def add_provider_key(*, provider: str, name: str, key: Secret, base_url: str = "", by: Actor) -> ProviderKey:
    """Enter a key of one's own for a provider; it is used from the next call on, instead of an older one.

    Raises Invalid for a provider that is not known, and for an address that may not be called; Conflict for too many.
    """
    tenant = by.in_tenant()
    with by.doing("provider_key.manage", tenant) as event:
        _check(provider, base_url)
        if ProviderKey.objects.filter(revoked_at=None).count() >= MOST:
            raise Conflict(f"There are {MOST} keys already: revoke one that is no longer used.")
        row = ProviderKey(id=uuid7(), tenant=tenant, provider=provider, name=name, base_url=base_url)
        row.sealed = seal(key.reveal(), tenant_id=tenant.id, row_id=row.id)
        row.last_four, row.fingerprint = key.reveal()[-4:], fingerprint_of(key)
        row.created_by = by.label
        row.save(force_insert=True)
        row.refresh_from_db(fields=["created_at"])
        event.detail = {"key": str(row.id), "provider": provider, "own_endpoint": bool(base_url)}
    return row


def revoke_provider_key(key: ProviderKey, *, by: Actor) -> None:
    """End a key: no call is begun with it any more. Ending an ended key changes nothing."""
    with by.doing("provider_key.manage", key) as event:
        ProviderKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())
        event.detail = {"provider": key.provider}


def credential_for(tenant_id: UUID, provider: str) -> Credential | None:
    """The tenant's newest live key for a provider, None where it has none; within the tenant's transaction."""
    row = ProviderKey.objects.filter(tenant_id=tenant_id, provider=provider, revoked_at=None).order_by("-id").first()
    if row is None:
        return None
    try:
        secret = unseal(row.sealed, tenant_id=tenant_id, row_id=row.id)
    except Unreadable:
        secret = None
    return Credential(row.id, row.provider, row.name, row.base_url, row.last_four, secret)


def has_own_key(tenant_id: UUID, provider: str) -> bool:
    """Whether calls to a provider are made with the tenant's own key; within the tenant's transaction."""
    return ProviderKey.objects.filter(tenant_id=tenant_id, provider=provider, revoked_at=None).exists()


def provider_keys_of(actor: Actor) -> list[ProviderKey]:
    """The organisation's provider keys, live ones first, then the newest; within the actor's transaction."""
    rows = ProviderKey.objects.filter(tenant_id=actor.tenant_id).order_by("-id")
    return sorted(rows, key=lambda row: row.revoked_at is not None)


def find_provider_key(key_id: UUID, actor: Actor) -> ProviderKey:
    """One of the organisation's provider keys; NotFound otherwise."""
    with actor.present():
        row = ProviderKey.objects.filter(tenant_id=actor.tenant_id, pk=key_id).first()
    if row is None:
        raise NotFound
    return row


def note_refused(tenant_id: UUID, key_id: UUID) -> None:
    """Remember that the provider said that a key is not good; within the tenant's transaction."""
    ProviderKey.objects.filter(tenant_id=tenant_id, pk=key_id).update(refused_at=Now())


def state_of(row: ProviderKey) -> str:
    """live, revoked, or unreadable: its key is no longer in the ring (docs/secrets.md)."""
    if row.revoked_at is not None:
        return "revoked"
    return "live" if is_readable(row.sealed, tenant_id=row.tenant_id, row_id=row.id) else "unreadable"


def fingerprint_of(key: Secret) -> str:
    """The first 8 digits of a key's SHA-256: to tell which of one's keys it is, too few to find it by."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()[:8]


def _check(provider: str, base_url: str) -> None:
    if provider not in settings.PROVIDERS:
        known = ", ".join(settings.PROVIDERS)
        raise Invalid(
            f"There is no provider {provider}.", errors=[Problem("/provider", "enum", f"must be one of: {known}")]
        )
    if base_url:
        try:
            url = check_url(base_url)
        except Refused as refused:
            told = [Problem("/base_url", "address", str(refused))]
            raise Invalid("This endpoint may not be called.", errors=told) from refused
        if url.query:
            raise Invalid(
                "An endpoint has no query.", errors=[Problem("/base_url", "address", "leave out what follows the ?")]
            )
