"""What happens in a run, told as it happens: a Redis stream per run, read by doors that wait or stream.

Nothing depends on it: with Redis away the run goes on, and doors look at the row instead.
"""

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TERMINAL = frozenset({"done", "failed", "cancelled"})
KEPT_SECONDS = 3600
LONGEST = 5000

PAUSE_SECONDS = 1.0  # after a failure Redis is left alone for so long: a run streams hundreds of events


def connect(url: str) -> redis.Redis:
    """Return a client that answers or fails at once: what it carries may be lost, and must never hold a run up."""
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))


client = connect(settings.REDIS_URL)
_away_until = 0.0


def stream_key(tenant_id: UUID, run_id: UUID) -> str:
    """The key of a run's stream; the tenant is part of it."""
    return f"run:{tenant_id}:{run_id}"


def tell(tenant_id: UUID, run_id: UUID, event: str, **data: Any) -> None:
    """Add an event to a run's stream. Redis being away is no reason for a run to fail, so that is let go."""
    global _away_until
    if time.monotonic() < _away_until:
        return
    key = stream_key(tenant_id, run_id)
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.xadd(key, {"event": event, "data": json.dumps(data, ensure_ascii=False)}, maxlen=LONGEST)
            pipe.expire(key, KEPT_SECONDS)
            pipe.execute()
    except redis.RedisError:
        _away_until = time.monotonic() + PAUSE_SECONDS


def drop_streams(tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
    """Forget what was told of runs that are no more; with Redis away it ends by itself."""
    if not run_ids:
        return
    try:
        client.delete(*(stream_key(tenant_id, run_id) for run_id in run_ids))
    except redis.RedisError:
        return
