"""What exports and erasures have in common: a row is claimed by a lease, and by another when its worker has died."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections
from django.db.models.functions import Now

from .isolation import APP, OPERATOR, operator_tx, tenant_tx
from .privacy_models import Job

log = structlog.get_logger(__name__)

_CLAIM = """
UPDATE {table} SET state = 'running', token = %(token)s,
    claimed_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE (tenant_id, id) IN (
    SELECT tenant_id, id FROM {table} WHERE state IN ('queued', 'running')
    AND (claimed_until IS NULL OR claimed_until < clock_timestamp()) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING tenant_id, id, token"""
_HOLD = """
UPDATE {table} SET claimed_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE tenant_id = %(tenant)s AND id = %(id)s AND token = %(token)s AND state = 'running'"""
_LET_GO = """
UPDATE {table} SET state = 'queued', token = NULL,
    claimed_until = clock_timestamp() + make_interval(secs => %(pause)s)
WHERE tenant_id = %(tenant)s AND id = %(id)s AND token = %(token)s AND state = 'running'"""

stopping = threading.Event()  # set when this process is to end


class Lost(Exception):
    """Somebody else has the job, or it was taken back: what this process would write of it is void."""


class Stopped(Exception):
    """This process is to end: the job is let go, and another goes on with it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this process has while the token is its own; another may take it when the lease has run out."""

    model: type[Job]
    tenant_id: UUID
    id: UUID
    token: UUID

    def hold(self) -> None:
        """Renew the lease, within the tenant's transaction: what else that one writes counts only while it is ours.

        Raises Lost, and Stopped when this process is to end.
        """
        if stopping.is_set():
            raise Stopped
        with connections[APP].cursor() as cursor:
            cursor.execute(self._sql(_HOLD), self._parameters())
            if not cursor.rowcount:
                raise Lost

    def let_go(self, pause: float = 0) -> None:
        """Give it back, to be claimed again after `pause` seconds."""
        with operator_tx(), connections[OPERATOR].cursor() as cursor:
            cursor.execute(self._sql(_LET_GO), {**self._parameters(), "pause": pause})

    def _sql(self, statement: str) -> str:
        return statement.format(table=self.model._meta.db_table)

    def _parameters(self) -> dict[str, Any]:
        return {"tenant": self.tenant_id, "id": self.id, "token": self.token, "lease": settings.LEASE_SECONDS}


def claim(model: type[Job]) -> Claim | None:
    """Claim the job of a kind that waits longest, one whose worker has died among them; None when there is none."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_CLAIM.format(table=model._meta.db_table), {"lease": settings.LEASE_SECONDS, "token": uuid4()})
        row = cursor.fetchone()
    return None if row is None else Claim(model, *row)


@contextmanager
def carrying(claim: Claim, called: str) -> Iterator[None]:
    """Carry a claimed job out within; `called` names it in the log.

    It is left to another when this process is to end, and to whoever claims it next when the database is away; one that
    is lost is let alone, and one that broke has failed.
    """
    told = {called: str(claim.id)}
    try:
        yield
    except Lost:
        log.warning(f"{called}.lost", **told)
    except Stopped:
        claim.let_go()
    except (OperationalError, InterfaceError) as error:  # it is claimed again when the lease has run out
        log.warning(f"{called}.interrupted", **told, error=type(error).__name__)
    except Exception as error:
        log.exception(f"{called}.failed", **told, error=type(error).__name__)
        with suppress(Lost, Stopped), tenant_tx(claim.tenant_id):
            claim.hold()
            rows = claim.model._default_manager.filter(tenant_id=claim.tenant_id, pk=claim.id)
            rows.update(state=Job.State.FAILED, claimed_until=None, token=None, finished_at=Now())


def each(model: type[Job], do: Callable[[Claim], None]) -> int:
    """Claim and carry out jobs of a kind, one after the other, as long as there are any. Returns how many."""
    count = 0
    while not stopping.is_set() and (claimed := claim(model)):
        count += 1
        do(claimed)
    return count
