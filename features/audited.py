"""What an audit's events were done to, by name: one statement for each kind of thing that occurs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Model

from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import ApiKey, Approval, Invitation, Member, Operator, ProviderKey, Tenant, Webhook
from tenants.workshop import customers

from .models import Feature, ModelTarget, Rollout

BOTH = (Feature,)
OF_A_TENANT: Sequence[type[Model]] = (*BOTH, Member, Invitation, ApiKey, ProviderKey, Webhook)
OF_THE_VENDOR: Sequence[type[Model]] = (*BOTH, Rollout, ModelTarget, Tenant, Operator, Approval)
WITH: Mapping[type[Model], Sequence[str]] = {Member: ("user",), Operator: ("user",), Rollout: ("feature",)}


def targets_named(targets: Iterable[str], by: Actor) -> dict[str, str]:
    """Names by target (`feature:<id>`), of those that have one and are there; within the actor's transaction."""
    known = {kind.__name__.lower(): kind for kind in (OF_THE_VENDOR if by.tenant is None else OF_A_TENANT)}
    found = {f"tenant:{by.tenant.id}": by.tenant.name} if by.tenant else {}
    asked: dict[str, set[UUID]] = {}
    for target in targets:
        kind, _colon, key = target.partition(":")
        if kind in known and (id_ := _uuid(key)):
            asked.setdefault(kind, set()).add(id_)
    for kind, keys in asked.items():
        rows = _rows(known[kind], by).select_related(*WITH.get(known[kind], ())).filter(pk__in=keys)
        found |= {f"{kind}:{row.pk}": _name(row) for row in rows}
    return found


def _rows(kind: type[Model], by: Actor) -> Any:
    manager: Any = kind._default_manager
    if kind is Tenant:
        return customers()
    return manager.using(OPERATOR) if by.tenant is None else manager.all()


def _name(row: Any) -> str:
    match row:
        case Feature():
            return row.title
        case Member() | Operator():
            return str(row.user)
        case Invitation():
            return row.email
        case Rollout():
            return f"{row.feature.title} {row.before} → {row.to}"
        case ModelTarget():
            return f"{row.alias} {row.revision}: {row.model}"
        case Approval():
            return f"{row.action} {row.feature}"
        case Webhook():
            return row.description or row.url
    return str(row.name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
