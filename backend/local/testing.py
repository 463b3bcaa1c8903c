"""A throwaway PostgreSQL and Valkey for one test session: fast, and gone when the session is, however it ends."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.local import postgres, valkey
from backend.local.processes import Guard, Register
from backend.local.programs import Account
from backend.local.roles import DatabaseUrls, make_roles


@dataclass(frozen=True, slots=True)
class Services:
    """Both servers, the three roles' URLs to a database `bespoke`, and how to reach them."""

    postgres: postgres.Postgres
    valkey: valkey.Valkey
    urls: DatabaseUrls

    def environ(self) -> dict[str, str]:
        """The variables that backend.settings reads."""
        return {**self.urls.environ(), "REDIS_URL": self.valkey.url()}


@contextmanager
def throwaway_services() -> Iterator[Services]:
    """Start both in a temporary folder; the owner may create databases, as Django's test runner must.

    Takes about two seconds. A killed session leaves nothing behind: a guard process ends the servers then.
    """
    folder = _fresh_folder()
    register = Register(folder / "processes.json")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(Guard(register.path, remove=folder).dismiss)
        database = postgres.start(folder / "postgres", settings=postgres.THROWAWAY, sockets=folder / "s")
        register.add("postgres", database.process.pid, signal.SIGQUIT)
        stack.callback(database.stop, "immediate")
        broker = valkey.start(folder / "valkey", durable=False)
        register.add("valkey", broker.process.pid)
        stack.callback(broker.stop)
        yield Services(database, broker, make_roles(database.url(), owner_may_create_databases=True))


def _fresh_folder() -> Path:
    """A folder that the account which runs PostgreSQL can enter: as root, TMPDIR may be root's alone."""
    usual = Path(tempfile.gettempdir())
    place = usual if Account.fit().can_enter(usual) else Path("/tmp")  # noqa: S108  # mkdtemp makes the folder ours
    folder = Path(tempfile.mkdtemp(prefix="bespoke-test-", dir=place))
    folder.chmod(0o755)
    return folder
