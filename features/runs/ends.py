"""Be told that a run has ended: one subscription for everybody in the process who waits, and the row's word without it.

The events of a run are for those who look on as it is written (follow.py); who only wants the end would be woken by
each of them.
"""

import asyncio
from asyncio import AbstractEventLoop, Future, Task, get_running_loop
from collections.abc import Awaitable, Callable
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from redis import RedisError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .events import ENDED

SILENCE_SECONDS = 2.0  # without a word, after which the row is asked
RETRY_SECONDS = 0.5  # the same while Valkey is away, and until it is tried again
ALIVE_SECONDS = 15.0  # of silence, after which the connection is tried
LATELY = 10_000  # runs whose end came before anybody here waited for it


class Ends:
    """The ends of all runs, as one event loop hears them."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, list[Future[bool]]] = {}
        self._lately: dict[UUID, None] = {}
        self._listens = False
        self._task: Task[None] | None = None

    async def wait(self, run_id: UUID, has_ended: Callable[[], Awaitable[bool]]) -> None:
        """Return when a run has ended. `has_ended` asks its row, when what was told of it may have been lost."""
        if self._task is None or self._task.done():
            self._task = get_running_loop().create_task(self._listen())
        while run_id not in self._lately and not await self._told(run_id) and not await has_ended():
            pass

    async def _told(self, run_id: UUID) -> bool:
        """Whether the run's end is told before it is time to ask the row."""
        future: Future[bool] = get_running_loop().create_future()
        self._waiting.setdefault(run_id, []).append(future)
        try:
            await asyncio.wait([future], timeout=SILENCE_SECONDS if self._listens else RETRY_SECONDS)
            return future.done() and future.result()
        finally:
            waiting = self._waiting[run_id]
            waiting.remove(future)
            if not waiting:
                del self._waiting[run_id]

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        async with client:
            while True:
                try:
                    async with client.pubsub() as heard:
                        await heard.subscribe(ENDED)
                        await self._hear(heard)
                except (RedisError, OSError):
                    if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # it failed while it was stopped
                        raise
                    self._listens = False
                    await asyncio.sleep(RETRY_SECONDS)

    async def _hear(self, heard: redis.asyncio.client.PubSub) -> None:
        tried = False
        while True:
            message = await heard.get_message(timeout=ALIVE_SECONDS)
            if message is None and tried:
                raise redis.ConnectionError("nothing is heard any more")
            tried = message is None
            if message is None:
                await heard.ping()
            elif message["type"] == "message":
                self._ended(UUID(message["data"].decode()))
            elif message["type"] == "subscribe":  # what ended before is not told any more: everybody asks the row
                self._listens = True
                for run_id in list(self._waiting):
                    self._tell(run_id, ended=False)

    def _ended(self, run_id: UUID) -> None:
        self._lately[run_id] = None
        if len(self._lately) > LATELY:
            del self._lately[next(iter(self._lately))]
        self._tell(run_id, ended=True)

    def _tell(self, run_id: UUID, *, ended: bool) -> None:
        for future in self._waiting.get(run_id, ()):
            if not future.done():
                future.set_result(ended)


_of_loops: WeakKeyDictionary[AbstractEventLoop, Ends] = WeakKeyDictionary()


async def until_ended(run_id: UUID, has_ended: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait until a run has ended, for at most so long."""
    ends = _of_loops.setdefault(get_running_loop(), Ends())
    try:
        async with asyncio.timeout(seconds):
            await ends.wait(run_id, has_ended)
    except TimeoutError:
        return
