"""Callers from outside: over HTTP, with a key, reading server-sent events as they come."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

PATIENCE = 30.0
T = TypeVar("T")


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Ask again and again until the answer is true, and return it; fail after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.02)  # between two looks at another process: it cannot wake us
    return found


def within(seconds: float, work: Callable[[], T], tries: int = 3) -> T:
    """Do something that takes no longer than so many seconds: in one of a few tries.

    What a machine that stands still for a moment adds, it does not add each time; what the work itself takes, it does.
    """
    for _ in range(tries):
        began = time.monotonic()
        done = work()
        took = time.monotonic() - began
        if took <= seconds:
            return done
    raise AssertionError(f"{tries} times not within {seconds:g} s; at last {took:.2f}")


class Knock:
    """A caller of the API over HTTP with somebody's key; paths are below /api/v1."""

    def __init__(self, base_url: str, key: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.client = httpx2.Client(
            base_url=f"{base_url}/api/v1", headers={"Authorization": f"Bearer {key}", **named}, timeout=60
        )

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.client.get(path, headers=_named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return self.client.post(path, json={} if body is None else body, headers=_named(headers))

    def put(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return self.client.put(path, json=body, headers=_named(headers))

    def run(self, name: str = "Ann", *, prefer: str = "wait=20", feature: str = "greet", **headers: str) -> Any:
        """Run a feature whose input is a name."""
        return self.post(f"/features/{feature}/runs", {"input": {"name": name}}, prefer=prefer, **headers)

    def ended(self, run_id: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until a run has ended, and return it."""

        def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.get(f"/runs/{run_id}").json()
            return shown if shown.get("state") in ("succeeded", "failed", "cancelled") else None

        found: dict[str, Any] = until(look, f"run {run_id} ends", patience)
        return found

    @contextlib.contextmanager
    def events(self, path: str, body: Any = None, **headers: str) -> Iterator["Events"]:
        """Follow server-sent events; with a body they are those of a new run."""
        method, named = ("GET", headers) if body is None else ("POST", {**headers, "accept": "text/event-stream"})
        with self.client.stream(method, path, json=body, headers=_named(named)) as response:
            yield Events(response)


@dataclass
class Seen:
    """One server-sent event."""

    name: str
    data: dict[str, Any]
    id: str | None


class Events:
    """Reads a stream of server-sent events one by one."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[Seen]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif not line and fields:
                yield Seen(fields["event"], json.loads(fields["data"]), fields.get("id"))
                fields = {}

    def next(self, name: str) -> Seen:
        """Read up to the next event of a name."""
        return next(event for event in self if event.name == name)

    def names(self) -> list[str]:
        return [event.name for event in self]


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
