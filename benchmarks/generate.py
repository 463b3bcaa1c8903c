"""`python -m benchmarks.generate`: fills a database with features, organisations, and users with behavior of their own.

Features and versions are made by the product's own actions; the rest is COPYed by the owner, some organisations to a
transaction, with the forced policies lifted meanwhile. Begun again it goes on where it was. It refuses a database with
organisations that it did not make. `python -m benchmarks.resolve` calls it (README.md).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 (after the settings)
from django.db import connections  # noqa: E402

from benchmarks.history import fill_runs  # noqa: E402
from features.actions.targets import add_target  # noqa: E402
from features.actions.versions import create_feature, publish  # noqa: E402
from features.engine import ABSENT, BasedOn, Operation, flatten, inherited_digest, to_rows  # noqa: E402
from features.models import EVERY_FEATURE, Feature, ModelAlias  # noqa: E402
from tenants.actor import Actor  # noqa: E402
from tenants.ids import uuid7  # noqa: E402
from tenants.isolation import OPERATOR  # noqa: E402
from tenants.subjects import external_subject  # noqa: E402
from tenants.system import system_actor  # noqa: E402

SUBJECT = "tenant_id, id, kind, key, created_at"
OVERRIDE = "tenant_id, id, feature_id, subject_id, number, operations, rules, message, author, valid_from"
STAMP = "tenant_id, id, feature, subject, value"
PIN = "tenant_id, id, feature_id, subject_id, kind, base, targets, reason, author, created_at, valid_from"
POLICY = "tenant_id, id, users_may_pin, users_may_override, store, author, valid_from"
TABLES = {  # the columns of each table that is filled, in the order in which its rows may be written
    "tenants_tenant": "id, slug, name, created_at",
    "tenants_subject": SUBJECT,
    "features_override": OVERRIDE,
    "features_stamp": STAMP,
    "features_pin": PIN,
    "features_policy": POLICY,
}
AT_ONCE = 10_000  # subjects to a transaction
TENANT_FEATURES = 5  # that every organisation changes for its people
Rows = dict[str, list[tuple[Any, ...]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_sizes(parser)
    parser.add_argument("--runs", type=int, default=0, help="finished runs of the last year, in all (history.py)")
    chosen = parser.parse_args()
    fill(chosen.features, chosen.tenants, chosen.subjects)
    if chosen.runs:
        seconds = fill_runs(chosen.runs, on_piece=show_runs(chosen.runs))
        say(f"\n{chosen.runs} runs in {seconds:.0f} s")


def add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--subjects", type=int, default=1_000_000, help="end users with an override, in all")


def fill(features: int, tenants: int, subjects: int) -> float:
    """Migrate and fill the database of the environment up to these numbers. Returns the seconds that it took."""
    began = time.perf_counter()
    call_command("migrate", database="owner", verbosity=0)
    made = make_features(features, system_actor("benchmark"))
    each, step = subjects // tenants, max(1, AT_ONCE * tenants // max(subjects, 1))
    first = begun()
    with connections["owner"].cursor() as cursor:
        for start in range(first, tenants, step):
            write(cursor, made, range(start, min(start + step, tenants)), each)
            show(min(start + step, tenants), tenants, each, first, began)
        say("")
        for table in TABLES:
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return time.perf_counter() - began


def key_of(subject: int) -> str:
    """What the organisation's own software calls a user."""
    return f"customer-{subject:07d}"


def slug_of(tenant: int) -> str:
    return f"bench-{tenant:06d}"


def make_features(count: int, by: Actor) -> list[Feature]:
    """Features `f000` and on, each with two versions; those that are there already are taken as they are."""
    if not ModelAlias.objects.using(OPERATOR).exists():
        add_target(alias="standard", provider="demo", model="none", input_price=1, output_price=1, by=by)
    made = {feature.key: feature for feature in Feature.objects.using(OPERATOR).all()}
    for number in range(count):
        key = f"f{number:03d}"
        if key not in made:
            made[key], _ = create_feature(key=key, title=f"Feature {number}", behavior=behavior(number, 1), by=by)
            publish(made[key], behavior=behavior(number, 2), make_current=True, by=by)
    return [made[f"f{number:03d}"] for number in range(count)]


def behavior(feature: int, version: int) -> dict[str, Any]:
    """A small one: what is said of the work changes with the version."""
    answer = {"summary": {"type": "string", "maxLength": 2000}, "next_step": {"type": "string", "maxLength": 400}}
    return {
        "instructions": {
            "role": f"You write the answers of {{{{ tenant.name }}}} to requests of kind {feature}.",
            "task": "Read the request. " + ("Answer it." if version == 1 else "Answer it from the facts alone."),
            "tone": "Write in {{ vars.language }}, in a {{ vars.tone }} tone.",
            "safety": "Promise nothing that the facts do not say.",
        },
        "prompt": "{{ input.text | fence }}\n\n{% if input.facts %}{{ input.facts | fence }}{% endif %}",
        "input": {
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": 20_000}, "facts": {"type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
        "output": {
            "type": "object",
            "properties": answer,
            "required": ["summary", "next_step"],
            "additionalProperties": False,
        },
        "examples": {
            "late": {
                "input": {"text": "Where is my parcel?"},
                "output": {"summary": "It is on its way.", "next_step": "Send the number."},
            }
        },
        "vars": {"tone": "plain", "language": "English", "signature": ""},
        "model": {"name": "standard", "temperature": 0.2, "max_output_tokens": 600},
        "checks": {"short": {"kind": "max_words", "at": "/summary", "max": 120}},
        "limits": {"repairs": 1, "timeout_seconds": 30},
    }


def begun() -> int:
    """How many organisations are there already. Exits where there are others than ours."""
    with connections["owner"].cursor() as cursor:
        force(cursor, on=False)
        cursor.execute("SELECT count(*), count(*) FILTER (WHERE slug LIKE 'bench-%%') FROM tenants_tenant")
        every, ours = cursor.fetchone()
        force(cursor, on=True)
    if every != ours:
        sys.exit("This database has organisations of its own: give me an empty one.")
    return int(ours)


def write(cursor: Any, features: list[Feature], tenants: Iterable[int], each: int) -> None:
    """Write these organisations with all that is theirs, or nothing."""
    rows: Rows = {table: [] for table in TABLES}
    for tenant in tenants:
        for table, found in rows_of(features, tenant, each).items():
            rows[table] += found
    cursor.execute("BEGIN")
    force(cursor, on=False)
    for table, columns in TABLES.items():
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as out:
            for row in rows[table]:
                out.write_row(row)
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    force(cursor, on=True)
    cursor.execute("COMMIT")


def force(cursor: Any, *, on: bool) -> None:
    """Whether policies bind the owner too: they do but while it writes here."""
    for table in TABLES:
        cursor.execute(f"ALTER TABLE {table} {'FORCE' if on else 'NO FORCE'} ROW LEVEL SECURITY")


def rows_of(features: list[Feature], number: int, each: int) -> Rows:
    """One organisation: it changes some features itself, and every user of it one or two."""
    tenant, then = uuid7(), "2026-01-01T00:00:00Z"
    found: Rows = {table: [] for table in TABLES}
    found["tenants_tenant"].append((tenant, slug_of(number), f"Organisation {number}", then))
    found["tenants_subject"].append((tenant, tenant, "tenant", "", then))
    if number % 10 == 0:
        found["features_policy"].append((tenant, uuid7(), "30", True, True, "benchmark", then))
        found["features_stamp"].append((tenant, uuid7(), EVERY_FEATURE, tenant, 1))

    def override(subject: UUID, feature: int, operations: list[Operation]) -> None:
        text, which = json.dumps(to_rows(operations), ensure_ascii=False), features[feature % len(features)].id
        row = (tenant, uuid7(), which, subject, 1, text, "{}", "", "benchmark", then)
        found["features_override"].append(row)
        found["features_stamp"].append((tenant, uuid7(), which, subject, 1))

    for index in range(min(TENANT_FEATURES, len(features))):
        feature = (number * TENANT_FEATURES + index) % len(features)
        override(tenant, feature, operations(feature, tenant.int, f"Organisation {number}"))
    for subject in range(number * each, (number + 1) * each):
        who = external_subject(tenant, key_of(subject))
        found["tenants_subject"].append((tenant, who.id, "external", who.key, then))
        override(who.id, feature_of(subject), operations(feature_of(subject), subject, who.key))
        if subject % 10 == 0 and len(features) > 1:
            override(who.id, feature_of(subject) + 1, operations(feature_of(subject) + 1, subject, who.key))
        if subject % 50 == 7:
            pin = (tenant, uuid7(), features[feature_of(subject) % len(features)].id, who.id, "base", 1, "{}", "")
            found["features_pin"].append((*pin, "benchmark", then, then))
    return found


def feature_of(subject: int) -> int:
    """The feature that a user has changed (to be taken by the number of features), a different one for neighbors."""
    return subject


def operations(feature: int, seed: int, name: str) -> list[Operation]:
    """One to three changes with texts that nobody else has, most seen on the current version.

    One in forty replaces, on version 1, what version 2 changes: its owner is held there until they decide.
    """
    changes: list[tuple[str, Any, str]] = [
        ("vars.signature", "set", f"Yours, {name}"),
        ("instructions.tone", "append", f"Write as {name} would."),
        ("vars.tone", "set", ("formal", "friendly", "warm", "brief")[seed % 4]),
    ][: 1 + seed % 3]
    version = 1 if seed % 3 == 0 else 2
    if seed % 40 == 3:
        changes = [("instructions.task", "set", f"Answer for {name}, as they would.")]
        version = 1
    below = flatten(behavior(feature, version))
    return [
        Operation(
            field, kind, value, BasedOn(version, None, inherited_digest(below.get(field, ABSENT)), field in below)
        )
        for field, kind, value in changes
    ]


def show(done: int, tenants: int, each: int, first: int, began: float) -> None:
    spent = time.perf_counter() - began
    left = spent / (done - first) * (tenants - done)
    say(f"\r{done} of {tenants} organisations, {done * each} users; {spent:.0f} s, {left:.0f} s to go  ", end="")


def show_runs(runs: int) -> Callable[[int, float], None]:
    def show(done: int, seconds: float) -> None:
        say(f"\r{done} of {runs} runs; {seconds:.0f} s, {seconds / done * (runs - done):.0f} s to go  ", end="")

    return show


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
