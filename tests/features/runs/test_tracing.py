"""One trace from the door to the model, without content; and nothing at all while it is off."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from backend.local.paths import ROOT
from features.runs import tracing
from features.runs.accept import accept
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

CANARY = "Bartholomew-the-canary"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans(monkeypatch: Any) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    active = provider.get_tracer("test")
    monkeypatch.setattr(tracing, "tracer", lambda: active)
    yield exporter


def test_door_run_and_call_are_one_trace_of_the_callers(
    cast: Cast, model: FakeModel, api: Any, spans: InMemorySpanExporter
) -> None:
    model.script(greeting(CANARY), Answer(status=400, text=CANARY))
    for _ in range(2):
        knock = api(cast.alice, Prefer="respond-async", traceparent=CALLER)
        knock.post("/features/greet/runs", {"input": {"name": CANARY}})
    assert look() == 2
    found = spans.get_finished_spans()
    assert {f"{span.context.trace_id:x}" for span in found if span.context} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    by_id = {span.context.span_id: span for span in found if span.context}
    calls = [span for span in found if span.name == "chat scripted"]
    runs = [by_id[span.parent.span_id] for span in calls if span.parent]
    doors = [by_id[span.parent.span_id] for span in runs if span.parent]
    assert [span.name for span in runs] == ["run", "run"]
    assert {span.name for span in doors} == {"POST /api/v1/features/<str:feature>/runs"}
    good, bad = (dict(span.attributes or {}) for span in calls)
    assert good["gen_ai.operation.name"] == "chat" and good["gen_ai.provider.name"] == "demo"
    assert (good["gen_ai.usage.input_tokens"], good["gen_ai.usage.output_tokens"]) == (100, 10)
    assert good["gen_ai.response.finish_reasons"] == ("stop",) and good["gen_ai.request.max_tokens"] == 100
    assert (good["gen_ai.output.type"], good["gen_ai.usage.cache_read.input_tokens"]) == ("json", 0)
    assert bad["error.type"] == "rejected"
    assert {(span.attributes or {}).get("bespoke.feature") for span in runs} == {"greet"}
    assert all(str((span.attributes or {}).get("bespoke.digest")).startswith("1:") for span in runs)
    ends = [span for span in found if span.name == "finish"]
    assert [(span.attributes or {})["bespoke.state"] for span in ends] == ["succeeded", "failed"]
    assert {span.parent.span_id for span in ends if span.parent} == {d.context.span_id for d in doors if d.context}
    heard = {f"{CALLER[:35]}-{span.context.span_id:016x}-01" for span in calls if span.context}
    assert set(model.traces) == heard  # the model's own spans come below the call
    assert CANARY not in "".join(span.to_json() for span in found)


def test_every_name_is_one_of_the_conventions(
    cast: Cast, model: FakeModel, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.runs.execute.full_jitter", lambda *_, **__: 5.0)  # one call only
    model.script(Answer('{"greeting": "Hi"}', cut_off=True))
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    look()
    [call] = [span for span in spans.get_finished_spans() if span.name == "chat scripted"]
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in call.attributes or {} if name.startswith("gen_ai.")} <= known
    assert (call.attributes or {})["gen_ai.usage.output_tokens"]  # an answer that broke off was paid for too


def test_while_it_is_off_we_load_no_exporter_and_open_no_span() -> None:
    begin = "import sys, django; django.setup(); import backend.urls; "
    check = begin + "sys.exit(int('opentelemetry.exporter' in sys.modules))"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "backend.settings"}
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment).returncode == 0
    with tracing.span("run", "INTERNAL", {}) as opened:
        assert opened is None and tracing.traceparent() is None and tracing.headers() == {}
