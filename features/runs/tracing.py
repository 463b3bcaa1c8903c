"""One trace across door, worker and provider, by OpenTelemetry; off, and no exporter imported, unless configured.

It is on where OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER is set (to anything but `none`). Names and attributes
of calls to models are the GenAI semantic conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/.
Attributes hold ids, names of models and counts; never messages, and of an exception its class alone.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

Attributes = Mapping[str, Any]


def wanted() -> bool:
    """Whether the environment asks for traces."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


@lru_cache(maxsize=1)
def tracer() -> Any:
    """This process's tracer, which sends in batches by OTLP over HTTP; None while tracing is off."""
    if not wanted():
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "bespoke")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("bespoke")


@contextmanager
def span(name: str, kind: str, attributes: Attributes, parent: str | None = None) -> Iterator[Any]:
    """A span for as long as it lasts; yields it, or None while tracing is off.

    kind: INTERNAL, SERVER or CLIENT. parent: a W3C traceparent; None: whatever span is open here.
    """
    active = tracer()
    if active is None:
        yield None
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode

    told = {key: value for key, value in attributes.items() if value is not None}
    options = {"record_exception": False, "set_status_on_exception": False}
    with active.start_as_current_span(name, _context(parent), SpanKind[kind], told, **options) as opened:
        try:
            yield opened
        except BaseException as error:
            opened.set_attribute("error.type", getattr(error, "outcome", None) or type(error).__qualname__)
            opened.set_status(Status(StatusCode.ERROR))
            raise


@contextmanager
def chat(target: Any, settings: Attributes) -> Iterator[Any]:
    """The span of one call to a model; what a call used that was stopped or broke off is noted like an answer's."""
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": target.provider,
        "gen_ai.request.model": target.model,
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": settings.get("max_output_tokens"),
        "gen_ai.request.temperature": settings.get("temperature"),
        "gen_ai.request.top_p": settings.get("top_p"),
        "gen_ai.output.type": "json",
    }
    with span(f"chat {target.model}", "CLIENT", told) as opened:
        try:
            yield opened
        except Exception as error:
            if (reply := getattr(error, "reply", None)) is not None:
                answered(opened, reply)
            raise


def answered(opened: Any, reply: Any) -> None:
    """Note what a call used and why its answer ended."""
    if opened is not None:
        opened.set_attribute("gen_ai.usage.input_tokens", reply.input_tokens)
        opened.set_attribute("gen_ai.usage.cache_read.input_tokens", reply.cached_input_tokens)
        opened.set_attribute("gen_ai.usage.output_tokens", reply.output_tokens)
        opened.set_attribute("gen_ai.response.finish_reasons", [reply.finish] if reply.finish else [])


def note(**told: str) -> None:
    """Note of the span that is open here what was only learned within it, as `bespoke.…`; nothing while it is off."""
    if tracer() is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes({f"bespoke.{name}": value for name, value in told.items()})


def headers() -> dict[str, str]:
    """What a call takes along, so that a gateway or a model server of one's own can go on with the trace."""
    parent = traceparent()
    return {"traceparent": parent} if parent else {}


def traceparent() -> str | None:
    """The W3C traceparent of the span that is open here, to be kept with a queued run; None while tracing is off."""
    if tracer() is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})
