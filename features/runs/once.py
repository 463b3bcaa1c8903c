"""What is asked with an Idempotency-Key is done once: the same request with the same key gets the first one's answer.

(draft-ietf-httpapi-idempotency-key-header-07.) What is done and its answer are one transaction, so that of a process
which dies in the middle neither is left. Whoever is at it holds an advisory lock, which ends with the transaction or
with the connection: never later. Nothing is kept of what was refused: sent again, it is tried again.

Answers are sealed (tenants/secrets.py): some hold the text of a key, of which else only a hash is kept
(docs/decisions/0013). Runs and batches, whose answer is what has become of them, have promises of their own in the same
table (accept.py, batches.py), so that a key stands for one request whatever it was.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connections, transaction

from tenants.actor import Actor
from tenants.errors import Conflict, Invalid
from tenants.ids import uuid7
from tenants.isolation import NOBODY, OPERATOR, tenant_tx
from tenants.secrets import Unreadable, seal, unseal

from .models import IdempotencyKey, OperatorIdempotencyKey, Promise

ANOTHER = "This Idempotency-Key came with another request before. Use a new key for a new request."
_AT_IT = "A request with this Idempotency-Key is being carried out. Send it again in a moment."
_NO_MORE = (
    "A request with this Idempotency-Key was carried out, and its answer is not kept any more. Look at what is there, "
    "and use a new key for a new request."
)
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


def once(key: str, fingerprint: str, do: Callable[[], str], *, by: Actor) -> tuple[str, bool]:
    """Do what was asked and keep its answer, or return the answer that it got before: (answer, whether it is that).

    `do` works on the actor's connection; what it raises undoes it, and keeps nothing. What an operator does within an
    organisation is another connection's, and so another transaction: it is committed before the answer is.

    Raises Conflict while the same key is being worked on, and for an answer that is not kept any more; Invalid for a
    key that came with another request.
    """
    with by.present():
        _hold(key, by)
        known = _rows(by).filter(caller=by.credential, key=key).first()
        if known is not None:
            return _answer(known, fingerprint, by), True
        answer = do()
        _keep(key, fingerprint, answer, by)
        return answer, False


def forget_answers(tenant_id: UUID) -> None:
    """Put the answers kept in a tenant away, where somebody is erased: any of them may name them."""
    with tenant_tx(tenant_id):
        IdempotencyKey.objects.exclude(answer="").update(answer="")


def _rows(by: Actor) -> Any:
    return IdempotencyKey.objects.all() if by.tenant else OperatorIdempotencyKey.objects.using(OPERATOR)


def _owner(by: Actor) -> UUID:
    return by.tenant.id if by.tenant else NOBODY


def _hold(key: str, by: Actor) -> None:
    with connections[by.db].cursor() as cursor:
        cursor.execute(_LOCK, [f"{_owner(by)} {by.credential} {key}"])
        if not cursor.fetchone()[0]:
            raise Conflict(_AT_IT, headers={"Retry-After": "1"})


def _answer(known: Promise, fingerprint: str, by: Actor) -> str:
    if known.fingerprint != fingerprint:
        raise Invalid(ANOTHER)
    try:
        return unseal(known.answer, tenant_id=_owner(by), row_id=known.pk).reveal()
    except Unreadable:
        raise Conflict(_NO_MORE) from None


def _keep(key: str, fingerprint: str, answer: str, by: Actor) -> None:
    """Raises Invalid where a run or a batch has taken the key meanwhile."""
    row_id = uuid7()
    sealed = seal(answer, tenant_id=_owner(by), row_id=row_id)
    owner = {} if by.tenant is None else {"tenant_id": by.tenant.id, "run": row_id}
    try:
        with transaction.atomic(using=by.db):
            _rows(by).create(id=row_id, caller=by.credential, key=key, fingerprint=fingerprint, answer=sealed, **owner)
    except IntegrityError:
        raise Invalid(ANOTHER) from None
