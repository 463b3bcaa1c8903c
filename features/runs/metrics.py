"""What is counted of runs, calls and requests, for Prometheus. Labels are kinds of things: never ids, tenants, content.

Every metric is explained in docs/observability.md, which a test compares with this module.
"""

import time
from collections import Counter as Counted
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import Error, connections
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily

from tenants.isolation import OPERATOR, operator_tx

from .breakers import Breakers

SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
FRESH_SECONDS = 5.0  # how long one look at the queue serves every scraper of this process

ACCEPTED = Counter("bespoke_runs_accepted", "Runs taken in")
ENDED = Counter("bespoke_runs_ended", "Runs that ended", ["state", "error"])
QUEUE_SECONDS = Histogram("bespoke_run_queue_seconds", "From acceptance to the first claim", buckets=SECONDS)
ATTEMPTS = Counter("bespoke_attempts", "Calls to models", ["provider", "model", "kind", "outcome"])
ATTEMPT_SECONDS = Histogram("bespoke_attempt_seconds", "How long a call took", ["provider", "model"], buckets=SECONDS)
FIRST_TEXT = Histogram(
    "bespoke_first_text_seconds", "Until a call's first text", ["provider", "model"], buckets=SECONDS
)
TOKENS = Counter("bespoke_tokens", "Tokens used", ["provider", "model", "kind"])
COST = Counter("bespoke_cost_micro_units", "What calls cost, in millionths of the currency", ["provider", "model"])
CACHE_HITS = Counter("bespoke_cache_hits", "Runs answered from the output cache")
CLAIMS = Counter("bespoke_claims", "Runs claimed by workers")
EXPIRED = Counter("bespoke_lease_expiries", "Claims taken back from workers that went silent")
BELLS = Counter("bespoke_bells", "Bells rung")
OPENINGS = Counter("bespoke_breaker_openings", "Times that a model was left alone for a while", ["provider", "model"])
RETRIES_REFUSED = Counter("bespoke_retries_refused", "Calls not made again, for want of the tenant's retry budget")
REQUESTS = Counter("bespoke_http_requests", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "bespoke_http_request_seconds", "Until an answer begins", ["method", "route"], buckets=SECONDS
)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_QUEUE = """
SELECT CASE WHEN quarantined THEN 'quarantine' WHEN batch THEN 'batch' ELSE 'interactive' END,
       count(*) FILTER (WHERE token IS NULL), count(*) FILTER (WHERE token IS NOT NULL),
       coalesce(extract(epoch FROM clock_timestamp() - min(not_before) FILTER (
           WHERE token IS NULL AND not_before <= clock_timestamp())), 0)
FROM runs_queued GROUP BY 1"""


def lanes() -> list[tuple[str, int, int, float]]:
    """(lane, runs that wait, runs that are claimed, seconds that the oldest waits), as PostgreSQL has it."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_QUEUE)
        found = {row[0]: (row[0], row[1], row[2], float(row[3])) for row in cursor.fetchall()}
    return [found.get(lane, (lane, 0, 0, 0.0)) for lane in ("interactive", "batch", "quarantine")]


def began(accepted_at: datetime) -> None:
    """Count how long a run waited until it was first worked on."""
    QUEUE_SECONDS.observe(max(0.0, (timezone.now() - accepted_at).total_seconds()))


def ended(state: str, error: str, *, cached: bool) -> None:
    """Count a run's end; `error` is its type, or empty."""
    ENDED.labels(str(state), error).inc()
    if cached:
        CACHE_HITS.inc()


def attempted(
    target: Any, kind: str, outcome: str, reply: Any, cost: int, *, seconds: float, first: float | None
) -> None:
    """Count one call: its outcome, durations in seconds, tokens, and cost in micro-units."""
    named = (target.provider, target.model)
    ATTEMPTS.labels(*named, kind, outcome).inc()
    ATTEMPT_SECONDS.labels(*named).observe(seconds)
    if first is not None:
        FIRST_TEXT.labels(*named).observe(first)
    TOKENS.labels(*named, "input").inc(reply.input_tokens)
    TOKENS.labels(*named, "cached_input").inc(reply.cached_input_tokens)
    TOKENS.labels(*named, "output").inc(reply.output_tokens)
    COST.labels(*named).inc(cost)


def reported(target: Any, *, opens: bool) -> None:
    """Count that a call which failed has its model left alone for a while."""
    if opens:
        OPENINGS.labels(target.provider, target.model).inc()


def retried(allowed: bool) -> bool:
    """Count a call that may not be made again, and hand the answer on."""
    if not allowed:
        RETRIES_REFUSED.inc()
    return allowed


def answered(method: str | None, route: str, status: int, seconds: float) -> None:
    """Count a request by its route's pattern, never its address."""
    verb = method if method in METHODS else "OTHER"
    REQUESTS.labels(verb, route, str(status)).inc()
    REQUEST_SECONDS.labels(verb, route).observe(seconds)


class BreakerCollector:
    """Which models this process leaves alone now; nothing where it makes no calls."""

    breakers: Breakers | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = GaugeMetricFamily("bespoke_breakers_open", "Breakers that are open", labels=["provider", "model"])
        keys: list[Any] = self.breakers.open_now(time.monotonic()) if self.breakers else []
        for named, number in Counted(key[1:] for key in keys).items():
            found.add_metric(list(named), number)
        yield found


open_breakers = BreakerCollector()


def watch(breakers: Breakers) -> None:
    """Show these breakers, whose keys are (credential, provider, model)."""
    open_breakers.breakers = breakers


class QueueCollector:
    """The queue as PostgreSQL has it, asked at most once in FRESH_SECONDS; without the database it says nothing."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int, float]] = []
        self._until = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("bespoke_queue_waiting", "Runs that wait, by lane", labels=["lane"])
        running = GaugeMetricFamily("bespoke_queue_running", "Runs that are claimed, by lane", labels=["lane"])
        oldest = GaugeMetricFamily("bespoke_queue_oldest_seconds", "How long the oldest waits", labels=["lane"])
        for lane, waits, runs, age in self._look():
            waiting.add_metric([lane], waits)
            running.add_metric([lane], runs)
            oldest.add_metric([lane], age)
        yield from (waiting, running, oldest)

    def _look(self) -> list[tuple[str, int, int, float]]:
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + FRESH_SECONDS
            try:
                self._rows = lanes()
            except Error:
                self._rows = []
        return self._rows
