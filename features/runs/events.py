"""What happens in a run, told as it happens: a Redis stream per run, read by doors that wait or stream.

Nothing depends on it: with Redis away the run goes on, and doors look at the row instead. What several runs have to say
at the same moment goes in one round trip: whoever sends takes along what the others have said meanwhile. The text of
answers, which comes in many small pieces, waits a moment for more of it.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tenants import valkey

TERMINAL = frozenset({"done", "failed", "cancelled"})
ENDED = "runs:ended"  # the channel that is told the id of each run that has ended
KEPT_SECONDS = 3600
LONGEST = 5000
TEXT_SECONDS = 0.03  # what comes of an answer within it is one event, but for the first


def stream_key(tenant_id: UUID, run_id: UUID) -> str:
    """The key of a run's stream; the tenant is part of it."""
    return f"run:{tenant_id}:{run_id}"


def tell(tenant_id: UUID, run_id: UUID, event: str, **data: Any) -> None:
    """Add an event to a run's stream. Redis being away is no reason for a run to fail, so that is let go."""
    _outbox.put(_Told(stream_key(tenant_id, run_id), event, data))
    _outbox.send()


def hear(tenant_id: UUID, run_id: UUID, text: str, *, first: bool) -> None:
    """Add a piece of an answer to a run's stream, the first at once; never waits for Redis."""
    _outbox.put(_Told(stream_key(tenant_id, run_id), "delta", {"text": text}))
    _texts.wake(now=first)


def along(command: Callable[[Any], None]) -> None:
    """Have a command on a Redis pipeline done with the next event that anybody tells."""
    _outbox.put(command)


def drop_streams(tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
    """Forget what was told of runs that are no more; with Redis away it ends by itself."""
    keys = [stream_key(tenant_id, run_id) for run_id in run_ids]
    if keys:
        valkey.ask(lambda: valkey.client.delete(*keys), None)


@dataclass(slots=True)
class _Told:
    key: str
    event: str
    data: dict[str, Any]


class _Outbox:
    """What is to be said, and one sender at a time: nobody waits for another's round trip."""

    def __init__(self) -> None:
        self._waiting: deque[_Told | Callable[[Any], None]] = deque()
        self._sending = threading.Lock()

    def put(self, item: _Told | Callable[[Any], None]) -> None:
        self._waiting.append(item)

    def send(self) -> None:
        """Send all that waits, or leave it to whoever sends just now, who looks again when that is done."""
        while self._waiting and self._sending.acquire(blocking=False):
            try:
                valkey.ask(self._send_waiting(), None)
            finally:
                self._sending.release()

    def waits(self) -> bool:
        return bool(self._waiting)

    def _send_waiting(self) -> Callable[[], None]:
        items = [self._waiting.popleft() for _ in range(len(self._waiting))]
        commands = [item for item in items if not isinstance(item, _Told)]
        told = _with_whole_texts([item for item in items if isinstance(item, _Told)])

        def add() -> None:
            with valkey.client.pipeline(transaction=False) as pipe:
                for command in commands:  # first: who hears of an end may ask at once for what it frees
                    command(pipe)
                for one in told:
                    fields: dict[Any, Any] = {"event": one.event, "data": json.dumps(one.data, ensure_ascii=False)}
                    pipe.xadd(one.key, fields, maxlen=LONGEST)
                    if one.event in TERMINAL:
                        pipe.publish(ENDED, one.key.rpartition(":")[2])
                for key in {one.key for one in told}:
                    pipe.expire(key, KEPT_SECONDS)
                pipe.execute()

        return add


class _Texts:
    """The thread that sends the pieces of answers: at once after a silence, then at most each TEXT_SECONDS."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._asleep = True

    def wake(self, *, now: bool) -> None:
        """Say that there is text; it is sent `now` or within TEXT_SECONDS."""
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if (now or self._asleep) and not self._wake.is_set():
            self._asleep = False
            self._wake.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send, name="texts", daemon=True)
                self._thread.start()

    def _send(self) -> None:
        while True:
            self._asleep = not self._wake.wait(TEXT_SECONDS) and not _outbox.waits()
            if self._asleep and not _outbox.waits():  # asked again: who came before `_asleep` was set woke nobody
                self._wake.wait()
            self._asleep = False
            self._wake.clear()
            _outbox.send()


def _with_whole_texts(told: list[_Told]) -> list[_Told]:
    """The same events, pieces of text that follow each other in one run joined."""
    found: list[_Told] = []
    last: dict[str, _Told] = {}
    for one in told:
        before = last.get(one.key)
        if before is not None and before.event == one.event == "delta":
            before.data["text"] += one.data["text"]
            continue
        found.append(one)
        last[one.key] = one
    return found


_outbox, _texts = _Outbox(), _Texts()
