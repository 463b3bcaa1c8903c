"""The one client for what may be lost in Valkey (limits, bells, events), and what keeps a hung one harmless."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import redis
import structlog
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE_SECONDS = 0.25  # to connect, and for each answer
PAUSE_SECONDS = 1.0  # after a failure Valkey is left alone for so long

T = TypeVar("T")

log = structlog.get_logger(__name__)


def connect(url: str) -> redis.Redis:
    """Return a client that answers or fails at once: what it carries may be lost, and must never hold anybody up."""
    patience = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **patience)


client = connect(settings.REDIS_URL)
_closed_until = 0.0  # by time.monotonic(); 0 while Valkey answers
_lock = threading.Lock()


def ask(question: Callable[[], T], otherwise: T) -> T:
    """Return what Valkey answers, or `otherwise`: when it fails, and at once while it is left alone after a failure.

    Then one caller tries it each PAUSE_SECONDS and the others do not wait for that: a server that accepts connections
    and never answers costs a process a quarter of a second per second, not each of its requests (the half-open state of
    a circuit breaker: M. Nygard, Release It!, 2007).
    """
    global _closed_until
    if _closed_until:
        with _lock:
            if time.monotonic() < _closed_until:
                return otherwise
            _closed_until = time.monotonic() + PAUSE_SECONDS
    try:
        answer = question()
    except (redis.RedisError, OperationalError, OSError) as error:
        _closed_until = time.monotonic() + PAUSE_SECONDS
        log.warning("valkey.away", error=type(error).__name__)
        return otherwise
    _closed_until = 0.0
    return answer


def forget_failure() -> None:
    """Ask again at once: for tests, and for whoever knows that Valkey is back."""
    global _closed_until
    _closed_until = 0.0
