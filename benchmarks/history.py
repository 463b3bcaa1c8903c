"""Fill the big tables with the runs of a year: `python -m benchmarks.generate --runs 10000000` calls this last.

The runs are of the users that there are, spread evenly over the last twelve months, and each has its call and its
ledger row, as if all had been carried out. They are written by the owner, a piece to a transaction, with the forced
policies lifted meanwhile. The months that are over get the partitions that they would have had.
"""

import time
from collections.abc import Callable
from typing import Any

from django.db import connections

TABLES = {"runs_run": "id", "runs_attempt": "run", "runs_ledger": "run"}  # by what each is partitioned
LIFTED = (*TABLES, "tenants_tenant", "tenants_subject")  # the last two for the foreign keys' sake
PIECE = 200_000  # runs to a transaction
AUTHOR = "benchmark"
MONTHS = 12

# The lowest id of a moment, as UUIDv7 has it (RFC 9562, 5.7).
_FLOOR = "(lpad(to_hex((extract(epoch FROM {0}) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid"
_MONTH = f"""
SELECT to_char(m, '_YYYY_MM'), {_FLOOR.format("m")}, {_FLOOR.format("(m + interval '1 month')")}
FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => %s) AS m) x"""

_PEOPLE = """
CREATE TEMP TABLE person AS
    SELECT s.tenant_id AS tenant, s.id AS subject, row_number() OVER () - 1 AS n FROM tenants_subject s;
CREATE UNIQUE INDEX ON person (n);
ANALYZE person;
CREATE TEMP TABLE feature AS SELECT f.id, row_number() OVER () - 1 AS n FROM features_feature f;
ANALYZE feature;
"""
# The n-th of `runs` came at its place in the year; whose it is and of what goes by a hash of n, so that both are mixed.
_MADE = """
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT p.tenant, p.subject, f.id AS feature, t.at, s.n,
       (lpad(to_hex((extract(epoch FROM t.at) * 1000)::bigint), 12, '0') || '7' || substr(md5(s.n::text), 1, 3) || '8'
        || substr(md5(s.n::text), 4, 15))::uuid AS id
FROM generate_series(%(first)s, %(last)s) AS s(n)
CROSS JOIN LATERAL (SELECT now() - interval '1 year' + interval '1 year' * (s.n::float8 / %(runs)s) AS at) t
JOIN person p ON p.n = abs(hashint8(s.n)::bigint) %% %(people)s
JOIN feature f ON f.n = s.n %% %(features)s
"""
_WRITE = """
INSERT INTO runs_run (id, tenant_id, feature_id, subject_id, state, input, output, receipt, now, author, attempts, cost,
        cached, store, input_digest, output_digest, created_at, started_at, finished_at, usage)
    SELECT id, tenant, feature, subject, CASE n % 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END, '{"text":"Hello"}',
           '{"summary":"Hello","next_step":""}', '{"base":1,"digest":"1:none","model_target":{"alias":"standard"}}', at,
           'benchmark', 1, 140, false, true, '', '', at, at, at,
           '{"input_tokens":100,"cached_input_tokens":0,"output_tokens":10}' FROM made;
INSERT INTO runs_attempt (id, tenant_id, run, number, kind, target_id, started_at, finished_at, outcome, detail,
        input_tokens, cached_input_tokens, output_tokens, reserved, cost)
    SELECT gen_random_uuid(), tenant, id, 1, 'first', (SELECT id FROM features_modeltarget LIMIT 1), at, at, 'answered',
           '', 100, 0, 10, 0, 140 FROM made;
INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
        malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
        user_tokens)
    SELECT gen_random_uuid(), tenant, id, feature, subject, at, CASE n % 50 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
           false, 'standard', 1, CASE n % 50 WHEN 0 THEN 'invalid' ELSE '' END, 0, false, false, 1, 100, 0, 10, 140, 80,
           0, 0 FROM made;
"""


def fill_runs(runs: int, *, on_piece: Callable[[int, float], None] = lambda done, seconds: None) -> float:
    """Write runs until there are so many of ours. Returns the seconds that it took.

    `on_piece` is told how many there are and after how many seconds. Raises ValueError where there are no users.
    """
    began = time.perf_counter()
    with connections["owner"].cursor() as cursor:
        _in_one(cursor, lambda: cursor.execute(_PEOPLE))
        cursor.execute("SELECT (SELECT count(*) FROM person), (SELECT count(*) FROM feature)")
        people, features = cursor.fetchone()
        if not people or not features:
            raise ValueError("There are no users or no features to be given runs.")
        make_past_partitions(cursor)
        for first in range(_count(cursor), runs, PIECE):
            last = min(first + PIECE, runs) - 1
            told = {"first": first, "last": last, "runs": runs, "people": people, "features": features}

            def write(told: dict[str, int] = told) -> None:
                cursor.execute(_MADE, told)
                cursor.execute(_WRITE)

            _in_one(cursor, write)
            on_piece(last + 1, time.perf_counter() - began)
        cursor.execute("DROP TABLE person, feature")
        for table in TABLES:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return time.perf_counter() - began


def make_past_partitions(cursor: Any) -> None:
    """Make the partitions of the months before this one, as each was made when it was still to come."""
    for table in TABLES:
        for back in range(1, MONTHS + 1):
            cursor.execute(_MONTH, [back])
            suffix, lowest, highest = cursor.fetchone()
            cursor.execute("SELECT to_regclass(%s)", [table + suffix])
            if cursor.fetchone()[0] is None:
                bounds = f"FOR VALUES FROM ('{lowest}') TO ('{highest}')"
                cursor.execute(f"CREATE TABLE {table}{suffix} PARTITION OF {table} {bounds}")
                cursor.execute(f"ALTER TABLE {table}{suffix} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def _count(cursor: Any) -> int:
    found: list[int] = []

    def count() -> None:
        cursor.execute("SELECT count(*) FROM runs_run WHERE author = %s", [AUTHOR])
        found.append(cursor.fetchone()[0])

    _in_one(cursor, count)
    return found[0]


def _in_one(cursor: Any, work: Callable[[], object]) -> None:
    """Do something in one transaction in which the policies do not bind the owner."""
    cursor.execute("BEGIN")
    for table in LIFTED:
        cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    work()
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in LIFTED:
        cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    cursor.execute("COMMIT")
