"""What an audit's events name, by name: one statement for each kind of thing that occurs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Model

from tenants.actor import Actor
from tenants.isolation import OPERATOR
from tenants.models import (
    ApiKey,
    Approval,
    AuditEvent,
    Invitation,
    Member,
    Operator,
    ProviderKey,
    Subject,
    Tenant,
    VendorAuditEvent,
    Webhook,
)
from tenants.workshop import customers

from .models import Feature, ModelTarget, Rollout

BOTH = (Feature,)
OF_A_TENANT: Sequence[type[Model]] = (*BOTH, Member, Subject, Invitation, ApiKey, ProviderKey, Webhook)
OF_THE_VENDOR: Sequence[type[Model]] = (*BOTH, Rollout, ModelTarget, Tenant, Operator, Approval)
Event = AuditEvent | VendorAuditEvent
WITH: Mapping[type[Model], Sequence[str]] = {Member: ("user",), Operator: ("user",), Rollout: ("feature",)}


# What the ids in a detail can be of. A member's subject has the member's id.
IN_DETAILS: Mapping[str, Sequence[str]] = {
    "member": ("member",), "subject": ("member", "subject"), "subjects": ("member", "subject"),
    "from": ("member", "subject"), "to": ("member", "subject", "apikey"), "key": ("apikey", "providerkey"),
    "invitation": ("invitation",), "webhook": ("webhook",), "tenant": ("tenant",), "rollout": ("rollout",),
}  # fmt: skip


def named(events: Iterable[Event], by: Actor) -> dict[str, str]:
    """Names by target (`feature:<id>`) and by id, of what events were done to and of what their details name.

    Of those that have a name and are there, as far as the actor may know them; within the actor's transaction.
    """
    known = {kind.__name__.lower(): kind for kind in (OF_THE_VENDOR if by.tenant is None else OF_A_TENANT)}
    found = {f"tenant:{by.tenant.id}": by.tenant.name} if by.tenant else {}
    asked: dict[str, set[UUID]] = {}
    for kind, id_ in (place for event in events for place in _named_in(event)):
        if kind in known:
            asked.setdefault(kind, set()).add(id_)
    for kind, keys in asked.items():
        for row in _rows(known[kind], by).select_related(*WITH.get(known[kind], ())).filter(pk__in=keys):
            found |= dict.fromkeys((f"{kind}:{row.pk}", str(row.pk)), _name(row))
    return found


def _named_in(event: Event) -> Iterator[tuple[str, UUID]]:
    """Each kind and id that an event may name: who did it, its target, and what its detail holds of ids and labels."""
    yield from _labelled(event.actor)
    yield from _labelled(event.target)
    for name, value in (event.detail or {}).items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield from _labelled(one)
                if id_ := _uuid(one):
                    yield from ((kind, id_) for kind in IN_DETAILS.get(name, ()))


def _labelled(text: str) -> Iterator[tuple[str, UUID]]:
    kind, _colon, key = text.partition(":")
    if id_ := _uuid(key):
        yield kind, id_


def _rows(kind: type[Model], by: Actor) -> Any:
    manager: Any = kind._default_manager
    if kind is Tenant:
        return customers()
    if kind is Subject:  # a member is named by their login, and an organisation by its own name
        return manager.filter(kind=Subject.Kind.EXTERNAL)
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
        case Subject():
            return str(row.key)
        case Webhook():
            return row.description or row.url
    return str(row.name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
