"""`python -m backend.local.throwaway python -m benchmarks.impact`: how long the impact of one move takes.

Makes organisations whose users have overrides, in a database of its own that is gone afterwards, publishes a version
that changes what many of them stand on, and has one process work its impact out. Prints seconds, memory and counts.
"""

import argparse
import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 (after the settings)
from django.db import connections  # noqa: E402

from features.actions.catalog import FOLDER, load_folder, read_file  # noqa: E402
from features.actions.targets import add_target  # noqa: E402
from features.actions.versions import publish  # noqa: E402
from features.engine import (  # noqa: E402
    ABSENT,
    Base,
    BasedOn,
    Operation,
    Revision,
    flatten,
    inherited_digest,
    parse_rules,
    resolve,
    to_rows,
)
from features.impact import look  # noqa: E402
from features.impact.work import work_through  # noqa: E402
from features.models import Feature, Impact  # noqa: E402
from tenants.ids import uuid7  # noqa: E402
from tenants.isolation import OPERATOR  # noqa: E402
from tenants.system import system_actor  # noqa: E402

FEATURE = "reply"
TABLES = ("tenants_tenant", "tenants_subject", "features_override")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=100, help="of each organisation")
    parser.add_argument("--share", type=float, default=0.05, help="of the users who have an override")
    parser.add_argument("--tenant-share", type=float, default=0.2, help="of the organisations that have one")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    call_command("migrate", database="owner", verbosity=0)
    by = system_actor("benchmark")
    add_target(alias="standard", provider="demo", model="none", input_price=1, output_price=1, by=by)
    list(load_folder(FOLDER, force=False, by=by))
    feature = Feature.objects.using(OPERATOR).get(key=FEATURE)
    document = read_file(FOLDER / f"{FEATURE}.yaml")
    base = Base(1, flatten(document["behavior"]), parse_rules(document["rules"], layer="base"))
    began = time.perf_counter()
    fill(feature, base, chosen)
    say(f"made in {time.perf_counter() - began:.1f} s")
    number = publish(feature, behavior=changed(document["behavior"]), make_current=False, by=by).number
    impact = look(feature, to=number, by=by)
    measure(impact)


def changed(behavior: dict[str, Any]) -> dict[str, Any]:
    """The next version: another task, a longer reply, a new section."""
    sections = {**behavior["instructions"], "task": "You answer customers of {{ tenant.name }}. Be quick and exact."}
    return {
        **behavior,
        "instructions": {**sections, "links": "Name no address that is not among the facts."},
        "vars": {**behavior["vars"], "max_sentences": 5},
    }


def fill(feature: Feature, base: Base, chosen: argparse.Namespace) -> None:
    """Write organisations, users and overrides as the owner, with the forced policies lifted meanwhile."""
    rng = random.Random(chosen.seed)  # noqa: S311  # data, not secrets
    with connections["owner"].cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        for done in range(0, chosen.tenants, 500):
            many = min(500, chosen.tenants - done)
            rows = [tenant(feature, base, done + index, chosen, rng) for index in range(many)]
            copy(cursor, "tenants_tenant (id, slug, name, created_at)", (row[0] for row in rows))
            copy(cursor, "tenants_subject (tenant_id, id, kind, key, created_at)", (s for row in rows for s in row[1]))
            copy(
                cursor,
                "features_override (tenant_id, id, feature_id, subject_id, number, operations, rules, message,"
                " author, valid_from)",
                (override for row in rows for override in row[2]),
            )
            say(f"\r{done + many} of {chosen.tenants} organisations", end="")
        say("")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            cursor.execute(f"ANALYZE {table}")


def tenant(feature: Feature, base: Base, number: int, chosen: argparse.Namespace, rng: random.Random) -> Any:
    """One organisation: its row, its subjects' rows and the overrides' rows."""
    tenant_id, then = uuid7(), "2026-01-01T00:00:00Z"
    subjects: list[Any] = [(tenant_id, tenant_id, "tenant", "", then)]
    overrides: list[Any] = []

    def override(subject: UUID, operations: list[Operation]) -> None:
        text = json.dumps(to_rows(operations), ensure_ascii=False)
        overrides.append((tenant_id, uuid7(), feature.id, subject, 1, text, "{}", "", "benchmark", then))

    ours: Revision | None = None
    if rng.random() < chosen.tenant_share:
        ours = Revision(1, tuple(operations_of(base.fields, base, None, f"house {number}", rng)))
        override(tenant_id, list(ours.operations))
    below = resolve(base, ours, None).fields
    for user in range(chosen.users):
        key = f"user-{number}-{user}"
        subject = uuid5(tenant_id, key)
        subjects.append((tenant_id, subject, "external", key, then))
        if rng.random() < chosen.share:
            override(subject, operations_of(below, base, ours, key, rng))
    return (tenant_id, f"org-{number}", f"Organisation {number}", then), subjects, overrides


def operations_of(below: Any, base: Base, ours: Revision | None, name: str, rng: random.Random) -> list[Operation]:
    """One to three changes, with texts that nobody else has."""
    texts: list[tuple[str, Any, Any]] = [
        ("vars.signature", "set", f"Yours, {name}"),
        ("instructions.tone", "append", f"Write as {name} would: {rng.choice(('plainly', 'kindly', 'in short'))}."),
        ("vars.tone", "set", rng.choice(("formal", "friendly", "warm", "brief"))),
        ("instructions.house", "set", f"{{% if input.facts %}}Name {name} and its facts.{{% endif %}}"),
        ("vars.max_sentences", "set", rng.randint(2, 8)),
    ]
    if rng.random() < 0.1:
        texts.append(("instructions.task", "set", f"You answer customers for {name} of {{{{ tenant.name }}}}."))
    seen = {
        field: BasedOn(
            base=1,
            tenant=ours.number if ours else None,
            inherited=inherited_digest(below.get(field, ABSENT)),
            in_base=field in base.fields,
        )
        for field, _, _ in texts
    }
    return [Operation(field, kind, value, seen[field]) for field, kind, value in rng.sample(texts, rng.randint(1, 3))]


def copy(cursor: Any, into: str, rows: Iterator[Any]) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN") as out:
        for row in rows:
            out.write_row(row)


def measure(impact: Impact) -> None:
    """Work it out in this process, showing its progress; then print what it took."""
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(impact.id, ended))
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work_through()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ended.set()
    watcher.join()
    impact.refresh_from_db(using=OPERATOR)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say("")
    print(f"{impact.state}: {impact.tenants_done} of {impact.tenants_all} organisations")
    print(f"wall {wall:.1f} s, CPU of the worker {cpu:.1f} s")
    print(f"peak memory {peak / 1024:.0f} MB ({(peak - before) / 1024:.0f} MB more than before)")
    print(json.dumps(impact.counts))


def watch(impact_id: UUID, ended: threading.Event) -> None:
    while not ended.wait(1):
        row = Impact.objects.using(OPERATOR).get(pk=impact_id)
        say(f"\r{row.state}: {row.tenants_done} of {row.tenants_all}", end="")
    connections[OPERATOR].close()


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
