"""Prometheus: `/metrics` of web processes, for whoever has the token; and of a worker on a port of its own."""

import os
from hmac import compare_digest

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from features.runs.metrics import QueueCollector, open_breakers

_queue = QueueCollector()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer what is counted: with BESPOKE_METRICS_TOKEN as bearer; without a token set in DEBUG only. Else 404."""
    wanted = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not (compare_digest(given.encode(), wanted.encode()) if wanted else settings.DEBUG):
        raise Http404
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def exposition() -> bytes:
    """This process's counts, or with PROMETHEUS_MULTIPROC_DIR those of all web processes together; and the queue."""
    queue = CollectorRegistry()
    queue.register(_queue)
    queue.register(open_breakers)
    counts = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counts = CollectorRegistry()
        MultiProcessCollector(counts)  # type: ignore[no-untyped-call]
    return generate_latest(counts) + generate_latest(queue)


def serve_worker() -> None:
    """Serve a worker's counts on BESPOKE_METRICS_PORT, where that is set (a threads pool is one process)."""
    if settings.METRICS_PORT:
        REGISTRY.register(open_breakers)
        start_http_server(settings.METRICS_PORT)
