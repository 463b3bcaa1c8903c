"""A pytest plugin, loaded before Django's: one throwaway PostgreSQL and Valkey for the session, a database per process.

`-p tests.services` (pyproject.toml) imports this before settings are read, so that they find the addresses in the
environment; processes that tests start (web, worker) inherit them.
"""

import atexit
import os
from contextlib import ExitStack
from urllib.parse import urlsplit

from backend.local.testing import throwaway_services

STARTED = "BESPOKE_TEST_SERVICES"
DATABASES = ("DATABASE_URL", "DATABASE_OPERATOR_URL", "DATABASE_OWNER_URL")


def _start() -> None:
    stack = ExitStack()
    os.environ.update(stack.enter_context(throwaway_services()).environ())
    os.environ[STARTED] = str(os.getpid())
    atexit.register(stack.close)


def _take_own(worker: str) -> None:
    """Give this process (of pytest-xdist, or the only one) its own database and its own number in Valkey."""
    for name in DATABASES:
        os.environ[name] = urlsplit(os.environ[name])._replace(path=f"/test_{worker}").geturl()
    number = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
    os.environ["REDIS_URL"] = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()


for _name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "BESPOKE_MODEL"):
    os.environ.pop(_name, None)
if STARTED not in os.environ:
    _start()
os.environ.update(
    BESPOKE_ENVIRONMENT="local",
    SECRET_KEY="only-for-tests",
    BESPOKE_SECRET_KEYS=f"tests:{'5e' * 32}",
    BESPOKE_PROVIDER="demo",
    BESPOKE_DB_POOLED="0",
    BESPOKE_LOG_LEVEL="WARNING",
    BESPOKE_LEASE_SECONDS="3",
    BESPOKE_CACHE_SECONDS="0",  # tests of the cache make a feature that says otherwise
    BESPOKE_CANARY_SECONDS="2",
    BESPOKE_CANARY_LATE_SECONDS="6",
    ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
)
_take_own(os.environ.get("PYTEST_XDIST_WORKER", "main"))
