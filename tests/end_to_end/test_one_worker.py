"""One worker process, two tenants in turn, with calls that fail and the worker killed in between: nothing crosses (T3)."""

import json
import random
import re
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from features.actions.overrides import ANY, save_override
from features.actions.versions import create_feature
from features.runs.accept import accept
from tests.cast import GREET
from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import Stack

FINAL = "('succeeded', 'failed', 'cancelled')"
NAME = re.compile(r"(acme|globex)-(\d+)-([a-z]+)")


class Obliging:
    """A model that greets whoever it is told of; what the name ends in says how the call fails."""

    def __init__(self) -> None:
        self.killed: set[str] = set()

    def __call__(self, body: dict[str, Any]) -> Answer:
        found = NAME.search(body["messages"][-1]["content"]) or NAME.search(str(body["messages"]))
        assert found is not None
        name, fate = found.group(), found[3]
        if fate == "kill" and name not in self.killed:
            self.killed.add(name)
            return Answer(kills=True)
        answers = {"refuse": Answer(status=400), "prose": Answer(f"Hello {name}"), "cut": Answer("{", finish="length")}
        return answers.get(fate, Answer(json.dumps({"greeting": name})))


@pytest.mark.parametrize(
    ("runs", "kills"), [pytest.param(240, 2, id="some"), pytest.param(5000, 25, id="all", marks=pytest.mark.slow)]
)
def test_one_worker_process_never_mixes_tenants_up(runs: int, kills: int, stack: Stack, settings: Any) -> None:
    settings.CONCURRENT_RUNS = settings.KEY_CONCURRENT_RUNS = 2 * runs
    stack.model.default = Obliging()
    patient = {**GREET, "limits": {**GREET["limits"], "timeout_seconds": 300}}  # also of a machine that is busy
    feature, _ = create_feature(key="patient", title="Greet", behavior=patient, rules={}, by=stack.cast.operator)
    people = {"acme": stack.cast.alice, "globex": stack.cast.mallory}
    for owner, tenant in ((stack.cast.ada, "acme"), (stack.cast.gus, "globex")):
        house = {"set": {"instructions.house": f"HOUSE-OF-{tenant}"}}
        save_override(feature, "tenant", house, expected=ANY, by=owner)
    draw = random.Random(runs)
    fates = ["kill"] * kills + draw.choices(["well", "refuse", "prose", "cut"], [80, 7, 7, 6], k=runs - kills)
    draw.shuffle(fates)
    taken: dict[UUID, str] = {}
    for number, fate in enumerate(fates):
        tenant = ("acme", "globex")[number % 2]
        name = f"{tenant}-{number}-{fate}"
        taken[accept(feature, {"name": name}, by=people[tenant]).run_id] = name

    def ended() -> bool:
        stack.worker.start()  # if it was killed
        return stack.rows(f"SELECT count(*) FROM runs_run WHERE id = ANY(%s) AND state NOT IN {FINAL}", [*taken]) == [
            (0,)
        ]

    until(ended, "all runs end", 60 + runs)
    assert len(stack.model.default.killed) == kills
    crossed(stack, taken, {tenant: actor.tenant_id for tenant, actor in people.items()})


def crossed(stack: Stack, taken: dict[UUID, str], tenants: dict[str, UUID]) -> None:
    """Every request, output and row is of the tenant whose run it is."""
    for name, body in zip(stack.model.names, stack.model.requests, strict=True):
        mine = taken[UUID(name.rpartition("-")[0])]
        tenant, other = ("acme", "globex") if mine.startswith("acme") else ("globex", "acme")
        said = json.dumps(body["messages"])
        assert f"HOUSE-OF-{tenant}" in said and mine in said and other not in said
    rows = stack.rows(
        "SELECT id, tenant_id, state, output::text, error::text FROM runs_run WHERE id = ANY(%s)", [*taken]
    )
    states: Counter[str] = Counter()
    for run_id, tenant_id, state, output, error in rows:
        name = taken[run_id]
        states[state] += 1
        assert tenant_id == tenants[name.partition("-")[0]]
        assert (state == "succeeded") is name.endswith(("well", "kill")), (name, error)
        assert output is None or json.loads(output) == {"greeting": name}
    assert states["succeeded"] > len(taken) / 2 and states["failed"] > len(taken) / 20
    for table in ("runs_attempt", "runs_ledger"):
        others = f"SELECT count(*) FROM {table} x JOIN runs_run r ON r.id = x.run WHERE x.tenant_id <> r.tenant_id"
        assert stack.rows(others) == [(0,)]
    assert stack.rows("SELECT count(*) FROM runs_ledger WHERE run = ANY(%s)", [*taken]) == [(len(taken),)]
