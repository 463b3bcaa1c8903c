"""The counts of guesses that allauth keeps in Valkey, and when the one that refused somebody lets them in again.

allauth says only that somebody is refused. Whatever limit it asks it reads from the cache: a list of times, the newest
first, under a key that says how many are let in within how many seconds. So the last one that was read is the one that
refused.
"""

import math
import re
import time
from contextvars import ContextVar
from typing import Any

from django.core.cache.backends.redis import RedisCache

_LIMIT = re.compile(r"allauth:rl:[^:]+:[^:]+:(\d+)/([\d.]+)/\w+:")  # how many, in how many seconds
_read: ContextVar[tuple[int, float, list[float]] | None] = ContextVar("limit", default=None)


class Guesses(RedisCache):
    """Django's cache in Valkey, which remembers for the one who asks what limit was read last."""

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        value = super().get(key, default, version)
        if limit := _LIMIT.match(key):
            _read.set((int(limit[1]), float(limit[2]), list(value or ())))
        return value


def seconds_left() -> int:
    """How long whoever is being refused has to wait: whole seconds, at least 1.

    1 where no count was full: then too many asked at the same moment for allauth to look.
    """
    limit = _read.get()
    if limit is None:
        return 1
    most, seconds, times = limit
    return max(1, math.ceil(times[most - 1] + seconds - time.time())) if len(times) >= most else 1
