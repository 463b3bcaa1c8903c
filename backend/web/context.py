"""What stands around every page: the menu, the person, their organisations."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from backend.actors import memberships
from features.overview import features_by_title
from features.runs.suggest import CUSTOMIZE
from features.waiting import staying_behind
from tenants.actor import Actor
from tenants.models import User

from .parts import MenuFeature, MenuTenant, Shell
from .words import role_word


def shell(request: HttpRequest) -> dict[str, object]:
    """The context processor. Nothing is read until a template asks: sign-in, errors and most parts never do."""
    return {"shell": SimpleLazyObject(lambda: _shell(request))}


def _shell(request: HttpRequest) -> Shell:
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
        features=_menu(actor),
        tenants=_tenants(request, actor),
        admin="override.tenant" in actor.can,
        standstill="" if actor.active else actor.tenant.state,
    )


def _menu(actor: Actor) -> list[MenuFeature]:
    with actor.present():
        features = [one for one in features_by_title(actor) if one.key != CUSTOMIZE]
        behind = staying_behind(actor, features)
    return [MenuFeature(f.key, f.title, behind.get(f.id) == "pin", behind.get(f.id) == "held") for f in features]


def _tenants(request: HttpRequest, actor: Actor) -> list[MenuTenant]:
    if not isinstance(request.user, User):
        return []
    mine = memberships(request.user)
    return [MenuTenant(str(m.tenant_id), m.tenant.name, m.tenant_id == actor.tenant_id) for m in mine]
