"""Everyone who asks is an Actor: a member, a service key acting for a subject, an operator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Protocol
from uuid import UUID

from django.db import transaction

from .audit import record
from .errors import Forbidden, NotFound, Suspended
from .isolation import APP, OPERATOR, operator_tx, tenant_tx
from .models import ApiKey, AuditEvent, Tenant, VendorAuditEvent
from .roles import ALL_SCOPES, OPERATORS, TO, VERBS, WHILE_SUSPENDED, WHO, Role
from .subjects import Who


class Target(Protocol):
    """What an action is done to: any row. One with a tenant_id must be of the actor's tenant."""

    pk: Any


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, in which tenant, for which subject, and what they may do.

    An operator has neither tenant nor subject, and works on the operator's connection.
    """

    kind: Literal["member", "service", "operator", "support"]
    label: str
    role: str
    can: frozenset[str]
    tenant: Tenant | None = None
    subject: Who | None = None
    name: str = ""
    roles: frozenset[str] = frozenset()  # an operator's own
    approved_by: str = ""  # the other operator, where it takes two
    scopes: frozenset[str] = ALL_SCOPES  # what the key is for; all of them for a person who is signed in
    key: ApiKey | None = None  # what is asked with; None for a person who is signed in, and for an operator

    @property
    def db(self) -> str:
        """The database connection that this actor works on."""
        return APP if self.tenant else OPERATOR

    @property
    def credential(self) -> str:
        """What is asked with: the key, or for a person who is signed in who they are. An operator's is the operator."""
        return f"key:{self.key.id}" if self.key else self.label

    @property
    def tenant_id(self) -> UUID:
        """The actor's tenant. Raises Forbidden for an operator, who is in none."""
        return self.in_tenant().id

    def in_tenant(self) -> Tenant:
        """Return the tenant that the actor is in. Raises Forbidden for an operator."""
        if self.tenant is None:
            raise Forbidden("Operators belong to no organisation. Use a member's or a service key.")
        return self.tenant

    def acting_for(self) -> Who:
        """Return the subject that the actor acts for. Raises Forbidden for an operator."""
        if self.subject is None:
            raise Forbidden("Operators have no behavior of their own. Use a member's or a service key.")
        return self.subject

    @property
    def active(self) -> bool:
        """Whether anything may run or change where the actor is. For an operator always."""
        return self.tenant is None or self.tenant.state == Tenant.State.ACTIVE

    def must_be_active(self, ask: str = "") -> None:
        """Raise Suspended while the actor's organisation is suspended or closed; `ask` names who can help."""
        if self.active:
            return
        tenant = self.in_tenant()
        because = f": {tenant.state_reason.rstrip('.')}" if tenant.state_reason else ""
        told = f"{tenant.name} is {tenant.state}{because}. Nothing was deleted."
        raise Suspended(f"{told} Ask {ask or 'its owners'} or the vendor.", state=tenant.state)

    def need(self, verb: str) -> None:
        """Raise Forbidden unless the actor's role has the verb, and Suspended where nothing may run."""
        if verb == "run.create":
            self.must_be_active()
        if verb not in self.can and self.kind == "operator" and verb in VERBS["operator"]:
            self._lacks(verb)
        if verb not in self.can and verb in VERBS.get(self.role, ()):
            raise self._too_narrow(verb)
        if verb not in self.can and self.kind == "operator":
            told = f"Operators belong to no organisation and may not {TO[verb]}. Use a member's or a service key."
            raise Forbidden(told, verb=verb)
        if verb not in self.can:
            raise Forbidden(f"{WHO[self.role]} may not {TO[verb]}. {_who_may(verb, self.role)}", verb=verb)

    def _lacks(self, verb: str) -> NoReturn:
        """Raise Forbidden for an operator, saying whether a role or the key's scopes are in the way."""
        holding = sorted(role for role, verbs in OPERATORS.items() if verb in verbs)
        if self.roles.isdisjoint(holding):
            mine = ", ".join(sorted(self.roles)) or "none"
            told = f"To {TO[verb]} takes the operator's role {' or '.join(holding)}; yours: {mine}."
            raise Forbidden(told, verb=verb)
        raise self._too_narrow(verb)

    def _too_narrow(self, verb: str) -> Forbidden:
        """What to raise for a key whose scopes leave out what its role may."""
        mine = ", ".join(sorted(self.scopes))
        return Forbidden(f"This key may not do this ({verb}): its scopes are {mine}. Use one that has more.", verb=verb)

    @contextmanager
    def present(self) -> Iterator[None]:
        """Open the transaction in which this actor reads."""
        with tenant_tx(self.tenant.id) if self.tenant else operator_tx():
            yield

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Open a transaction of which nothing is kept: what several actions come to, carried out in turn."""
        with self.present():
            yield
            transaction.set_rollback(True, using=self.db)

    @contextmanager
    def doing(self, verb: str, target: Target, *, dry_run: bool = False) -> Iterator[AuditEvent | VendorAuditEvent]:
        """Same tenant, allowed verb, one transaction, one audit row, whose `detail` the action may fill.

        With `dry_run` all of it is carried out and then rolled back, so that a rehearsal is the same code.
        Raises NotFound for another tenant's row, Forbidden for a verb that the role does not have, and Suspended
        where the organisation is not active, but for the verbs of WHILE_SUSPENDED.
        """
        if self.tenant is not None and getattr(target, "tenant_id", self.tenant.id) != self.tenant.id:
            raise NotFound
        self.need(verb)
        if not dry_run and verb not in WHILE_SUSPENDED:
            self.must_be_active()
        with self.present():
            event = AuditEvent(tenant=self.tenant) if self.tenant is not None else VendorAuditEvent()
            event.actor, event.verb = self.label, verb
            event.target = f"{type(target).__name__.lower()}:{target.pk}"
            yield event
            if self.approved_by:
                event.detail = {**event.detail, "approved_by": self.approved_by}
            record(event)
            if dry_run:
                transaction.set_rollback(True, using=self.db)


def _who_may(verb: str, role: str) -> str:
    """What somebody of a role can do about a verb that it does not have."""
    if role == "service" and verb in VERBS["service for a user"]:
        return "Name the user that you act for in the header Bespoke-User."
    holding = [f"{other}s" for other in Role if verb in VERBS[other]]
    if not holding:
        return "Only the vendor may."
    return f"{' and '.join(filter(None, [', '.join(holding[:-1]), holding[-1]]))} may.".capitalize()


def note_for(tenant: Tenant, verb: str, detail: dict[str, Any], *, by: Actor) -> None:
    """Note in an organisation's own audit what the vendor does to it, at the end of the vendor's transaction."""
    with tenant_tx(tenant.id):
        record(AuditEvent(tenant=tenant, actor=by.label, verb=verb, target=f"tenant:{tenant.pk}", detail=detail))


def note_for_vendor(tenant: Tenant, verb: str, detail: dict[str, Any], *, by: Actor) -> None:
    """Note in the vendor's audit what an organisation does that concerns it."""
    with operator_tx():
        record(VendorAuditEvent(actor=by.label, verb=verb, target=f"tenant:{tenant.pk}", detail=detail))
