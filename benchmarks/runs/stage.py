"""All of Bespoke as its real processes, on servers of its own, with a feature, a member and no limits in the way."""

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psutil
from django.core.management import call_command

from backend.local.paths import ROOT
from backend.local.testing import throwaway_services
from backend.local.web import listen
from benchmarks.runs.bare import prepare

PATIENCE = 90  # seconds until everything answers
GREET: dict[str, Any] = {
    "instructions": {"role": "You greet people.", "tone": "Write in a {{ vars.tone }} tone."},
    "prompt": "{{ input.name | fence }}",
    "input": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 200}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "output": {
        "type": "object",
        "properties": {"greeting": {"type": "string", "maxLength": 400}},
        "required": ["greeting"],
        "additionalProperties": False,
    },
    "vars": {"tone": "plain"},
    "model": {"name": "standard", "temperature": 0, "max_output_tokens": 100},
    "limits": {"repairs": 1, "timeout_seconds": 30, "input_bytes": 2000},
}


@dataclass(frozen=True)
class Stage:
    """Addresses, the text of a member's key, and the processes by the name of their part."""

    web: str
    bare: str
    upstream: str
    key: str
    parts: dict[str, int]

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each part has used, with its children (those that have ended among them)."""
        return {name: _cpu(psutil.Process(pid)) for name, pid in self.parts.items()}


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    used = times.user + times.system + times.children_user + times.children_system
    return float(used + sum(_own(child) for child in process.children(recursive=True)))


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def everything(folder: Path, *, slots: int, milliseconds: float) -> Iterator[Stage]:
    """Start it all, hand it over when a canary run went the whole way, and stop it."""
    with ExitStack() as stack:
        services = stack.enter_context(throwaway_services())
        doors = {name: stack.enter_context(listen(0, None)) for name in ("web", "bare", "upstream")}
        addresses = {name: f"http://127.0.0.1:{made.getsockname()[1]}" for name, made in doors.items()}
        many = "1000000"
        os.environ.update(
            services.environ(), SECRET_KEY=secrets.token_hex(32), DJANGO_SETTINGS_MODULE="backend.settings",
            BESPOKE_ENVIRONMENT="local", BESPOKE_SECRET_KEYS=f"bench:{secrets.token_hex(32)}",
            OPENAI_BASE_URL=f"{addresses['upstream']}/v1", OPENAI_API_KEY="a-key", BESPOKE_MODEL="bench",
            BESPOKE_BASE_URL=addresses["web"],
            BESPOKE_WORKER_SLOTS=str(slots), BESPOKE_TENANT_SLOTS=str(slots), BESPOKE_LOG_LEVEL="WARNING",
            BESPOKE_REQUESTS_PER_MINUTE=many, BESPOKE_KEY_REQUESTS_PER_MINUTE=many, BESPOKE_CONCURRENT_RUNS=many,
            BESPOKE_KEY_CONCURRENT_RUNS=many, BESPOKE_PROVIDER="bench", BESPOKE_DB_PREPARED="1",
        )  # fmt: skip
        python = [sys.executable, "-m"]
        celery = [*python, "celery", "-A", "backend"]
        pool = ["--pool", "threads", "--without-gossip", "--without-mingle"]
        key = _seeded()
        prepare()
        commands = {
            "upstream": [*python, "benchmarks.runs.upstream", str(doors["upstream"].fileno()), str(milliseconds)],
            "bare_web": [*python, "benchmarks.runs.bare", "web", str(doors["bare"].fileno())],
            "bare_worker": [*python, "benchmarks.runs.bare", "worker", addresses["upstream"]],
            "web": [*python, "backend.local.web", str(doors["web"].fileno())],
            "worker": [*celery, "worker", *pool, "--loglevel", "WARNING"],
            "beat": [*celery, "beat", "--schedule", str(folder / "beat"), "--pidfile", ""],
        }
        parts = {"postgresql": services.postgres.process.pid, "valkey": services.valkey.process.pid}
        for name, command in commands.items():
            process = _started(name, command, folder, [door.fileno() for door in doors.values()])
            stack.callback(_stopped, process)
            parts[name] = process.pid
        _until_ready(f"{addresses['web']}/readyz", folder)
        yield Stage(addresses["web"], addresses["bare"], addresses["upstream"], key, parts)


def _seeded() -> str:
    """Migrate, and make an organisation, its owner with a key, and the feature. Returns the key's text."""
    django.setup()
    call_command("migrate", database="owner", interactive=False, verbosity=0)
    from django.db import connections

    from backend.actors import actor_of_key, actor_of_login
    from features.actions.targets import add_target
    from features.actions.versions import create_feature
    from tenants.actions import create_key, create_tenant, login_for
    from tenants.isolation import OPERATOR, operator_tx
    from tenants.models import Operator
    from tenants.operators import create_operator_key
    from tenants.system import system_actor

    system, login = system_actor("benchmark"), login_for("ada@bench.example", name="Ada")
    create_tenant(slug="bench", name="Bench", owner=login, by=system)
    with operator_tx():
        vendor = Operator.objects.using(OPERATOR).create(user_id=login_for("olga@bench.example", name="Olga").id)
    operator = actor_of_key(create_operator_key(vendor, name="bench", by=system)[1])
    add_target(alias="standard", provider="bench", model="bench", input_price=1000, output_price=4000, by=system)
    create_feature(key="greet", title="Greet", summary="Greets.", behavior=GREET, rules={}, by=operator)
    ada = actor_of_login(login, None)
    assert ada is not None
    text = create_key(kind="member", name="bench", by=ada)[1]
    connections.close_all()
    return text


def _started(name: str, command: list[str], folder: Path, descriptors: list[int]) -> "subprocess.Popen[bytes]":
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=descriptors
        )  # fmt: skip


def _stopped(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until_ready(url: str, folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    told = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in folder.glob("*.log"))
    raise SystemExit(f"Bespoke did not become ready within {PATIENCE} s.\n{told}")
