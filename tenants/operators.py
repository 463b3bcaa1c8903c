"""The vendor's staff and their keys."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from .actions import chosen_scopes, refuse_past
from .actor import Actor
from .ids import uuid7
from .isolation import NOBODY, OPERATOR
from .keys import mint
from .models import Operator, OperatorKey


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
