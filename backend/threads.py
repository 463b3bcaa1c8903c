"""The threads in which doors ask the database, each with a connection that it keeps from one request to the next.

What a door does before it waits is one hop to such a thread, and so is what it does after. They are few, and at most
half as many as the pool has connections: the rest is for what Django answers.
"""

import contextvars
import threading
import time
from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections

from tenants.isolation import APP

KEPT_SECONDS = 1.0  # without use, after which the pool looks whether a connection still lives

R = TypeVar("R")

_POOL: dict[str, Any] | None = settings.DATABASES[APP]["OPTIONS"].get("pool")
_MOST = min(settings.DOOR_THREADS, max(1, _POOL["max_size"] // 2)) if _POOL else settings.DOOR_THREADS
_THREADS = ThreadPoolExecutor(_MOST, thread_name_prefix="door")
_used = threading.local()


async def in_thread(function: Callable[..., R], *arguments: Any) -> R:
    """What a synchronous function returns or raises, carried out in a thread that may ask the database."""
    context = contextvars.copy_context()
    return await get_running_loop().run_in_executor(_THREADS, context.run, _kept, function, *arguments)


def _kept(function: Callable[..., R], *arguments: Any) -> R:
    if time.monotonic() - getattr(_used, "at", 0.0) > KEPT_SECONDS:
        connections.close_all()
    try:
        return function(*arguments)
    finally:
        _used.at = time.monotonic()
        for connection in connections.all(initialized_only=True):
            if connection.alias != APP or not _POOL or connection.errors_occurred:
                connection.close()
