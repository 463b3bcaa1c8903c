"""Bells: a list in Valkey with one for each run that waits, of which a worker takes as many as it has free slots.

A bell says only *look*: the queue's table says what there is. One that is lost costs a second, since the dispatcher
rings too; one too many costs a claim that finds nothing.
"""

import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from tenants import valkey

from . import metrics

BELLS = "runs:bells"
HEAR_SECONDS = 0.5  # how long a bell is waited for at a time, and without Valkey between two looks


def ring(bells: int = 1) -> None:
    """Tell workers to look; of bells that nobody has heard yet there are never more than could keep them busy."""
    most = 2 * settings.WORKER_SLOTS

    def push() -> None:
        with valkey.client.pipeline(transaction=False) as pipe:
            pipe.rpush(BELLS, *[""] * min(bells, most))
            pipe.ltrim(BELLS, -most, -1)
            pipe.execute()

    if bells:
        valkey.ask(push, None)
        metrics.BELLS.inc(bells)


class Ear:
    """A connection on which bells are waited for."""

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=2 * HEAR_SECONDS, socket_connect_timeout=valkey.PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )  # fmt: skip

    def hear(self, most: int) -> bool:
        """Wait for a bell, and take up to `most`. False after HEAR_SECONDS without any.

        Without Valkey True after as long: then whoever would hear looks by the clock.
        """
        since = time.monotonic()
        try:
            return self._client.blmpop(HEAR_SECONDS, 1, BELLS, direction="LEFT", count=most) is not None
        except (redis.RedisError, OSError):
            time.sleep(max(0.0, HEAR_SECONDS - (time.monotonic() - since)))
            return True

    def close(self) -> None:
        """Give the connection up."""
        self._client.close()
