"""The one way into the database for a tenant, for a person between tenants, and for the vendor's own work.

Row level security is forced on every tenant table and its policy calls `app_tenant()`, which raises while no tenant is
set (docs/decisions/0001). So a query outside `tenant_tx` is an error, never another tenant's rows and never zero rows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import ServerBindingCursor

APP, OPERATOR, OWNER = "default", "operator", "owner"
ROLES = {APP: "bespoke_app", OPERATOR: "bespoke_operator", OWNER: "bespoke_owner"}
NOBODY = UUID(int=0)


class CrossedTenants(RuntimeError):
    """Work for one tenant tried to begin inside another's transaction: a bug of ours, never an answer to a caller."""


@contextmanager
def tenant_tx(tenant_id: UUID) -> Iterator[None]:
    """Open the transaction in which the app role sees this tenant's rows and no others.

    The outermost call is durable (it commits when it ends). Inside it the same tenant joins, through a savepoint,
    and another raises CrossedTenants.
    """
    with _scoped(_scope_of(tenant_id), {"app.tenant": str(tenant_id)}):
        yield


@contextmanager
def user_tx(user_id: UUID) -> Iterator[None]:
    """Open a transaction in which the app role sees the memberships of one login, in whatever tenants they are.

    The tenant is set to nobody's, so that the ordinary policies answer with no rows instead of raising.
    """
    with _scoped(f"user {user_id}", {"app.tenant": str(NOBODY), "app.user": str(user_id)}):
        yield


@contextmanager
def operator_tx() -> Iterator[None]:
    """Open a transaction of the operator role: vendor-wide, without the columns that hold customers' content."""
    connection = connections[OPERATOR]
    outermost = not connection.in_atomic_block
    with transaction.atomic(using=OPERATOR), _ending(connection, outermost=outermost):
        yield


# The tenant is set before a row of it is read: what is joined refers to it and OFFSET keeps it a query of its own, so
# that it is carried out after. Were it ever before, `app_tenant()` would raise.
_ALONE = """SELECT found.* FROM set_config('app.tenant', %(tenant)s::text, true) AS app(tenant)
CROSS JOIN LATERAL (SELECT one.* FROM ({}) one WHERE app.tenant <> '' OFFSET 0) found"""


def alone(select: str) -> str:
    """A SELECT as `tenant_row` takes it: one statement that sets the tenant, `%(tenant)s`, and then reads."""
    return _ALONE.format(select)


def tenant_row(tenant_id: UUID, statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The first row of a statement made by `alone`, as the tenant: a transaction of one statement, and one round trip.

    Inside `tenant_tx` it joins. Raises CrossedTenants inside another's.
    """
    inside: str | None = getattr(connections[APP], "bespoke_scope", None)
    if inside is not None and inside != _scope_of(tenant_id):
        raise CrossedTenants(f"{_scope_of(tenant_id)} inside the transaction of {inside}")
    return one_row(statement, {**parameters, "tenant": tenant_id})


def one_row(statement: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The first row that the app role gets for a statement."""
    with bound_cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def bound_cursor() -> Any:
    """A cursor of the app role that sends parameters apart from the statement, as Django's own do not.

    So PostgreSQL can keep the plan of a statement that comes again (BESPOKE_DB_PREPARED); the types of parameters
    must be clear from the statement's text.
    """
    connection: Any = connections[APP]
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return connection._prepare_cursor(ServerBindingCursor(connection.connection))  # type: ignore[call-arg]


def _scope_of(tenant_id: UUID) -> str:
    return f"tenant {tenant_id}"


def before_commit(using: str, work: Callable[[], None]) -> None:
    """Do something last in the present transaction of a connection, just before its COMMIT.

    Not if the transaction is rolled back, or the tenant_tx or operator_tx within it that this was said in. What is done
    last takes its locks last, whatever was done in which order before: so it can wait for nobody who waits for it.
    Raises RuntimeError outside any transaction.
    """
    if not connections[using].in_atomic_block:
        raise RuntimeError("This belongs into tenant_tx or operator_tx: what is done last commits with the rest.")
    _last(connections[using]).append(work)


def _last(connection: BaseDatabaseWrapper) -> list[Callable[[], None]]:
    waiting: list[Callable[[], None]] = connection.__dict__.setdefault("bespoke_last", [])
    return waiting


@contextmanager
def _ending(connection: BaseDatabaseWrapper, *, outermost: bool) -> Iterator[None]:
    waiting = _last(connection)
    mark = len(waiting)
    try:
        yield
        if connection.needs_rollback:  # a rehearsal
            del waiting[mark:]
        if outermost:
            for work in waiting:
                work()
    except BaseException:
        del waiting[mark:]
        raise
    if outermost:
        waiting.clear()


@contextmanager
def _scoped(scope: str, values: dict[str, str]) -> Iterator[None]:
    connection: BaseDatabaseWrapper = connections[APP]
    inside: str | None = getattr(connection, "bespoke_scope", None)
    if inside is not None and inside != scope:
        raise CrossedTenants(f"{scope} inside the transaction of {inside}")
    if inside is not None:
        with transaction.atomic(using=APP), _ending(connection, outermost=False):
            yield
        return
    with transaction.atomic(using=APP, durable=True):
        with connection.cursor() as cursor:
            columns = ", ".join("set_config(%s, %s, true)" for _ in values)
            cursor.execute(f"SELECT {columns}", [part for pair in values.items() for part in pair])
        connection.bespoke_scope = scope  # type: ignore[attr-defined]
        connection.bespoke_unsettled = False  # type: ignore[attr-defined]  # nothing written (features.validity)
        try:
            with _ending(connection, outermost=True):
                yield
        finally:
            connection.bespoke_scope = None  # type: ignore[attr-defined]
