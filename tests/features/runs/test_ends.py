"""Who waits for a run's end is told of it by the one subscription of the process, and by the row where nothing is told."""

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest

from features.runs import ends
from features.runs.ends import Ends, until_ended
from features.runs.events import ENDED, tell
from tenants.ids import uuid7
from tenants.valkey import client

TENANT = UUID(int=7)


class Row:
    """A run's row, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked, self.ended = 0, False

    async def __call__(self) -> bool:
        self.asked += 1
        return self.ended


def listening() -> int:
    """How many connections listen, those of a web process that other tests have started among them."""
    return int(client.pubsub_numsub(ENDED)[0][1])


async def subscribed(count: int) -> None:
    """Wait until so many connections listen."""
    async with asyncio.timeout(10):
        while listening() != count:
            await asyncio.sleep(0.01)


@pytest.fixture
def patient(monkeypatch: Any) -> None:
    """Nobody asks a row because time has passed."""
    monkeypatch.setattr(ends, "SILENCE_SECONDS", 3600)
    monkeypatch.setattr(ends, "RETRY_SECONDS", 3600)


def test_all_who_wait_are_told_by_one_subscription_and_the_row_is_asked_once(patient: None) -> None:
    async def go() -> list[Row]:
        others = listening()
        hub, runs = Ends(), [(uuid7(), Row()) for _ in range(50)]
        waiting = [asyncio.create_task(hub.wait(run_id, row)) for run_id, row in runs]
        async with asyncio.timeout(10):  # what ended before the subscription, only the row can say: all ask it once
            while not all(row.asked for _, row in runs):
                await asyncio.sleep(0.01)
        await subscribed(others + 1)
        for run_id, _ in runs:
            tell(TENANT, run_id, "delta", text="no end")
        for run_id, _ in runs:
            tell(TENANT, run_id, "done")
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        return [row for _, row in runs]

    assert [row.asked for row in asyncio.run(go())] == [1] * 50


def test_an_end_that_was_told_before_anybody_waited_is_known(patient: None) -> None:
    async def go() -> int:
        others = listening()
        hub, early, late, row = Ends(), uuid7(), uuid7(), Row()
        first = asyncio.create_task(hub.wait(early, Row()))
        await subscribed(others + 1)
        tell(TENANT, late, "failed")
        tell(TENANT, early, "done")  # comes after it on the same connection
        async with asyncio.timeout(10):
            await first
            await hub.wait(late, row)
        return row.asked

    assert asyncio.run(go()) == 0


def test_without_valkey_the_row_is_asked_until_it_says_so(settings: Any, monkeypatch: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    monkeypatch.setattr(ends, "RETRY_SECONDS", 0.02)
    row = Row()

    async def go() -> None:
        waiting = asyncio.create_task(until_ended(uuid7(), row, 60))
        while row.asked < 3:
            await asyncio.sleep(0.01)
        row.ended = True
        async with asyncio.timeout(10):
            await waiting

    asyncio.run(go())
    assert row.asked >= 4


def test_patience_ends(patient: None) -> None:
    async def go() -> None:
        await until_ended(uuid7(), Row(), 0.05)

    began = time.monotonic()
    asyncio.run(go())
    assert time.monotonic() - began < 5
