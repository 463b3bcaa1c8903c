"""What is counted, who may read it, and that neither content nor anybody's id is in it."""

import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY

from backend.api.metrics import exposition
from backend.logs import Formatter, logging_config
from features.actions.availability import set_caching
from features.runs.accept import accept
from features.runs.breakers import FAILURES
from features.runs.dispatch import claim, take_back
from features.runs.metrics import QueueCollector
from features.runs.models import Queued
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look

CANARY = "Bartholomew-the-canary"
DOCS = Path(__file__).resolve().parents[2] / "docs/observability.md"


def scrape(**headers: str) -> Any:
    return Client().get("/metrics", headers=headers)


def test_metrics_are_for_whoever_has_the_token_and_for_nobody_without_one(cast: Cast, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert scrape().status_code == scrape(Authorization="Bearer ").status_code == 404
    settings.METRICS_TOKEN = "a-long-token"
    assert scrape().status_code == scrape(Authorization="Bearer another").status_code == 404
    assert scrape(Authorization="Bearer a-long-token").status_code == 200


def test_runs_calls_and_requests_are_counted_without_content_and_ids(cast: Cast, model: FakeModel, api: Any) -> None:
    before = REGISTRY.get_sample_value("bespoke_runs_accepted_total") or 0
    model.script(greeting(CANARY), Answer(f'{{"{CANARY}": 1}}'), greeting(CANARY), Answer(status=400))
    runs = [accept(cast.greet, {"name": CANARY}, by=cast.alice).run_id for _ in range(3)]
    look()
    for address in (f"/runs/{runs[0]}", f"/runs/{runs[0]}?x={CANARY}"):
        api(cast.alice).get(address)
    waits = accept(cast.greet, {"name": CANARY}, by=cast.alice).run_id
    said = exposition().decode()
    assert REGISTRY.get_sample_value("bespoke_runs_accepted_total") == before + 4
    for counted in (
        'bespoke_attempts_total{kind="repair",model="scripted",outcome="answered",provider="demo"}',
        'bespoke_runs_ended_total{error="",state="succeeded"}',
        'bespoke_runs_ended_total{error="rejected",state="failed"}',
        'bespoke_tokens_total{kind="input",model="scripted",provider="demo"}',
        'bespoke_http_requests_total{method="GET",route="/api/v1/runs/<id:run_id>",status="200"}',
    ):
        assert counted in said
    assert CANARY not in said and str(waits) not in said
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-", said)
    assert "greet" not in said and "acme" not in said.lower()


def counted(name: str, **labels: str) -> float:
    """A sample's value as it is scraped; 0 where there is none."""
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in exposition().decode().splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        if found and set((found[1] or "").split(",")) - {""} == wanted:
            return float(found[2])
    return 0.0


def test_what_is_to_be_watched_moves_when_it_happens(cast: Cast, model: FakeModel, monkeypatch: Any) -> None:
    """Everything that issue and guide name: claims, outcomes, tokens, cost, cache hits, lost leases, breakers."""
    scripted = {"provider": "demo", "model": "scripted"}
    monkeypatch.setattr("features.runs.execute.full_jitter", lambda *_, **__: 5.0)
    monkeypatch.setattr("features.runs.breakers.RETRIES_AT_FIRST", 3.0)
    watched = {
        "bespoke_claims_total": ({}, 9),
        "bespoke_attempts_total": ({**scripted, "kind": "first", "outcome": "unavailable"}, FAILURES),
        "bespoke_tokens_total": ({**scripted, "kind": "output"}, 10),
        "bespoke_cost_micro_units_total": (scripted, 140),
        "bespoke_cache_hits_total": ({}, 1),
        "bespoke_lease_expiries_total": ({}, 1),
        "bespoke_breaker_openings_total": (scripted, 1),
        "bespoke_retries_refused_total": ({}, 2),
    }
    before = {name: counted(name, **labels) for name, (labels, _) in watched.items()}
    set_caching(cast.greet, 3600, by=cast.operator)
    for _ in range(2):  # the second is the first's
        accept(cast.greet, {"name": "Ann"}, by=cast.alice)
        look()
    model.default = lambda _: Answer(status=503)
    for number in range(FAILURES + 1):
        accept(cast.greet, {"name": f"Bea {number}"}, by=cast.alice)
    assert look() == FAILURES + 1 and counted("bespoke_breakers_open", **scripted) == 1
    accept(cast.greet, {"name": "Eve"}, by=cast.alice)
    assert claim() is not None
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE runs_queued NO FORCE ROW LEVEL SECURITY")
        cursor.execute("UPDATE runs_queued SET lease_until = now() - interval '1 second' WHERE token IS NOT NULL")
        cursor.execute("ALTER TABLE runs_queued FORCE ROW LEVEL SECURITY")
    assert len(take_back()) == 1 and claim() is not None
    moved = {name: counted(name, **labels) - before[name] for name, (labels, _) in watched.items()}
    assert moved == {name: by for name, (_, by) in watched.items()}


def test_the_oldest_that_waits_is_as_old_as_it_is(cast: Cast) -> None:
    accept(cast.greet, {"name": "Ann"}, by=cast.alice)
    with cast.alice.present():
        Queued.objects.update(not_before=timezone.now() - timedelta(minutes=3))
    lanes = {family.name: {sample.labels["lane"]: sample.value for sample in family.samples}
             for family in QueueCollector().collect()}  # fmt: skip
    assert lanes["bespoke_queue_waiting"] == {"interactive": 1, "batch": 0, "quarantine": 0}
    assert 180 <= lanes["bespoke_queue_oldest_seconds"]["interactive"] < 200


def test_every_metric_is_documented_and_every_documented_one_exists(cast: Cast) -> None:
    there = set(re.findall(r"^# TYPE (bespoke_\w+(?<!_created)) \w+$", exposition().decode(), re.MULTILINE))
    assert set(re.findall(r"^\| `(bespoke_\w+)`", DOCS.read_text(), re.MULTILINE)) == there


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_logged_exception_keeps_its_kind_and_place_and_loses_its_words(form: Any) -> None:
    config = logging_config(form=form, level="INFO")["formatters"]["events"]
    formatter = Formatter(processors=config["processors"], foreign_pre_chain=config["foreign_pre_chain"])
    try:
        raise psycopg.errors.UniqueViolation(f"DETAIL: Key (name)=({CANARY}) already exists.")
    except psycopg.Error as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("celery.app.trace", logging.ERROR, "x", 1, "Task %s", (str(error),), info)
    line = formatter.format(record)
    assert CANARY not in line and "\n" not in line.strip()
    assert "UniqueViolation" in line and "23505" in line and "test_metrics.py" in line and "Task %s" in line
