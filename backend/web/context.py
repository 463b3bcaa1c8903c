"""What stands around every page: the menu, the person, their organisations."""

from django.utils.functional import SimpleLazyObject

from backend.actors import memberships
from features.overview import Overview
from tenants.actor import Actor

from .pages import PageRequest, features_to_use, overview_of
from .parts import MenuFeature, MenuTenant, Shell
from .words import role_word


def shell(request: PageRequest) -> dict[str, object]:
    """The context processor. Nothing is read until a template asks: sign-in, errors and most parts never do.

    A script runs only with the nonce of its page (CSP Level 3, https://www.w3.org/TR/CSP3/#security-nonces).
    """
    return {"shell": SimpleLazyObject(lambda: _shell(request)), "csp_nonce": getattr(request, "csp_nonce", "")}


def _shell(request: PageRequest) -> Shell:
    actor: Actor | None = getattr(request, "actor", None)
    if actor is None:
        return Shell(person="", role="", tenant="")
    role = role_word(actor.role)
    if actor.tenant is None:
        return Shell(person=actor.name, role=role, tenant="", operator=True)
    return Shell(
        person=actor.name,
        role=role,
        tenant=actor.tenant.name,
        features=_menu(overview_of(request)),
        tenants=_tenants(request, actor),
        admin="override.tenant" in actor.can,
        standstill="" if actor.active else actor.tenant.state,
        why="" if actor.active else actor.tenant.state_reason,
    )


def _menu(overview: Overview) -> list[MenuFeature]:
    features, behind = features_to_use(overview), overview.behind()
    return [MenuFeature(f.key, f.title, behind.get(f.id) == "pin", behind.get(f.id) == "held") for f in features]


def _tenants(request: PageRequest, actor: Actor) -> list[MenuTenant]:
    mine = memberships(request.user)
    return [MenuTenant(str(m.tenant_id), m.tenant.name, m.tenant_id == actor.tenant_id) for m in mine]
