"""`python -m backend.local.throwaway python -m benchmarks.resolve`: what resolving costs on an empty and a full system.

Makes two databases, one with next to nothing and one as full as asked for, and has a process on each resolve subjects
in turns: cold (never served by that process), first (a process that knows nothing at all) and warm. Prints
milliseconds, statements (each a round trip: none is sent before the one before it is answered), the ratio of full to
empty, how the full one is read, and what 100,000 different subjects leave in memory.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from psycopg import sql

from backend.local.paths import ROOT

URLS = ("DATABASE_URL", "DATABASE_OPERATOR_URL", "DATABASE_OWNER_URL")
SMALL = (1, 1, 1_000)  # features, organisations and users of the empty system: enough users to resolve cold
PIECE = 100  # resolutions by one process before it is the other's turn


def main() -> None:
    from benchmarks.generate import add_sizes

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_sizes(parser)
    parser.add_argument("--cold", type=int, default=800, help="subjects to resolve cold on each system")
    parser.add_argument("--warm", type=int, default=20_000, help="warm resolutions on each system")
    parser.add_argument("--many", type=int, default=100_000, help="different subjects for the look at memory")
    chosen = parser.parse_args()
    small = filled("bench_empty", *SMALL)
    large = filled("bench_full", chosen.features, chosen.tenants, chosen.subjects)
    both = {"empty": Resolver("bench_empty", *SMALL), "full": Resolver("bench_full", *sizes(chosen))}
    print(f"filled in {large:.0f} s (the empty one in {small:.0f} s)")
    for kind, count in (("first", 200), ("cold", chosen.cold), ("warm", chosen.warm)):
        report(kind, interleaved(both, kind, count))
    for line in both["full"].ask("plan", 0)["plan"]:
        print(f"       {line}")
    before = both["full"].ask("memory", 0)
    after = both["full"].ask("memory", chosen.many)
    print(
        f"memory: {before['mb']:.0f} MB before, {after['mb']:.0f} MB after {chosen.many} different subjects"
        f" ({after['seconds']:.0f} s); kept: {after['kept']}"
    )
    for resolver in both.values():
        resolver.stop()


def sizes(chosen: argparse.Namespace) -> tuple[int, int, int]:
    return chosen.features, chosen.tenants, chosen.subjects


def filled(name: str, *sizes: int) -> float:
    """Make a database beside the environment's own and fill it. Returns the seconds that it took."""
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        there = server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if there is None:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    began = time.perf_counter()
    features, tenants, subjects = map(str, sizes)
    command = [sys.executable, "-m", "benchmarks.generate", "--features", features]
    subprocess.run(
        [*command, "--tenants", tenants, "--subjects", subjects], cwd=ROOT, env=environment(name), check=True
    )
    return time.perf_counter() - began


def environment(database: str) -> dict[str, str]:
    """This one, led to another database."""
    urls = {name: urlsplit(os.environ[name])._replace(path=f"/{database}").geturl() for name in URLS}
    return {**os.environ, **urls, "BESPOKE_DB_POOLED": "0"}


class Resolver:
    """A process on one of the databases, asked line by line."""

    def __init__(self, database: str, *sizes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from benchmarks.resolve import serve_lines; serve_lines()", *map(str, sizes)],
            cwd=ROOT, env=environment(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, kind: str, count: int) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{kind} {count}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


def interleaved(both: dict[str, Resolver], kind: str, count: int) -> dict[str, dict[str, list[Any]]]:
    """Have each process resolve `count` times, some at a time in turns, so that neither has the quieter machine."""
    found: dict[str, dict[str, list[Any]]] = {name: {"ms": [], "statements": []} for name in both}
    for _ in range(max(1, count // PIECE)):
        for name, resolver in both.items():
            for part, values in resolver.ask(kind, min(PIECE, count)).items():
                found[name][part] += values
    return found


def report(kind: str, found: dict[str, dict[str, list[Any]]]) -> None:
    figures = {}
    for name, parts in found.items():
        times = sorted(parts["ms"])
        figures[name] = [times[len(times) // 2], times[int(len(times) * 0.99)]]
        print(
            f"{kind:6} {name:6} {len(times):6} times  p50 {figures[name][0]:7.3f} ms  p99 {figures[name][1]:7.3f} ms"
            f"  statements besides BEGIN and COMMIT {spread(parts['statements'])}"
        )
    p50, p99 = (full / empty for full, empty in zip(figures["full"], figures["empty"], strict=True))
    print(f"{kind:6} full/empty          p50 {p50:.2f}  p99 {p99:.2f}")


def spread(counts: list[int]) -> str:
    return ", ".join(f"{value} ({counts.count(value) * 100 / len(counts):.1f}%)" for value in sorted(set(counts)))


# What follows runs in the processes that resolve.


def serve_lines() -> None:
    """Answer `kind count` lines on stdin with a line of JSON each."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    import django

    django.setup()
    bench = Bench(*map(int, sys.argv[1:]))
    doing: dict[str, Callable[[int], Any]] = {
        "first": bench.first, "cold": bench.cold, "warm": bench.warm, "memory": bench.memory, "plan": bench.plan,
    }  # fmt: skip
    for line in sys.stdin:
        kind, count = line.split()
        print(json.dumps(doing[kind](int(count))), flush=True)


class Bench:
    """Resolves subjects of the generated organisations as a door would: in their tenant's transaction."""

    def __init__(self, features: int, tenants: int, subjects: int) -> None:
        from benchmarks.generate import slug_of
        from features.models import Feature
        from tenants.isolation import OPERATOR, operator_tx
        from tenants.models import Tenant

        with operator_tx():
            found = dict(Tenant.objects.using(OPERATOR).values_list("slug", "id"))
            self.features: list[Feature] = list(Feature.objects.using(OPERATOR).order_by("key"))[:features]
        self.tenants: list[UUID] = [found[slug_of(number)] for number in range(tenants)]
        self.each, self.features_known = subjects // tenants, False
        order = list(range(self.each * tenants))
        random.Random(1).shuffle(order)  # noqa: S311  # an order, not a secret
        self.fresh = iter(order)
        self.known: list[int] = []
        self.statements = 0

    def resolve(self, subject: int) -> float:
        """Resolve one subject and return the milliseconds that it took, its transaction included."""
        from benchmarks.generate import feature_of, key_of
        from features.resolve import serve_warm
        from tenants.isolation import tenant_tx
        from tenants.subjects import external_subject

        tenant = self.tenants[subject // self.each]
        who = external_subject(tenant, key_of(subject))
        feature = self.features[feature_of(subject) % len(self.features)]
        began = time.perf_counter()
        with tenant_tx(tenant):
            served = serve_warm(feature, tenant, who)
        spent = (time.perf_counter() - began) * 1000
        assert served.user is not None, subject  # or it would not be the case that is measured
        return spent

    def measured(self, subjects: Iterator[int]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"ms": [], "statements": []}
        with self.counting():
            for subject in subjects:
                self.statements = 0
                found["ms"].append(self.resolve(subject))
                found["statements"].append(self.statements)
        return found

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the statements of the app's connection; BEGIN and COMMIT are the driver's and not among them."""
        from django.db import connections

        from tenants.isolation import APP

        def count(execute: Any, *arguments: Any) -> Any:
            self.statements += 1
            return execute(*arguments)

        with connections[APP].execute_wrapper(count):
            yield

    def first(self, count: int) -> Any:
        """In a process that has served nobody: every cache is emptied before each."""
        from features.resolve import forget

        def subjects() -> Iterator[int]:
            for subject in self.some(count):
                forget()
                yield subject

        return self.measured(subjects())

    def cold(self, count: int) -> Any:
        """Never served by this process, which knows the feature's versions."""
        from features.contents import base_of

        for feature in self.features if not self.features_known else ():
            base_of(feature.id, 1), base_of(feature.id, 2)
        self.features_known = True
        subjects = self.some(count)
        self.known = (self.known + subjects)[-1_000:]
        return self.measured(iter(subjects))

    def warm(self, count: int) -> Any:
        """Served by this process before, and nothing has changed."""
        return self.measured(iter([self.known[number % len(self.known)] for number in range(count)]))

    def some(self, count: int) -> list[int]:
        """As many subjects that were not taken yet."""
        taken = [next(self.fresh) for _ in range(count)]
        assert len(taken) == count
        return taken

    def memory(self, count: int) -> Any:
        from features import contents, resolve

        began = time.perf_counter()
        for subject in self.some(count):
            self.resolve(subject)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
        kept = {"choices": len(resolve._choices._kept), "revisions": len(contents._revisions._kept)}
        kept |= {"behaviors": len(resolve._behaviors._kept), "merged": resolve._compiled.cache_info().currsize}
        return {"mb": resident, "seconds": time.perf_counter() - began, "kept": kept}

    def plan(self, _count: int) -> Any:
        """How PostgreSQL finds the rows of one subject: every scan of a table in the plan, and the time in all."""
        from django.db import connections

        from benchmarks.generate import feature_of, key_of
        from features.reading import _READ, stamp_parameters
        from tenants.isolation import APP, tenant_tx
        from tenants.subjects import external_subject

        [subject] = self.some(1)
        tenant = self.tenants[subject // self.each]
        who = external_subject(tenant, key_of(subject))
        feature = self.features[feature_of(subject) % len(self.features)]
        with tenant_tx(tenant), connections[APP].cursor() as cursor:
            parameters = {**stamp_parameters(tenant, feature.id, who.id), "at": None}
            for _ in range(3):  # the first time it is read from disk
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {_READ}", parameters)
                lines = [row[0].strip(" ->") for row in cursor.fetchall()]
        return {"plan": [line for line in map(_scan, lines) if line]}


def _scan(line: str) -> str:
    """A line of a plan, if it says how a table's rows were found and how long that took, or the whole statement."""
    if line.startswith(("Planning Time", "Execution Time")):
        return line
    how, _, actual = line.partition("(actual ")
    return f"{how.partition(' (cost')[0]}: {actual}" if actual and " on features_" in how else ""


if __name__ == "__main__":
    main()
