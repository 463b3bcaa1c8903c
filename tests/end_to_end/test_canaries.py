"""Canary runs: one at a time, the whole way, and in nobody's sight."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone

from features.runs.canary import KEPT, put_canaries_away, send_canary, worker_answers
from features.runs.events import stream_key
from features.runs.models import Ledger, Run
from tenants.ids import floor_of
from tenants.isolation import tenant_tx
from tenants.valkey import client as broker
from tenants.workshop import WORKSHOP
from tests.cast import Cast
from tests.fakes.model import FakeModel
from tests.working import look


@pytest.fixture(autouse=True)
def seldom(settings: Any) -> None:
    """So that none is due again while a busy machine carries a test out."""
    settings.CANARY_SECONDS = settings.CANARY_LATE_SECONDS = 600


def test_a_canary_goes_the_whole_way_asks_no_model_and_says_that_a_worker_answers(
    cast: Cast, model: FakeModel, api: Any
) -> None:
    assert not worker_answers()
    run_id = send_canary()
    assert run_id and not worker_answers() and send_canary() is None
    assert look() == 1
    assert worker_answers() and send_canary() is None and model.requests == []
    with tenant_tx(WORKSHOP):
        assert Run.objects.get(pk=run_id).state == "succeeded"
        assert Ledger.objects.get(run=run_id).cost == 0
    for who in (cast.ada, cast.gus, cast.operator):
        said = [api(who).get(place).content for place in ("/runs", "/usage", "/features", "/me")]
        assert str(run_id).encode() not in b"".join(said)
    assert b"Workshop" not in api(cast.operator).get("/tenants").content


def test_many_dispatchers_send_one_canary(cast: Cast) -> None:
    def send(_: int) -> Any:
        try:
            return send_canary()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as dispatchers:
        assert sum(found is not None for found in dispatchers.map(send, range(6))) == 1


def test_a_canary_of_long_ago_says_nothing_of_today(cast: Cast, settings: Any) -> None:
    send_canary()
    look()
    assert worker_answers()
    settings.CANARY_LATE_SECONDS = 0
    assert not worker_answers()


def test_canaries_are_put_away_with_their_ledger_rows_and_nothing_else_is(
    cast: Cast, model: FakeModel, api: Any
) -> None:
    old = UUID(int=floor_of(timezone.now() - 2 * KEPT).int + 1)
    young = send_canary()
    look()
    with tenant_tx(WORKSHOP):
        Run.objects.filter(pk=young).update(id=old)
        Ledger.objects.filter(run=young).update(run=old)
    broker.xadd(stream_key(WORKSHOP, old), {"event": "done"})
    with tenant_tx(WORKSHOP):  # as if it were time again
        Run.objects.update(created_at=timezone.now() - timedelta(days=1))
    young = send_canary()
    api(cast.alice).post("/features/greet/runs", {"input": {"name": "Ann"}}, Prefer="respond-async")
    while look():
        pass
    put_canaries_away()
    with tenant_tx(WORKSHOP):
        assert [row.id for row in Run.objects.all()] == [young] == [row.run for row in Ledger.objects.all()]
    assert not broker.exists(stream_key(WORKSHOP, old))
    with cast.alice.present():
        assert Run.objects.count() == Ledger.objects.count() == 1
