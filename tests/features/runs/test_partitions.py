"""The big tables by month: what is made ahead, what moves, and what reading one run costs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import ProgrammingError, connections, transaction

from features.runs.accept import accept, find_run
from features.runs.models import Ledger, State
from features.runs.partitions import MONTHS_AHEAD, make_partitions
from features.runs.tasks import retain
from tenants.isolation import APP
from tests.cast import Cast
from tests.fakes.model import FakeModel, greeting
from tests.working import look

BIG = ("runs_run", "runs_attempt", "runs_ledger")


def owner(statement: str) -> list[Any]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def partitions(table: str) -> set[str]:
    return {
        row[0]
        for row in owner(f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass")
    }


def months() -> list[str]:
    now = datetime.now(UTC)
    return [
        f"{now.year + (now.month - 1 + ahead) // 12}_{(now.month - 1 + ahead) % 12 + 1:02}"
        for ahead in range(MONTHS_AHEAD + 1)
    ]


def test_this_month_and_three_more_have_partitions_and_the_default_stays_empty(cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello"))
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    for table in BIG:
        assert partitions(table) == {f"{table}_default", *(f"{table}_{month}" for month in months())}
        key = "id" if table == "runs_run" else "run"
        with cast.alice.present(), connections[APP].cursor() as cursor:
            cursor.execute(f"SELECT tableoid::regclass::text FROM {table} WHERE {key} IS NOT NULL")
            assert {row[0] for row in cursor.fetchall()} == {f"{table}_{months()[0]}"}


def test_what_came_before_its_partition_moves_into_it(cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello"))
    month = months()[0]
    for table in BIG:
        owner(f"DROP TABLE {table}_{month}")
    run = accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    retain()  # as beat does each hour
    found = find_run(run.run_id, cast.alice)
    assert found is not None and found.state == State.SUCCEEDED
    with cast.alice.present(), connections[APP].cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM runs_run WHERE id = %s", [run.run_id])
        assert cursor.fetchone() == (f"runs_run_{month}",)
        assert Ledger.objects.filter(run=run.run_id).count() == 1
    for table in BIG:
        secured = owner(f"SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = '{table}_{month}'")
        assert secured == [(True, True)]
        assert owner(f"SELECT relforcerowsecurity FROM pg_class WHERE relname = '{table}_default'") == [(True,)]
    assert make_partitions() == []


def test_nobody_reads_a_partition_by_itself_and_the_app_makes_none(cast: Cast) -> None:
    for statement in (f"SELECT * FROM runs_run_{months()[0]}", "SELECT make_partition(3)"):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            cast.alice.present(),
            transaction.atomic(using=APP),
            connections[APP].cursor() as cursor,
        ):
            cursor.execute(statement)


def test_a_run_is_looked_up_in_one_partition(cast: Cast) -> None:
    run = accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    with cast.alice.present(), connections[APP].cursor() as cursor:
        cursor.execute(
            "EXPLAIN SELECT * FROM runs_run WHERE tenant_id = %s AND id = %s", [cast.alice.tenant_id, run.run_id]
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert plan.count("Scan") == 1 and f"on runs_run_{months()[0]} " in plan
