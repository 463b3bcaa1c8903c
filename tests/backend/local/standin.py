"""A small checkout with the real launchers and a stand-in product, to test starting and stopping by themselves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.local.paths import ROOT
from backend.local.processes import identity

PREPARE = """
import json, os, psycopg, redis
from backend.local.paths import VAR, write_private
with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now())")
    connection.execute("INSERT INTO starts DEFAULT VALUES")
    starts = connection.execute("SELECT count(*) FROM starts").fetchone()[0]
redis.from_url(os.environ["REDIS_URL"]).ping()
people = {name: {"email": name, "password": "p"} for name in "operator ada alice bob gus mallory".split()}
write_private(VAR / "demo.json", json.dumps({**people, "starts": starts}))
"""
ASGI = """
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"].endswith("shutdown"):
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})
"""
HTTP = """
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as BoundedProtocol
"""
CELERY = """
import os
from celery import Celery
app = Celery("standin", broker=os.environ["REDIS_URL"])
"""


class Checkout:
    """A started supervisor in a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.said = folder / "said.txt"
        ours = ("DATABASE_", "REDIS_", "SECRET_", "DJANGO_", "BESPOKE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend.local", "serve"],
                cwd=folder,
                # No model here: it has tests of its own, and two of them would fill the machine.
                env={**kept, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "COLUMNS": "100", **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def parts(self) -> dict[str, int]:
        """Process ids by name, as the register has them."""
        return {row["name"]: row["pid"] for row in json.loads((self.folder / "var/processes.json").read_text())}

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 'var/port').read_text()}"

    def ready(self) -> "Checkout":
        wait_for(lambda: "Bespoke is at" in self.said.read_text() or self.process.poll() is not None, "its start")
        assert self.process.poll() is None, self.said.read_text()
        return self

    def answers(self) -> bytes:
        with urllib.request.urlopen(self.base_url, timeout=20) as answer:
            return answer.read()

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)


def wait_for(happened: Callable[[], bool], what: str, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not come within {patience} s"
        time.sleep(0.05)


def gone(pids: dict[str, int]) -> bool:
    return not any(identity(pid) for pid in pids.values())


@contextmanager
def checkout(folder: Path, **environment: str) -> Iterator[Checkout]:
    """Lay a checkout with a stand-in product into `folder` (or use the one there) and start it."""
    if not (folder / "backend").exists():
        (folder / "backend").mkdir(parents=True)
        shutil.copytree(ROOT / "backend/local", folder / "backend/local", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        (folder / "backend/__init__.py").touch()
        (folder / "backend/local/prepare.py").write_text(PREPARE)
        (folder / "backend/asgi.py").write_text(ASGI)
        (folder / "backend/celery.py").write_text(CELERY)
        (folder / "backend/http.py").write_text(HTTP)
    started = Checkout(folder, **environment)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop()
