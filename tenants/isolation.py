"""The one way into the database for a tenant, for a person between tenants, and for the vendor's own work.

Row level security is forced on every tenant table and its policy calls `app_tenant()`, which raises while no tenant is
set (docs/decisions/0001). So a query outside `tenant_tx` is an error, never another tenant's rows and never zero rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

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
    with _scoped(f"tenant {tenant_id}", {"app.tenant": str(tenant_id)}):
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
