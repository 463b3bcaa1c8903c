"""Starts everything that one machine needs, keeps it running, and stops exactly that."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from backend.local import model, postgres, valkey, web
from backend.local.environment import RUNNING, Unfit, database_urls, given, settings_for, with_settled
from backend.local.keeper import Keeper, Part
from backend.local.lock import only_one
from backend.local.paths import LOGS, ROOT, VAR, kept_secret, write_private
from backend.local.processes import Guard, Register, end
from backend.local.roles import DatabaseUrls, make_roles

GROUND, MODEL, FRONT = range(3)  # stages: the last is stopped first
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LARGEST_LOG: Final = 10_000_000  # bytes
PATIENCE: Final = 90.0  # seconds from the start of web and worker to the first answer


class StartFailed(Exception):
    """Something did not start; the message says what, and how its log ends."""


@dataclass(frozen=True, slots=True)
class Running:
    """What there is while everything runs."""

    base_url: str
    settings: Mapping[str, str]


@contextmanager
def everything(console: Console) -> Iterator[Running]:
    """Start all parts, hand over when the first request can come, stop all parts at the end.

    SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread. Raises AlreadyRunning, Unfit, StartFailed
    and the parts' own errors.
    """
    with ExitStack() as stack:
        stack.enter_context(only_one(VAR))
        listening = stack.enter_context(_web_socket())
        base_url = f"http://{web.HOST}:{listening.getsockname()[1]}"
        write_private(VAR / "port", str(listening.getsockname()[1]))
        for number in ENDING:
            signal.signal(number, signal.default_int_handler)
        _keep_logs_small()
        register = Register(VAR / "processes.json")
        end(register.leftovers())
        stack.callback(Guard(register.path).dismiss)
        afterwards = stack.enter_context(ExitStack())
        keeper = Keeper(register, lambda text: console.print(f"[yellow]{text}[/] (logs: var/log/)"))
        stack.callback(keeper.stop)
        stack.callback(_deaf)  # runs first: a second Ctrl-C must not break the stopping off
        stack.callback(RUNNING.unlink, missing_ok=True)
        yield Running(base_url, _start(console, keeper, listening, base_url, afterwards))


def _start(
    console: Console, keeper: Keeper, listening: socket.socket, base_url: str, afterwards: ExitStack
) -> Mapping[str, str]:
    """The start, step by step; what can load meanwhile is begun early. Returns what was settled."""
    model_key = kept_secret("model-key")
    loading = None if given("OPENAI_BASE_URL") else _begin_model(keeper, model_key)
    with _step(console, "PostgreSQL"):
        urls = _database(keeper, afterwards)
    with _step(console, "Valkey"):
        redis_url = given("REDIS_URL") or _redis(keeper)
    demo_model = None
    if loading:
        with _step(console, "135M demo model"):
            demo_model = model.wait_ready(loading, VAR / "model.json").url, model_key
    settled = settings_for(urls, redis_url=redis_url, base_url=base_url, demo_model=demo_model)
    write_private(RUNNING, json.dumps(settled))
    environment = with_settled(settled)
    with _step(console, "migrations, catalog, demo accounts"):
        _prepare(environment, base_url)
    with _step(console, "web, worker, scheduler"):
        _begin_product(keeper, environment, listening)
        _wait_until_ready(keeper, base_url)
    return settled


@contextmanager
def _step(console: Console, name: str) -> Iterator[None]:
    """A spinner while it lasts, one line with its time when it is done."""
    began = time.monotonic()
    with console.status(f"{name} …"):
        yield
    console.print(f"  [green]✓[/] {name:<36} [dim]{time.monotonic() - began:5.1f} s[/]", highlight=False)


def _begin_model(keeper: Keeper, key: str) -> subprocess.Popen[bytes]:
    def launch() -> subprocess.Popen[bytes]:
        with (LOGS / "model.log").open("ab") as log:
            return model.launch(VAR / "model.json", key, log)

    return keeper.keep(Part("model", MODEL, launch))


def _database(keeper: Keeper, afterwards: ExitStack) -> DatabaseUrls:
    """The real server that DATABASE_URL names, or an embedded one that comes back at the same place if it dies."""
    if url := given("DATABASE_URL"):
        return database_urls(url)
    started: list[postgres.Postgres] = []

    def launch() -> subprocess.Popen[bytes]:
        sockets = started[0].sockets if started else None
        started.append(postgres.start(VAR / "postgres", sockets=sockets, log=LOGS / "postgres.log"))
        return started[-1].process

    keeper.keep(Part("postgres", GROUND, launch, signal.SIGINT))
    afterwards.callback(shutil.rmtree, started[0].sockets, ignore_errors=True)
    return make_roles(started[0].url())


def _redis(keeper: Keeper) -> str:
    started: list[valkey.Valkey] = []

    def launch() -> subprocess.Popen[bytes]:
        like = started[0] if started else None
        started.append(valkey.start(VAR / "valkey", like=like, log=LOGS / "valkey.log"))
        return started[-1].process

    keeper.keep(Part("valkey", GROUND, launch))
    return started[0].url()


def _prepare(environment: Mapping[str, str], base_url: str) -> None:
    log = LOGS / "prepare.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "backend.local.prepare", base_url]
        nothing = subprocess.DEVNULL
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=nothing, stdout=output, stderr=output)
    if done.returncode:
        raise StartFailed(f"Migrations, catalog or demo accounts failed:\n{_tail('prepare')}")


def _begin_product(keeper: Keeper, environment: Mapping[str, str], listening: socket.socket) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "backend"]
    worker = [*celery, "worker", "--pool", "threads", "--without-gossip", "--without-mingle"]
    beat = [*celery, "beat", "--schedule", str(VAR / "beat-schedule"), "--pidfile", ""]
    serving = [sys.executable, "-m", "backend.local.web", str(listening.fileno())]
    for name, command in {"web": serving, "worker": [*worker, "--loglevel", "INFO"], "beat": beat}.items():
        descriptors = (listening.fileno(),) if name == "web" else ()
        keeper.keep(Part(name, FRONT, _program(name, command, environment, descriptors)))


def _program(
    name: str, command: list[str], environment: Mapping[str, str], descriptors: tuple[int, ...]
) -> Callable[[], subprocess.Popen[bytes]]:
    def launch() -> subprocess.Popen[bytes]:
        with (LOGS / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,
            )

    return launch


def _wait_until_ready(keeper: Keeper, base_url: str) -> None:
    """Until /readyz says 200: the database, the broker and a worker have answered."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{base_url}/readyz", timeout=5):  # noqa: S310  # our own loopback address
                return
        except (urllib.error.URLError, OSError):
            if failing := keeper.failing():
                raise StartFailed(f"{failing[0]} keeps ending:\n{_tail(failing[0])}") from None
        time.sleep(0.1)
    raise StartFailed(f"No answer from {base_url}/readyz within {PATIENCE:.0f} s:\n{_tail('web')}\n{_tail('worker')}")


@contextmanager
def _web_socket() -> Iterator[socket.socket]:
    """PORT, or the port of last time, or the next free one. Raises Unfit."""
    wanted, note = given("PORT"), VAR / "port"
    if wanted is not None and not (wanted.isdecimal() and int(wanted) < 65536):
        raise Unfit(f"PORT is a number below 65536, not {wanted!r}.")
    remembered = int(note.read_text(encoding="utf-8")) if note.exists() else None
    try:
        listening = web.listen(int(wanted) if wanted else None, remembered)
    except OSError as error:
        raise Unfit(f"Port {wanted} cannot be used ({error.strerror}): give another PORT, or none.") from None
    with listening:
        yield listening


def _deaf() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _keep_logs_small() -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    for log in LOGS.glob("*.log"):
        if log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))


def _tail(name: str, lines: int = 15) -> str:
    log = LOGS / f"{name}.log"
    text = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"--- {log.relative_to(ROOT)}", *text[-lines:]])
