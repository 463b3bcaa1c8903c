"""An organisation as the vendor sees it: its state, its limits, and whether support may look. Never its content."""

from django.utils.translation import gettext as _

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.limits import requests_of_tenant, runs_of_tenant
from tenants.models import Tenant
from tenants.support import grants_told
from tenants.workshop import customers

from .parts import GrantLine, TenantView


def find_organisation(slug: str, actor: Actor) -> Tenant:
    """One of the customers. Raises NotFound."""
    with actor.present():
        tenant = customers().filter(slug=slug).first()
    if tenant is None:
        raise NotFound(_("There is no such organisation."))
    return tenant


def organisation_view(tenant: Tenant, actor: Actor) -> TenantView:
    """What its page shows."""
    with actor.present():
        grants = [GrantLine(one.reason, one.at, one.until, one.ended) for one in grants_told(tenant)]
    return TenantView(
        slug=tenant.slug, name=tenant.name, since=tenant.created_at, state=tenant.state, reason=tenant.state_reason,
        state_since=tenant.state_at, requests=requests_of_tenant(tenant), runs=runs_of_tenant(tenant), grants=grants,
    )  # fmt: skip
