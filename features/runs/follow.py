"""Follow a run from outside: the events of its stream as they come, and the row's word where the stream is silent."""

import json
from asyncio import AbstractEventLoop, get_running_loop, sleep
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from redis import RedisError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .events import TERMINAL, stream_key

_clients: WeakKeyDictionary[AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()

SILENCE_SECONDS = 2.0  # how long the stream may be silent before the row is asked
IDLE = 4  # connections that are kept while nobody follows a run


class Pool(redis.asyncio.ConnectionPool):
    """Each who follows has a connection of their own; of those that they leave behind only a few are kept.

    The library's pool keeps as many as there ever were at once.
    """

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        await super().release(connection)
        while len(self._available_connections) > IDLE:
            await self._available_connections.pop(0).disconnect()  # the last come back is the next to go out


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its id in the stream, its name, its data. An empty name says only that the line is alive."""

    id: str
    name: str
    data: dict[str, Any]


async def follow(
    tenant_id: UUID, run_id: UUID, last: str, ended: Callable[[], Awaitable[str | None]], *, just_taken_in: bool = False
) -> AsyncGenerator[Event, None]:
    """Yield a run's events after `last`, up to and including the one that ends it.

    `ended` asks the row: the name of the event that ended the run, or None while it goes on. It is asked at the start,
    unless the run was just taken in, and whenever the stream has been silent, so that a run also ends here whose events
    were lost with Redis.
    """
    key = stream_key(tenant_id, run_id)
    client, name = _client(), None if just_taken_in else await ended()
    while True:
        events = await _read(client, key, last, block=name is None)
        for event in events:
            last = event.id
            yield event
            if event.name in TERMINAL:
                return
        if not events and name is not None:
            yield Event("", name, {})
            return
        if not events:
            name = await ended()
            yield Event("", "", {})


def _client() -> redis.asyncio.Redis:
    """The event loop's client: to connect for each who waits costs more than the waiting."""
    loop = get_running_loop()
    if loop not in _clients:
        _clients[loop] = redis.asyncio.Redis(
            connection_pool=Pool.from_url(
                settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=2 * SILENCE_SECONDS,
                retry=Retry(NoBackoff(), 0),
            ),
        )  # fmt: skip
    return _clients[loop]


async def _read(client: Any, key: str, last: str, *, block: bool) -> list[Event]:
    try:
        found = await client.xread({key: last}, count=500, block=int(SILENCE_SECONDS * 1000) if block else None)
    except RedisError:
        if block:
            await sleep(SILENCE_SECONDS / 4)
        return []
    rows = found[0][1] if found else []
    return [Event(i.decode(), row[b"event"].decode(), json.loads(row[b"data"])) for i, row in rows]
