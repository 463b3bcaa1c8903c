"""Canary runs: one at a time, the whole way, and in nobody's sight."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

from features.runs.canary import send_canary, worker_answers
from features.runs.models import Ledger, Run
from features.runs.tasks import look
from tenants.isolation import tenant_tx
from tenants.workshop import WORKSHOP
from tests.cast import Cast
from tests.fakes.model import FakeModel


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
