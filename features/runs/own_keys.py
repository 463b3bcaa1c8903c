"""Runs on a tenant's own key for a provider: found anew before each call, so that a revoked one is not used again."""

from typing import Literal
from uuid import UUID

from features.models import ModelTarget
from tenants.isolation import tenant_tx
from tenants.provider_keys import Credential, credential_for, note_refused

from .dispatch import let_go
from .flow import ProviderFailed


def own_key(tenant_id: UUID, target: ModelTarget) -> Credential | None:
    """The tenant's own key for a target's provider, None where it has none; within the tenant's transaction.

    Raises ProviderFailed for one that cannot be read: the vendor's key is no substitute that anybody asked for.
    """
    own = credential_for(tenant_id, target.provider)
    if own is not None and own.secret is None:
        told = f"Enter your key {own.name} (…{own.last_four}) for {own.provider} anew, or revoke it."
        raise ProviderFailed("key_unreadable", told, called=False)
    return own


def refused(tenant_id: UUID, own: Credential) -> None:
    """Note for the tenant's admins that the provider said that their key is not good."""
    try:
        with tenant_tx(tenant_id):
            note_refused(tenant_id, own.id)
    finally:
        let_go()


def fate(target: ModelTarget, own: Credential | None) -> tuple[UUID | Literal["vendor"], str, str]:
    """Whose calls share a fate, and a breaker: those with the same credential, to the same provider and model."""
    return (own.id if own else "vendor", target.provider, target.model)
