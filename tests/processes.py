"""The whole of Bespoke as its real processes: web, worker and beat, for tests that look at it from outside.

`stack` is what most want: everything runs, on a database and a Valkey number of its own (so that its worker takes no
run of a test that works in this process), against a scripted model, with a fresh cast:

    def test_ada_gets_a_greeting(stack: Stack) -> None:
        stack.model.script(greeting("Hello Ann"))
        answer = stack.knock("ada").post("/features/greet/runs", {"input": {"name": "Ann"}})

`stack.base_url` is the web process's address, `stack.cast` the people; while the test runs, this process's own
connections lead to the same database, so actors and models can be used directly too. The processes live as long as
the test session and are started when the first test asks; one that a test has ended is started again for the next.
`ruins` is the same on servers of its own, which a test may stop.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
import redis
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from backend.local import postgres, valkey
from backend.local.paths import ROOT
from backend.local.processes import Guard, Register
from backend.local.testing import Services, throwaway_services
from backend.local.web import listen
from backend.settings import database
from features.resolve import forget
from tests.cast import Cast, make_cast
from tests.emptying import as_superuser, empty, empty_tables
from tests.fakes.model import FakeModel
from tests.outside import Knock, until

LIMITS = (
    "BESPOKE_REQUESTS_PER_MINUTE", "BESPOKE_KEY_REQUESTS_PER_MINUTE", "BESPOKE_CONCURRENT_RUNS",
    "BESPOKE_KEY_CONCURRENT_RUNS",
)  # fmt: skip
ALIASES = {"default": "DATABASE_URL", "operator": "DATABASE_OPERATOR_URL", "owner": "DATABASE_OWNER_URL"}
REAL, REAL_RUN = (
    f"{column} <> '00000000-0000-0000-0000-000000000002'" for column in ("feature", "feature_id")
)  # no canary


class Program:
    """One process of ours, in a group of its own, its output in a log that can be read."""

    def __init__(self, name: str, command: list[str], stack: "Stack", fd: int = -1) -> None:
        self.name, self.log = name, stack.folder / f"{name}.log"
        self._command, self._environment, self._fd = command, dict(stack.environment), fd
        self._register = stack.register
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, **environment: str) -> "Program":
        if not self.runs:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env={**self._environment, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(self._fd,) if self._fd >= 0 else (),
                    start_new_session=True,
                )
            self._register.add(self.name, self.process.pid)
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As the kernel would when memory ends: no handler runs."""
        if self.runs:
            self.signal(signal.SIGKILL)
            self.ended(5)

    def stop(self, patience: float = 10) -> None:
        """In good order, or by force after `patience` seconds."""
        if self.runs:
            self.signal(signal.SIGTERM)
            try:
                self.ended(patience)
            except subprocess.TimeoutExpired:
                self.kill()

    def ended(self, patience: float) -> int:
        """Wait for its end and return its status. Raises TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(patience)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Stack:
    """Web, worker and beat, and what they stand on."""

    cast: Cast

    def __init__(self, environment: dict[str, str], folder: Path, model: FakeModel) -> None:
        self.folder, self.model = folder, model
        self.register = Register(folder / "processes.json")
        self._guard = Guard(self.register.path)
        self._socket = listen(0, None)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.environment = {
            **os.environ,
            **environment,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "a-key",
            "BESPOKE_BASE_URL": self.base_url,
            "BESPOKE_DB_POOLED": "1",
            "BESPOKE_DB_POOL": "6",
            "BESPOKE_TENANT_SLOTS": "16",
            "BESPOKE_WORKER_SLOTS": "8",  # web must know what a full worker is
            "BESPOKE_LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
            "BESPOKE_OUTBOUND_NETWORKS": "127.0.0.0/8",
            **dict.fromkeys(LIMITS, "1000000"),  # storms and machines ask for more than anybody may
        }
        descriptor = self._socket.fileno()
        self.web = self.program("web", [sys.executable, "-m", "backend.local.web", str(descriptor)], descriptor)
        self.worker = self.a_worker("worker")
        self.beat = self.celery("beat", "beat", "--schedule", str(folder / "beat"), "--pidfile", "")

    def program(self, name: str, command: list[str], descriptor: int = -1) -> Program:
        return Program(name, command, self, descriptor)

    def celery(self, name: str, *arguments: str) -> Program:
        return self.program(name, [sys.executable, "-m", "celery", "-A", "backend", *arguments])

    def a_worker(self, name: str, slots: int = 8) -> Program:
        """A worker as production starts it, not started yet."""
        self.environment["BESPOKE_WORKER_SLOTS"] = str(slots)
        pool = ("--pool", "threads", "--without-gossip", "--without-mingle")
        return self.celery(name, "worker", *pool, "--hostname", f"{name}@here", "--loglevel", "INFO")

    def start(self) -> None:
        """Start whatever does not run, and wait until the database, the broker and a worker have answered."""
        for program in (self.web, self.worker, self.beat):
            program.start()
        until(self.ready, f"ready; worker: {self.worker.said()[-2000:]} web: {self.web.said()[-2000:]}", 60)

    def ready(self) -> bool:
        return self.readiness()[0] == 200

    def readiness(self) -> tuple[int, dict[str, str]]:
        """What /readyz says."""
        answer = httpx2.get(f"{self.base_url}/readyz", timeout=30)
        return answer.status_code, answer.json()

    def stop(self) -> None:
        for program in (self.beat, self.worker, self.web):
            program.kill()
        self._socket.close()
        self._guard.dismiss()

    def knock(self, who: str, **headers: str) -> Knock:
        """Knock at the API as one of the cast, by name."""
        return Knock(self.base_url, self.cast.key(getattr(self.cast, who)), **headers)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the database as nobody in the product may: as the server's superuser, past every policy."""
        with psycopg.connect(self.environment["TEST_SUPERUSER_URL"], autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def ledger(self, *run_ids: str) -> list[tuple[str, int]]:
        """(state, how many) of ledger rows of runs."""
        found = self.rows("SELECT state, count(*) FROM runs_ledger WHERE run = ANY(%s) GROUP BY 1", list(run_ids))
        return sorted(found)

    def attempts(self, run_id: str) -> list[str]:
        """The outcomes of a run's attempts, in order."""
        return [row[0] for row in self.rows("SELECT outcome FROM runs_attempt WHERE run = %s ORDER BY number", run_id)]

    def waiting(self) -> int:
        """How many runs have not ended."""
        return int(self.rows("SELECT count(*) FROM runs_queued WHERE " + REAL)[0][0])

    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self.environment["REDIS_URL"])

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


@contextlib.contextmanager
def led_to(environment: dict[str, str]) -> Iterator[None]:
    """Lead this process's own connections to another database, for as long as it lasts."""
    before = {alias: dict(connections.databases[alias]) for alias in ALIASES}
    _close()
    try:
        for alias, name in ALIASES.items():
            where = database(environment[name], {})
            for part in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):
                connections.databases[alias][part] = where[part]
        forget()
        yield
    finally:
        _close()
        forget()
        for alias, settings in before.items():
            connections.databases[alias].update(settings)


def _close() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()


def _empty(environment: dict[str, str]) -> None:
    """Empty the database under the running processes; whoever holds a lock then is given way to."""
    with psycopg.connect(environment["TEST_SUPERUSER_URL"], autocommit=True) as connection:
        empty(connection)


def other_database(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


def copy_database(name: str) -> None:
    """Copy this test process's migrated database, to which it holds no connection now."""
    _close()
    empty_tables.close()
    template = urlsplit(os.environ["DATABASE_OWNER_URL"]).path.removeprefix("/")
    with psycopg.connect(other_database(os.environ["DATABASE_OWNER_URL"], "bespoke"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        server.execute(copied.format(sql.Identifier(name), sql.Identifier(template)))


@pytest.fixture(scope="session")
def _own_environment(django_db_setup: None) -> dict[str, str]:
    """A copy of this test process's migrated database, and a Valkey number that nobody else uses."""
    name = f"{connections['owner'].settings_dict['NAME']}_stack"
    copy_database(name)
    urls = {variable: other_database(os.environ[variable], name) for variable in ALIASES.values()}
    number = int(urlsplit(os.environ["REDIS_URL"]).path.removeprefix("/")) + 8
    return {
        **urls,
        "REDIS_URL": urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl(),
        "TEST_SUPERUSER_URL": as_superuser(urls["DATABASE_OWNER_URL"]),
    }


@pytest.fixture(scope="session")
def processes(
    _own_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Stack]:
    """The processes of the session, running; `stack` gives them a fresh cast and script."""
    with FakeModel() as model:
        everything = Stack(_own_environment, tmp_path_factory.mktemp("processes"), model)
        try:
            everything.start()
            yield everything
        finally:
            everything.stop()


@pytest.fixture
def stack(processes: Stack, django_db_blocker: Any) -> Iterator[Stack]:
    """Web, worker and beat running, with a fresh cast and a model without a script."""
    with _set(processes, django_db_blocker) as ready:
        ready.start()
        yield ready


@contextlib.contextmanager
def _set(stack: Stack, blocker: Any) -> Iterator[Stack]:
    stack.model.reset()
    with blocker.unblock(), led_to(stack.environment):
        _empty(stack.environment)
        stack.cast = make_cast()
        try:
            yield stack
        finally:
            stack.model.reset()


class Ruins(Stack):
    """A stack on servers of its own, which may be stopped and started again under the same address."""

    def __init__(self, services: Services, folder: Path, model: FakeModel) -> None:
        superuser = services.postgres.url(database="bespoke")
        super().__init__({**services.environ(), "TEST_SUPERUSER_URL": superuser}, folder, model)
        self._postgres, self._valkey = services.postgres, services.valkey
        with psycopg.connect(superuser, autocommit=True) as connection:  # what is committed outlives a crash here
            connection.execute("ALTER DATABASE bespoke SET synchronous_commit = on")

    def stop_postgres(self) -> None:
        """As a crash: connections break off, nothing is written down in order."""
        self._postgres.stop("immediate")

    def start_postgres(self) -> None:
        if self._postgres.process.poll() is not None:
            home, sockets = self._postgres.data.parent, self._postgres.sockets
            self._postgres = postgres.start(home, settings=postgres.THROWAWAY, sockets=sockets)
            self.register.add("postgres", self._postgres.process.pid, signal.SIGQUIT)

    def stop_valkey(self) -> None:
        self._valkey.process.kill()
        self._valkey.process.wait()

    def start_valkey(self) -> None:
        if self._valkey.process.poll() is not None:
            self._valkey = valkey.start(self.folder / "valkey", durable=False, like=self._valkey)
            self.register.add("valkey", self._valkey.process.pid)

    def heal(self) -> None:
        self.start_postgres()
        self.start_valkey()

    def stop(self) -> None:
        super().stop()
        self._valkey.stop()
        self._postgres.stop("immediate")


@pytest.fixture(scope="session")
def _ruins(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any) -> Iterator[Ruins]:
    with throwaway_services() as services, FakeModel() as model:
        with django_db_blocker.unblock(), led_to(services.environ()):
            call_command("migrate", database="owner", verbosity=0)
        ruins = Ruins(services, tmp_path_factory.mktemp("ruins"), model)
        try:
            yield ruins
        finally:
            ruins.stop()


@pytest.fixture
def ruins(_ruins: Ruins, django_db_blocker: Any) -> Iterator[Ruins]:
    """As `stack`, on a PostgreSQL and a Valkey of its own, which are started again after the test."""
    _ruins.heal()
    with _set(_ruins, django_db_blocker) as ready:
        ready.start()
        yield ready
        ready.heal()
