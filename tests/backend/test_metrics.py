"""What is counted, who may read it, and that neither content nor anybody's id is in it."""

import logging
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import Client
from prometheus_client import REGISTRY

from backend.api.metrics import exposition
from backend.logs import Formatter, logging_config
from features.runs.accept import accept
from features.runs.tasks import look
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting

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
    api(cast.alice).get(f"/runs/{runs[0]}?x={CANARY}")
    waits = accept(cast.greet, {"name": CANARY}, by=cast.alice).run_id
    said = exposition().decode()
    assert REGISTRY.get_sample_value("bespoke_runs_accepted_total") == before + 4
    for counted in (
        'bespoke_attempts_total{kind="repair",model="scripted",outcome="answered",provider="demo"}',
        'bespoke_runs_ended_total{error="",state="succeeded"}',
        'bespoke_runs_ended_total{error="rejected",state="failed"}',
        'bespoke_tokens_total{kind="input",model="scripted",provider="demo"}',
        'bespoke_http_requests_total{method="GET",route="/api/v1/runs/<uuid:run_id>",status="200"}',
    ):
        assert counted in said
    assert CANARY not in said and str(waits) not in said
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-", said)
    assert "greet" not in said and "acme" not in said.lower()


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
