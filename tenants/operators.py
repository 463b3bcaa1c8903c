"""The vendor's staff and their keys."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from .actions import chosen_scopes, refuse_past
from .actor import Actor
from .errors import Invalid, Problem
from .ids import uuid7
from .isolation import NOBODY, OPERATOR
from .keys import mint
from .models import Approval, Operator, OperatorKey
from .roles import ALL_SCOPES, OperatorRole, verbs_of_operator


def create_operator_key(
    operator: Operator, *, name: str, scopes: Collection[str] | None = None, expires_at: datetime | None = None,
    by: Actor,
) -> tuple[OperatorKey, str]:  # fmt: skip
    """Make a key for a member of the vendor's staff. Returns the row and the text, shown once.

    Raises Invalid for an end in the past, and Forbidden for scopes that the key asked with does not have.
    """
    refuse_past(expires_at)
    chosen = chosen_scopes(scopes, by)
    key_id = uuid7()
    text, kept = mint(NOBODY, key_id)
    with by.doing("operator_key.own", operator) as event:
        key = OperatorKey(id=key_id, operator=operator, name=name, secret_hash=kept, expires_at=expires_at)
        key.scopes = chosen
        key.save(using=OPERATOR, force_insert=True)
        key.refresh_from_db(using=OPERATOR, fields=["created_at"])
        event.detail = {"key": str(key_id), "scopes": chosen}
    return key, text


def set_roles(operator: Operator, roles: Collection[str], *, by: Actor) -> None:
    """Say what a member of the vendor's staff may do. Raises Invalid for a role that there is not."""
    if not set(roles) <= set(OperatorRole):
        known = ", ".join(OperatorRole)
        raise Invalid("There is no such role.", errors=[Problem("/roles", "enum", f"must be some of: {known}")])
    with by.doing("operator.manage", operator) as event:
        event.detail = {"from": operator.roles, "to": sorted(roles)}
        operator.roles = [role.value for role in OperatorRole if role in roles]
        operator.save(using=OPERATOR, update_fields=["roles"])


def actor_of_operator(operator: Operator, scopes: Collection[str] = ALL_SCOPES) -> Actor:
    """The actor that a member of the vendor's staff is, with a key of these scopes or signed in."""
    return Actor(
        kind="operator",
        label=f"operator:{operator.id}",
        role="operator",
        can=verbs_of_operator(operator.roles, scopes),
        name=str(operator.user),
        roles=frozenset(operator.roles),
        scopes=frozenset(scopes),
    )


def actor_who_asked(approval: Approval, *, approved_by: str) -> Actor:
    """The operator who asked for something, as they are now, with who has approved it."""
    return replace(actor_of_operator(approval.operator), approved_by=approved_by)


def keys_of_operator(by: Actor) -> QuerySet[OperatorKey]:
    """An operator's own keys."""
    return OperatorKey.objects.using(OPERATOR).filter(operator_id=_id_of(by)).order_by("-id")


def revoke_operator_key(key: OperatorKey, *, by: Actor) -> None:
    """End one's own key at once. Ending an ended key changes nothing."""
    with by.doing("operator_key.own", key):
        keys_of_operator(by).filter(pk=key.pk, revoked_at=None).update(revoked_at=Now())


def oneself(by: Actor) -> Operator:
    """The operator that an actor is."""
    with by.present():
        return Operator.objects.using(OPERATOR).get(pk=_id_of(by))


def _id_of(by: Actor) -> UUID:
    return UUID(by.label.removeprefix("operator:"))
