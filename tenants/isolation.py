"""The one way into the database for a tenant, for a person between tenants, and for the vendor's own work.

Row level security is forced on every tenant table and its policy calls `app_tenant()`, which raises while no tenant is
set (docs/decisions/0001). So a query outside `tenant_tx` is an error, never another tenant's rows and never zero rows.
"""

from collections.abc import Iterator, Mapping
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
    with transaction.atomic(using=OPERATOR):
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


@contextmanager
def _scoped(scope: str, values: dict[str, str]) -> Iterator[None]:
    connection: BaseDatabaseWrapper = connections[APP]
    inside: str | None = getattr(connection, "bespoke_scope", None)
    if inside is not None and inside != scope:
        raise CrossedTenants(f"{scope} inside the transaction of {inside}")
    if inside is not None:
        with transaction.atomic(using=APP):
            yield
        return
    with transaction.atomic(using=APP, durable=True):
        with connection.cursor() as cursor:
            columns = ", ".join("set_config(%s, %s, true)" for _ in values)
            cursor.execute(f"SELECT {columns}", [part for pair in values.items() for part in pair])
        connection.bespoke_scope = scope  # type: ignore[attr-defined]
        connection.bespoke_unsettled = False  # type: ignore[attr-defined]  # nothing written (features.validity)
        try:
            yield
        finally:
            connection.bespoke_scope = None  # type: ignore[attr-defined]
