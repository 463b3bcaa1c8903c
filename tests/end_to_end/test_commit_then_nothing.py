"""A process that ends between its COMMIT and what it would have told next: the row is the outbox, so nothing is lost."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import connections

from backend.local.paths import ROOT
from features.runs.bells import BELLS
from features.runs.models import Ledger, Queued, Run
from features.runs.tasks import dispatch
from tenants.valkey import client as broker
from tests.backend.api.test_runs import events
from tests.cast import Cast
from tests.conftest import Knock
from tests.fakes.model import FakeModel
from tests.working import look

ENDED = 9

# Each request is made by a process of its own, whose door ends it where it would ring: right after COMMIT.
ASK = """
import os, sys, django
django.setup()
from django.test import Client
from backend.api import runs
runs.ring = lambda *_: os._exit(9)
key, times = sys.argv[1], int(sys.argv[2])
for number in range(times):
    child = os.fork()
    if child == 0:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"once-{number}", "Prefer": "respond-async"}
        body = {"input": {"name": f"Ann {number}"}}
        Client().post("/api/v1/features/greet/runs", body, content_type="application/json", headers=headers)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
# A worker that ends right after the COMMIT of a run's end, before anybody is told.
WORK = """
import os, django
django.setup()
from django.conf import settings
from features.runs import finish
from tests.working import look
settings.PROVIDERS = {"demo": {"base_url": os.environ["MODEL"], "api_key": "a-key"}}
finish.leaving = lambda *_: os._exit(9)
look()
"""


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    connections.close_all()
    told = {**os.environ, "DJANGO_SETTINGS_MODULE": "backend.settings", **environment}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=600, check=False)


def counted(cast: Cast) -> tuple[int, int, int]:
    """(runs, of them queued, ledger rows)."""
    with cast.alice.present():
        return Run.objects.count(), Queued.objects.count(), Ledger.objects.count()


@pytest.mark.parametrize("times", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_a_door_that_ends_before_it_rings_has_taken_the_run_in(
    cast: Cast, model: FakeModel, api: Any, times: int
) -> None:
    done = python(ASK, cast.key(cast.alice), str(times))
    assert done.stdout.split() == [str(ENDED)] * times, done.stderr
    assert counted(cast) == (times, times, 0) and broker.llen(BELLS) == 0
    alice: Knock = api(cast.alice, Prefer="respond-async")
    again = alice.post("/features/greet/runs", {"input": {"name": "Ann 0"}}, Idempotency_Key="once-0")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (
        202,
        "true",
    )  # as a caller would who heard nothing
    dispatch()
    assert broker.llen(BELLS) > 0
    while look():
        pass
    assert counted(cast) == (times, 0, times)
    with cast.alice.present():
        assert set(Run.objects.values_list("state", flat=True)) == {"succeeded"}


def test_a_worker_that_ends_before_it_tells_has_ended_the_run(cast: Cast, model: FakeModel, api: Any) -> None:
    alice: Knock = api(cast.alice, Prefer="respond-async")
    run_id = alice.post("/features/greet/runs", {"input": {"name": "Ann"}}).json()["id"]
    assert python(WORK, MODEL=model.base_url).returncode == ENDED
    assert counted(cast) == (1, 0, 1) and look() == 0
    assert alice.get(f"/runs/{run_id}").json()["state"] == "succeeded"
    told = [name for name, *_ in events(alice.get(f"/runs/{run_id}/events"))]  # which ask the row
    assert told[-1] == "done" and len(model.requests) == 1
