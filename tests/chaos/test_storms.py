"""Workers killed, Valkey wiped, PostgreSQL stopped under load: every run ends once and is billed once.

The small storm is part of `make test`, the large ones are `make chaos`.
"""

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.chaos.invariants import all_ended, bind, check
from tests.fakes.model import Answer
from tests.outside import Knock, until
from tests.processes import Program, Ruins

WORKERS = 3


def slow(_: object) -> Answer:
    """An answer that takes a tenth of a second, so that there is something to be killed."""
    return Answer('{"greeting": "Hello there, whoever you may be"}', hold=threading.Event(), pause=0.02)


@pytest.fixture
def workers(ruins: Ruins) -> Iterator[list[Program]]:
    """Three workers in all."""
    more = [ruins.a_worker(f"worker-{number}").start() for number in range(1, WORKERS)]
    for worker in more:
        until(lambda worker=worker: "ready." in worker.said(), "a worker is there", 60)  # type: ignore[misc]
    yield [ruins.worker, *more]
    for worker in more:
        worker.kill()


def post(who: Knock, number: int) -> str:
    """Send a run until it is taken in: its idempotency key makes that safe to repeat."""

    def sent() -> str | None:
        with contextlib.suppress(httpx2.HTTPError):
            answer = who.run(f"Ann {number}", prefer="respond-async", Idempotency_Key=f"storm-{number}")
            assert answer.status_code in (202, 503), answer.text
            return str(answer.json()["id"]) if answer.status_code == 202 else None
        return None

    found: str = until(sent, "the run is taken in", 60)
    return found


@pytest.mark.parametrize(
    ("runs", "kills", "wipes", "stops"),
    [
        pytest.param(200, 4, 1, 0, id="small"),
        pytest.param(2000, 20, 2, 3, id="large", marks=pytest.mark.chaos),
    ],
)
def test_a_storm_loses_nothing_and_bills_nothing_twice(
    ruins: Ruins, workers: list[Program], runs: int, kills: int, wipes: int, stops: int
) -> None:
    bind(ruins)
    ruins.model.default = slow
    draw = random.Random(runs)
    blows = ["kill"] * kills + ["wipe"] * wipes + ["stop"] * stops
    draw.shuffle(blows)
    people = [ruins.knock("alice"), ruins.knock("mallory")]
    with ThreadPoolExecutor(6) as callers:
        taken = [callers.submit(post, people[number % 2], number) for number in range(runs)]
        for number, blow in enumerate(blows, start=1):
            enough = number * runs * 0.9 / (len(blows) + 1)
            until(lambda: len(ruins.model.names) >= enough, f"call {enough:.0f} is made", 300)  # noqa: B023
            strike(ruins, draw.choice(workers), blow)
        accepted = [future.result() for future in taken]
    all_ended(ruins, accepted, 300)
    check(ruins, accepted)
    states = dict(ruins.rows("SELECT state, count(*)::int FROM runs_run WHERE preview IS NULL GROUP BY state"))
    assert states.get("succeeded", 0) >= 0.98 * runs  # a call can be hung up on by PostgreSQL's stop, three times
    outcomes = dict(ruins.rows("SELECT outcome, count(*)::int FROM runs_attempt GROUP BY outcome"))
    print(f"{runs} runs, {len(ruins.model.names)} calls, states {states}, attempts {outcomes}")  # noqa: T201
    assert outcomes.get("lost", 0) > 0


def strike(ruins: Ruins, worker: Program, blow: str) -> None:
    if blow == "kill":
        worker.kill()
        worker.start()
    elif blow == "wipe":
        ruins.broker().flushall()
    else:
        ruins.stop_postgres()
        until(lambda: ruins.readiness()[0] == 503, "the web process has noticed", 30)
        ruins.start_postgres()
        for program in (ruins.web, ruins.worker, ruins.beat):
            program.start()


@pytest.mark.parametrize(
    ("posts", "seconds"), [pytest.param(50, 0, id="small"), pytest.param(500, 60, id="large", marks=pytest.mark.chaos)]
)
def test_posts_while_valkey_is_away_are_all_taken_in_and_end_when_it_is_back(
    ruins: Ruins, posts: int, seconds: float
) -> None:
    bind(ruins)
    people = [ruins.knock("alice"), ruins.knock("mallory")]
    ruins.stop_valkey()
    stopped = time.monotonic()

    def send(number: int) -> Any:
        return people[number % 2].run(f"Ann {number}", prefer="respond-async")

    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(send, range(posts)))
    assert {answer.status_code for answer in answers} == {202}
    until(lambda: time.monotonic() - stopped >= seconds, "it was away for so long", seconds + 1)
    ruins.start_valkey()
    accepted = [answer.json()["id"] for answer in answers]
    all_ended(ruins, accepted, 30)
    check(ruins, accepted)


def test_a_run_that_kills_its_workers_ends_by_itself_and_takes_nobody_along(
    ruins: Ruins, workers: list[Program]
) -> None:
    """Workers are started again as a supervisor would; what kills them is carried out alone, and given up."""
    stop = threading.Event()

    def supervise() -> None:
        while not stop.wait(0.1):
            for worker in workers:
                worker.start()

    def answer(body: dict[str, Any]) -> Answer:
        return Answer(kills=True) if "poison" in body["messages"][-1]["content"] else slow(body)

    bind(ruins)
    ruins.model.default = answer
    alice, mallory, supervisor = ruins.knock("alice"), ruins.knock("mallory"), threading.Thread(target=supervise)
    supervisor.start()
    try:
        poison = alice.run("poison", prefer="respond-async").json()["id"]
        people = [alice, mallory] * 30
        others = [(who, who.run(f"Ann {n}", prefer="respond-async").json()["id"]) for n, who in enumerate(people)]
        all_ended(ruins, [poison, *(run_id for _, run_id in others)], 120)
    finally:
        stop.set()
        supervisor.join()
    run = alice.get(f"/runs/{poison}").json()
    assert (run["state"], run["error"]["type"]) == ("failed", "worker_lost")
    assert run["attempts"] <= 6 and {call["outcome"] for call in run["calls"]} == {"lost"}
    assert {who.get(f"/runs/{run_id}").json()["state"] for who, run_id in others} == {"succeeded"}
    assert {mallory.get(f"/runs/{run_id}").status_code for who, run_id in others if who is alice} == {404}
    check(ruins, [poison, *(run_id for _, run_id in others)])
