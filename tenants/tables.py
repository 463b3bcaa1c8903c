"""Migration operations that give a table its isolation: keys led by the tenant, forced policies, grants, partitions.

`makemigrations` writes the CreateModel; the hand that adds a table adds one of these operations below it. A catalogue
test (tests/tenants/test_catalogue.py) and the check at boot refuse a table that has none.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

Grants = Mapping[str, Sequence[str] | None]  # privilege → columns, None for the whole row

READ_WRITE: Grants = {"SELECT": None, "INSERT": None, "UPDATE": None, "DELETE": None}
READ: Grants = {"SELECT": None}

FUNCTIONS = """
CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    IF coalesce(current_setting('app.tenant', true), '') = '' THEN
        RAISE EXCEPTION 'no tenant is set: this query ran outside tenant_tx' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN current_setting('app.tenant')::uuid;
END $$;
CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('app.user', true), '')::uuid $$;
"""
DROP_FUNCTIONS = "DROP FUNCTION app_tenant(); DROP FUNCTION app_user();"


def grant(table: str, role: str, grants: Grants) -> Iterator[str]:
    """Yield the GRANT statements of one role on one table."""
    for privilege, columns in grants.items():
        names = "" if columns is None else f" ({', '.join(columns)})"
        yield f"GRANT {privilege}{names} ON {table} TO {role}"


class _TableOperation(Operation):
    """An operation on the table of a model that exists in the state; nothing changes in the state itself."""

    reversible = True
    reduces_to_sql = True

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave the state as it is: these operations change what the database enforces, not what Django models."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        for statement in self.statements(model):
            schema_editor.execute(statement)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Leave the table to the CreateModel that is undone next."""

    def statements(self, model: type[models.Model]) -> Iterator[str]:
        raise NotImplementedError

    def describe(self) -> str:
        return f"{type(self).__name__} {self.model_name}"


class GlobalTable(_TableOperation):
    """Grant the app and the operator what they need on a table that belongs to no tenant."""

    def __init__(self, model_name: str, *, app: Grants = READ, operator: Grants = READ) -> None:
        super().__init__(model_name)
        self.app, self.operator = app, operator

    def statements(self, model: type[models.Model]) -> Iterator[str]:
        yield from grant(model._meta.db_table, "bespoke_app", self.app)
        yield from grant(model._meta.db_table, "bespoke_operator", self.operator)


class OperatorGrant(_TableOperation):
    """Grant the operator more columns of a tenant's table; `first` where it had none, and so no policy, until now."""

    def __init__(self, model_name: str, grants: Grants, *, first: bool = False) -> None:
        super().__init__(model_name)
        self.grants, self.first = grants, first

    def statements(self, model: type[models.Model]) -> Iterator[str]:
        table = model._meta.db_table
        if self.first:
            yield _operator_policy(table)
        yield from grant(table, "bespoke_operator", self.grants)


def _operator_policy(table: str) -> str:
    return f"CREATE POLICY {table}_operator ON {table} TO bespoke_operator USING (true) WITH CHECK (true)"


class TenantTable(_TableOperation):
    """Turn a fresh table into a tenant's: (tenant_id, id) as its key, foreign keys led by the tenant, forced policies.

    `operator` names the columns that the vendor may touch, which are never the ones with content. With `partitioned`
    the table is made again, partitioned by range of `id` (UUIDv7 carries the time), with a first default partition.
    `of_user` adds a SELECT condition for `user_tx`.
    """

    def __init__(
        self,
        model_name: str,
        *,
        app: Grants = READ_WRITE,
        operator: Grants | None = None,
        key: str = "tenant_id",
        partitioned: str = "",
        primary_key: Sequence[str] = ("tenant_id", "id"),
        of_user: str = "",
    ) -> None:
        super().__init__(model_name)
        self.app, self.operator, self.key = app, operator or {}, key
        self.partitioned, self.primary_key, self.of_user = partitioned, primary_key, of_user

    def statements(self, model: type[models.Model]) -> Iterator[str]:
        table = model._meta.db_table
        if self.partitioned:
            yield from self._partition(table)
        elif self.key == "tenant_id":
            columns = ", ".join(self.primary_key)
            yield f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY ({columns})"
        yield from self._foreign_keys(model)
        yield from self._policies(table)
        yield from grant(table, "bespoke_app", self.app)
        yield from grant(table, "bespoke_operator", self.operator)

    def _partition(self, table: str) -> Iterator[str]:
        yield f"ALTER TABLE {table} RENAME TO {table}_plain"
        yield (
            f"CREATE TABLE {table} (LIKE {table}_plain INCLUDING DEFAULTS INCLUDING CONSTRAINTS,"
            f" PRIMARY KEY ({', '.join(self.primary_key)})) PARTITION BY RANGE ({self.partitioned})"
        )
        yield f"DROP TABLE {table}_plain"
        yield f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT"

    def _foreign_keys(self, model: type[models.Model]) -> Iterator[str]:
        table = model._meta.db_table
        for field in model._meta.local_fields:
            remote: Any = field.remote_field.model if isinstance(field, models.ForeignKey) else None
            if remote is None:
                continue
            there, led = remote._meta.db_table, any(f.column == "tenant_id" for f in remote._meta.local_fields)
            if not (led or field.column == "tenant_id"):
                continue  # a global table's key, which Django made
            columns, keys = (f"tenant_id, {field.column}", "tenant_id, id") if led else ("tenant_id", "id")
            yield f"ALTER TABLE {there} NO FORCE ROW LEVEL SECURITY"  # as tenant_rows: or the check below would raise
            yield (
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_{field.column}_of_tenant"
                f" FOREIGN KEY ({columns}) REFERENCES {there} ({keys})"
            )
            yield f"ALTER TABLE {there} FORCE ROW LEVEL SECURITY"

    def _policies(self, table: str) -> Iterator[str]:
        mine = f"{self.key} = (SELECT app_tenant())"
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        if self.partitioned:
            yield f"ALTER TABLE {table}_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        yield f"CREATE POLICY {table}_tenant ON {table} TO bespoke_app USING ({mine}) WITH CHECK ({mine})"
        if self.operator:
            yield _operator_policy(table)
        if self.of_user:
            yield f"CREATE POLICY {table}_user ON {table} FOR SELECT TO bespoke_app USING ({self.of_user})"


@contextmanager
def tenant_rows(schema_editor: BaseDatabaseSchemaEditor, table: str) -> Iterator[None]:
    """Let a migration read, write or validate every tenant's rows of one table, within its transaction.

    Under forced policies the owner would silently touch no rows, and a constraint over violating rows would be
    accepted; `row_security=off` on the owner's connection makes both raise (tenants/apps.py sees to that), and this
    opens the table on purpose. Raises RuntimeError outside a transaction, whose end could leave it open.
    """
    if not schema_editor.connection.in_atomic_block:
        raise RuntimeError(f"{table} is opened within a transaction only: its migration must be atomic")
    schema_editor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield  # and if that raises, the transaction is rolled back, this with it
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or what waits for COMMIT would keep the table from closing
    schema_editor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
