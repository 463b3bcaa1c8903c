"""With years of runs in the tables every list, page and beat's task finds its rows by an index: plans, not times.

The tables hold many organisations' runs; what a door or a task really sends is caught and explained, with as many rows
as there are, and again with the planner told that there are ten million. `make slow` makes the ten million, or as many
as PLAN_RUNS says.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client

from benchmarks.generate import fill
from benchmarks.history import TABLES, fill_runs
from features.runs.batch_ends import end_batches
from features.runs.dispatch import claim, free_orphans, take_back
from features.runs.forgetting import delete_old_keys, delete_old_runs, forget_unstored
from features.runs.guards import watch_rollouts
from features.runs.models import Run
from tenants.actor import Actor
from tenants.faults import faults
from tests.cast import Cast
from tests.conftest import Knock
from tests.processes import as_superuser

RUNS, TENANTS, TEN_MILLION = 60_000, 60, 10_000_000
BIG = ("runs_run", "runs_attempt", "runs_ledger", "runs_batch", "runs_idempotencykey")

# As many runs as an organisation has, of Acme and of others; the last months' ids, so that all partitions have some.
FILL = """
SET session_replication_role = replica;
CREATE TEMP TABLE tenant ON COMMIT DROP AS
    SELECT CASE n WHEN 1 THEN %(acme)s::uuid ELSE gen_random_uuid() END AS id, n FROM generate_series(1, %(tenants)s) n;
CREATE TEMP TABLE made ON COMMIT DROP AS
    SELECT t.id AS tenant, CASE s.n %% 3 WHEN 0 THEN %(alice)s::uuid ELSE gen_random_uuid() END AS subject,
           (lpad(to_hex(((extract(epoch FROM clock_timestamp()) - s.n * 60) * 1000)::bigint), 12, '0') || '7'
            || substr(md5(s.n::text), 1, 19))::uuid AS id,
           clock_timestamp() - make_interval(mins => s.n) AS at, s.n
    FROM generate_series(1, %(runs)s) AS s(n) JOIN tenant t ON t.n = s.n %% %(tenants)s + 1;
INSERT INTO runs_run (id, tenant_id, feature_id, subject_id, state, input, output, receipt, now, author, attempts, cost,
        cached, store, input_digest, output_digest, created_at, finished_at, usage, batch, place)
    SELECT id, tenant, %(feature)s, subject, CASE n %% 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END, '{"name":"Ann"}',
           '{"greeting":"Hi"}', '{"base":1,"digest":"d"}', at, 'somebody', 1, 140, false, true, '', '', at, at, '{}',
           CASE n %% 7 WHEN 0 THEN %(batch)s::uuid END, CASE n %% 7 WHEN 0 THEN n END FROM made;
INSERT INTO runs_attempt (id, tenant_id, run, number, kind, target_id, started_at, finished_at, outcome, detail,
        input_tokens, cached_input_tokens, output_tokens, reserved, cost)
    SELECT gen_random_uuid(), tenant, id, 1, 'first', gen_random_uuid(), at, at, 'answered', '', 1, 0, 1, 0, 140
    FROM made;
INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
        malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
        user_tokens)
    SELECT gen_random_uuid(), tenant, id, %(feature)s, subject, at, 'succeeded', false, 'standard', 1, '', 0, false,
           false, 1, 1, 0, 1, 140, 1, 0, 0 FROM made;
INSERT INTO runs_batch (id, tenant_id, feature_id, subject_id, author, receipt, store, fresh, items, refused,
        created_at, finished_at)
    SELECT id, tenant, %(feature)s, subject, 'somebody', '{}', true, false, 1, 0, at, at FROM made;
INSERT INTO runs_idempotencykey (id, tenant_id, caller, key, fingerprint, run, created_at)
    SELECT id, tenant, 'somebody', n::text, '', id, clock_timestamp() - make_interval(secs => n * 1.5) FROM made;
"""


@pytest.fixture
def years(cast: Cast) -> Cast:
    told = {
        "acme": cast.alice.tenant_id, "alice": cast.alice.acting_for().id, "feature": cast.greet.id, "runs": RUNS,
        "tenants": TENANTS, "batch": "01a00000-0000-7000-8000-000000000000",
    }  # fmt: skip
    superuser = as_superuser(os.environ["DATABASE_OWNER_URL"])
    with psycopg.connect(superuser) as connection:
        psycopg.ClientCursor(connection).execute(FILL, told)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"ANALYZE {', '.join(BIG)}")  # type: ignore[arg-type]
    return cast


def tell_the_planner(runs: int) -> None:
    """Set the statistics to those of as many runs; what ANALYZE found of the values stays (PostgreSQL 18).

    The planner takes the pages from the disk and multiplies them with the rows that a page is said to have. So reading
    a whole table looks cheaper to it than it would be: a plan that avoids that here avoids it with the real pages too.
    """
    told = """
        SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', c.relname::text, 'relpages', c.relpages,
                                         'reltuples', (c.reltuples * %s)::real)
        FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE coalesce(i.inhparent, c.oid) = ANY(%s::regclass[]) AND c.reltuples > 0"""
    with psycopg.connect(as_superuser(os.environ["DATABASE_OWNER_URL"]), autocommit=True) as connection:
        connection.execute(told, [runs / RUNS, list(BIG)])
        plan = connection.execute("EXPLAIN SELECT FROM runs_run").fetchone()
    assert plan is not None and rows_of(plan[0]) == pytest.approx(runs, rel=0.1)


def rows_of(line: str) -> int:
    """How many rows a line of a plan expects."""
    return int(line.rpartition("rows=")[2].split()[0])


class Plans:
    """Explains each statement that is sent, in the transaction that sends it."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if any(table in sql for table in BIG) and sql.lstrip().split(None, 1)[0].upper() in (
            "SELECT", "WITH", "UPDATE", "DELETE",
        ):  # fmt: skip
            cursor = context["connection"].connection.cursor()
            cursor.execute(f"EXPLAIN {sql}", params)
            self.seen[sql] = "\n".join(row[0] for row in cursor.fetchall())
        return execute(sql, params, many, context)

    def scans(self, tables: tuple[str, ...] = BIG) -> Iterator[str]:
        for sql, plan in self.seen.items():
            for line in plan.splitlines():
                table = re.search(r"Seq Scan on (\w+)", line)
                if table and table[1].startswith(tables) and not _empty(line):
                    yield f"{line.strip()}\n{sql}\n{plan}"


def _empty(line: str) -> bool:
    """Whether a scan is of a partition that has nothing to be read: a month to come, or the default one."""
    return rows_of(line) <= 1


def explained(work: Callable[[], object]) -> Plans:
    plans = Plans()
    with ExitStack() as stack:
        for alias in ("default", "operator"):
            stack.enter_context(connections[alias].execute_wrapper(plans))
        work()
    return plans


def knocked(cast: Cast, who: Actor, path: str) -> None:
    answer = Knock(cast.key(who), {}).get(path)
    assert answer.status_code == 200, answer.content


def test_every_list_and_page_finds_its_rows_by_an_index(years: Cast) -> None:
    look_at_every_list_and_page(years)
    tell_the_planner(TEN_MILLION)
    look_at_every_list_and_page(years)


def look_at_every_list_and_page(years: Cast) -> None:
    batch, alice, ada = "01a00000-0000-7000-8000-000000000000", years.alice, years.ada
    doors = [
        (who, path)
        for who in (alice, ada)
        for path in (
            "/runs",
            "/runs?feature=greet",
            "/runs?state=failed",
            f"/runs?batch={batch}",
            "/batches",
            "/batches?feature=greet",
        )  # fmt: skip
    ]
    since = "from=2026-01-01T00:00:00Z"
    doors += [(ada, f"/usage?by={by}&{since}") for by in ("feature", "user", "model", "layer", "day")]
    doors += [(ada, "/usage"), (ada, "/budgets")]
    for who, path in doors:
        years.key(who)
        plans = explained(lambda who=who, path=path: knocked(years, who, path))  # type: ignore[misc]
        assert plans.seen or path == "/budgets", path
        assert list(plans.scans()) == [], path
    browser = Client()
    browser.force_login(_login(alice), backend="django.contrib.auth.backends.ModelBackend")
    for page in ("/", "/runs", "/f/greet", "/f/greet/timeline"):
        plans = explained(lambda page=page: browser.get(page))  # type: ignore[misc]
        assert list(plans.scans()) == [], page


def _login(actor: Actor) -> Any:
    from tenants.models import Member

    with actor.present():
        return Member.objects.select_related("user").get(pk=actor.acting_for().id).user


def test_what_beat_does_all_the_time_finds_its_rows_by_an_index(years: Cast) -> None:
    assert Knock(years.key(years.ada), {}).patch("/tenant", {"policy": {"retention_days": 20}}).status_code == 200
    look_at_every_task()
    with years.ada.present():
        assert len(Run.objects.values("id")[:1]) == 1  # those of twenty days are there still
    tell_the_planner(TEN_MILLION)
    look_at_every_task(deletes=False)


def look_at_every_task(tables: tuple[str, ...] = BIG, *, deletes: bool = True) -> None:
    tasks = (
        claim, take_back, free_orphans, end_batches, forget_unstored, delete_old_runs, delete_old_keys, watch_rollouts,
    )  # fmt: skip
    for task in tasks:
        plans = explained(task)
        assert list(plans.scans(tables)) == [], task
        assert task is not delete_old_runs or not deletes or len(plans.seen) >= 4  # it had runs to delete


PEOPLE = """
SET session_replication_role = replica;
INSERT INTO tenants_tenant (id, slug, name, created_at)
    SELECT gen_random_uuid(), 'other-' || n, 'Other ' || n, now() FROM generate_series(1, 1000) n;
INSERT INTO tenants_subject (id, tenant_id, kind, key, created_at)
    SELECT gen_random_uuid(), t.id, 'external', 'u' || n, now() FROM tenants_tenant t, generate_series(1, 6) n;
INSERT INTO tenants_subject (id, tenant_id, kind, key, created_at)
    SELECT gen_random_uuid(), %s, 'external', 'acme ' || n, now() FROM generate_series(1, 100) n;
"""


@pytest.fixture
def past_partitions() -> Iterator[None]:
    """What the generator makes of months that are over goes again: other tests have none."""
    yield
    with psycopg.connect(as_superuser(os.environ["DATABASE_OWNER_URL"]), autocommit=True) as connection:
        present = connection.execute("SELECT to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM')").fetchone()
        assert present is not None
        for table in TABLES:
            months = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass"
            for (name,) in connection.execute(months).fetchall():  # type: ignore[arg-type]
                if re.search(r"_\d{4}_\d\d$", name) and name < f"{table}{present[0]}":
                    connection.execute(f"DROP TABLE {name}")


def test_the_generator_makes_runs_as_they_would_be_and_goes_on_where_it_was(
    committed: None, past_partitions: None
) -> None:
    fill(features=2, tenants=3, subjects=12)
    for runs in (700, 1000):
        fill_runs(runs)
    superuser = as_superuser(os.environ["DATABASE_OWNER_URL"])
    with psycopg.connect(superuser) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TABLES]  # type: ignore[arg-type]
        alone = """SELECT count(*) FROM runs_run r JOIN runs_attempt a ON (a.tenant_id, a.run) = (r.tenant_id, r.id)
                   JOIN runs_ledger l ON (l.tenant_id, l.run, l.subject) = (r.tenant_id, r.id, r.subject_id)
                   JOIN tenants_subject s ON (s.tenant_id, s.id) = (r.tenant_id, r.subject_id)"""
        assert counts == [(1000,)] * 3 == [connection.execute(alone).fetchone()] * 3
        assert connection.execute("SELECT count(*) FROM runs_run_default").fetchone() == (0,)
    assert list(faults()) == []


@pytest.mark.slow
def test_every_list_and_page_finds_its_rows_by_an_index_among_ten_million(cast: Cast, past_partitions: None) -> None:
    runs = int(os.environ.get("PLAN_RUNS", TEN_MILLION))
    with psycopg.connect(as_superuser(os.environ["DATABASE_OWNER_URL"])) as connection:
        psycopg.ClientCursor(connection).execute(PEOPLE, [cast.ada.tenant_id])
    seconds = fill_runs(runs)
    print(f"{runs} runs in {seconds:.0f} s")  # noqa: T201
    look_at_every_list_and_page(cast)
    look_at_every_task(tuple(TABLES), deletes=False)
