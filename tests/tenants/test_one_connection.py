"""Two tenants take turns on one connection to the database, and whatever goes wrong on it, neither meets the other (T2).

Once through our own pool, as web and worker have it, and once through pgbouncer in transaction mode where that is
installed (Debian: `apt-get install pgbouncer`).
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import DatabaseError, connection, connections, transaction

from backend.local.programs import Account
from backend.local.testing import _fresh_folder
from tenants.isolation import tenant_tx
from tenants.models import Subject
from tests.cast import Cast
from tests.outside import until
from tests.processes import as_superuser

THREADS = 8
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
TURNS = [pytest.param(400, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.slow)]


class Rude(Exception):
    """What work raises in the middle of its transaction."""


def read_again(_: Callable[[int], None]) -> None:
    """Nothing goes wrong."""


def raise_something(_: Callable[[int], None]) -> None:
    raise Rude


def write_and_take_back(_: Callable[[int], None]) -> None:
    Subject.objects.update(kind="external")
    raise Rude


def roll_a_savepoint_back(_: Callable[[int], None]) -> None:
    with contextlib.suppress(Rude), transaction.atomic():
        Subject.objects.update(kind="external")
        raise Rude


def break_a_savepoint(_: Callable[[int], None]) -> None:
    with contextlib.suppress(DatabaseError), transaction.atomic():
        Subject.objects.raw("SELECT nothing FROM tenants_subject")[0]


def be_cancelled(_: Callable[[int], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1ms'")
        cursor.execute("SELECT pg_sleep(5)")


def be_cancelled_in_a_savepoint(_: Callable[[int], None]) -> None:
    with contextlib.suppress(DatabaseError), transaction.atomic():
        be_cancelled(_)


def leave_an_answer_unread(_: Callable[[int], None]) -> None:
    """As redis-py's callers once did: asked, and gone before the answer came (OpenAI, 2023-03-20)."""
    connection.connection.pgconn.send_query(b"SELECT count(*) FROM tenants_subject")
    raise Rude


def be_killed(kill: Callable[[int], None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        kill(cursor.fetchone()[0])
    Subject.objects.count()


ORDINARY = (read_again, raise_something, write_and_take_back, roll_a_savepoint_back, break_a_savepoint)
RARE = (be_cancelled, be_cancelled_in_a_savepoint, leave_an_answer_unread, be_killed)


class Turns:
    """What threads saw who took turns: rows of others, rows without a tenant, and what was done in between."""

    def __init__(self, cast: Cast, kill: Callable[[int], None]) -> None:
        self.tenants = (cast.ada.tenant_id, cast.gus.tenant_id)
        self.kill = kill
        self.foreign = self.without = self.empty = 0
        self.done: Counter[str] = Counter()
        self.servers: Counter[int] = Counter()
        self.failed: list[BaseException] = []
        self._lock = threading.Lock()

    def take(self, turns: int) -> None:
        """Take so many turns, of THREADS threads together."""
        each = [threading.Thread(target=self._thread, args=(n, turns // THREADS)) for n in range(THREADS)]
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
        assert self.failed == []

    def _thread(self, number: int, turns: int) -> None:
        draw = random.Random(number)
        try:
            for turn in range(turns):
                self._turn(self.tenants[(turn + number) % 2], draw)
        except BaseException as error:  # noqa: BLE001
            self.failed.append(error)
        finally:
            connections.close_all()

    def _turn(self, tenant: UUID, draw: random.Random) -> None:
        work = draw.choice(RARE if draw.random() < 0.1 else ORDINARY)
        with contextlib.suppress(Rude, DatabaseError), tenant_tx(tenant):
            self._look(tenant)
            work(self.kill)
            self._look(tenant)
        if draw.random() < 0.3:
            self._look_without_a_tenant()
        with self._lock:
            self.done[work.__name__] += 1
        with contextlib.suppress(DatabaseError):
            connection.close()  # as at the end of every request and run: the next thread has it now

    def _look(self, tenant: UUID) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tenant_id, pg_backend_pid() FROM tenants_subject")
            found = cursor.fetchall()
        with self._lock:
            self.servers[found[0][1] if found else 0] += 1
            self.foreign += sum(row[0] != tenant for row in found)
            self.empty += not found

    def _look_without_a_tenant(self) -> None:
        with contextlib.suppress(DatabaseError):
            found = list(Subject.objects.values_list("tenant_id"))
            with self._lock:  # an answer of any kind, also of no rows, is one too many
                self.without += 1 + len(found)


@contextmanager
def connected(**parts: Any) -> Iterator[None]:
    """Lead the app's connections of all threads elsewhere, for as long as it lasts."""
    ours = connections.databases["default"]
    before = {**ours, "OPTIONS": dict(ours["OPTIONS"])}
    connections["default"].close()
    try:
        ours.update(parts)
        yield
    finally:
        connections["default"].close()
        connections["default"].close_pool()
        ours.update(before)


@pytest.fixture
def kill() -> Iterator[Callable[[int], None]]:
    """End a server process, as nobody but the superuser can."""
    lock = threading.Lock()
    with psycopg.connect(as_superuser(os.environ["DATABASE_OWNER_URL"]), autocommit=True) as server:

        def end(pid: int) -> None:
            with lock:
                server.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

        yield end


def judge(turns: Turns, taken: int) -> None:
    assert (turns.foreign, turns.without, turns.empty) == (0, 0, 0)
    assert sum(turns.done.values()) == taken
    assert {work.__name__ for work in (*ORDINARY, *RARE)} <= turns.done.keys()
    # One connection at a time: no more servers than were killed or had to be let go, and each served many turns.
    ended = turns.done["be_killed"] + turns.done["leave_an_answer_unread"]
    assert len(turns.servers) <= 2 + ended


@pytest.mark.parametrize("taken", TURNS)
def test_two_tenants_on_a_pool_of_one_connection_never_meet(
    taken: int, cast: Cast, kill: Callable[[int], None]
) -> None:
    pool = {"min_size": 1, "max_size": 1, "timeout": 60, "reconnect_timeout": 2}
    turns = Turns(cast, kill)
    with connected(OPTIONS={**connections.databases["default"]["OPTIONS"], "pool": pool}):
        turns.take(taken)
    judge(turns, taken)


@pytest.fixture
def pgbouncer(committed: None) -> Iterator[dict[str, Any]]:
    """A pgbouncer in transaction mode with one connection to our database; yields where it is."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    ours, account, folder = connections.databases["default"], Account.fit(), _fresh_folder()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "users.txt").write_text('"bespoke_app" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\nours = host={ours['HOST']} port={ours['PORT'] or 5432} dbname={ours['NAME']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 1\n"
        "ignore_startup_parameters = options\nserver_login_retry = 0\n"
    )
    process = subprocess.Popen(
        [PGBOUNCER, folder / "pgbouncer.ini"], cwd="/", stderr=subprocess.DEVNULL, **account.switch
    )
    try:
        until(lambda: _answers(port), "pgbouncer answers", 10)
        yield {"NAME": "ours", "HOST": "127.0.0.1", "PORT": str(port)}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        shutil.rmtree(folder)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize("taken", TURNS)
def test_two_tenants_behind_pgbouncer_never_meet(
    taken: int, cast: Cast, kill: Callable[[int], None], pgbouncer: dict[str, Any]
) -> None:
    turns = Turns(cast, kill)
    with connected(**pgbouncer):
        turns.take(taken)
    judge(turns, taken)
