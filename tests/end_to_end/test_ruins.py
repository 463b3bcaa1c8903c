"""The database or the broker away: what callers are told, and that nothing they were promised is lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.fakes.model import Answer
from tests.outside import until, within
from tests.processes import REAL_RUN, Ruins


def held(text: str = '{"greeting": "Hello Ann"}') -> Answer:
    return Answer(text, hold=threading.Event())


def pids(stack: Ruins) -> list[int]:
    """Of the product's processes, all of which must still run."""
    assert stack.web.runs and stack.worker.runs and stack.beat.runs
    return [part.process.pid for part in (stack.web, stack.worker, stack.beat) if part.process]


def test_with_the_broker_away_runs_are_taken_in_at_once_and_carried_out_all_the_same(ruins: Ruins) -> None:
    before, alice = pids(ruins), ruins.knock("alice")
    ruins.stop_valkey()
    taken = within(3, lambda: [alice.run(f"Ann {n}", prefer="respond-async") for n in range(5)])
    assert {answer.status_code for answer in taken} == {202}
    assert {alice.ended(answer.json()["id"])["state"] for answer in taken} == {"succeeded"}
    code, parts = ruins.readiness()
    assert (code, parts["broker"], parts["database"]) == (503, "away", "ok")
    ruins.start_valkey()
    until(lambda: ruins.waiting() == 0, "the queue is empty")
    until(ruins.ready, "ready again")
    assert pids(ruins) == before
    assert alice.run("Ann", prefer="wait=20").status_code == 200


def test_a_run_that_speaks_when_the_broker_goes_ends_all_the_same_and_its_followers_learn_of_it(ruins: Ruins) -> None:
    answer = held()
    ruins.model.script(answer)
    with ruins.knock("alice").events("/features/greet/runs", {"input": {"name": "Ann"}}) as events:
        events.next("delta")
        ruins.stop_valkey()
        answer.hold.set()
        done = events.next("done")
    assert done.data["output"] == {"greeting": "Hello Ann"}
    assert ruins.attempts(done.data["id"]) == ["answered"]


def test_a_broker_that_forgets_everything_loses_no_run(ruins: Ruins) -> None:
    alice = ruins.knock("alice")
    assert alice.run("Ann", prefer="wait=20").status_code == 200  # everybody has declared what they use
    ruins.worker.kill()
    runs = [alice.run(f"Ann {n}", prefer="respond-async").json()["id"] for n in range(5)]
    ruins.broker().flushall()
    ruins.worker.start()
    assert {alice.ended(run_id)["state"] for run_id in runs} == {"succeeded"}
    ruins.broker().flushall()  # under a worker that listens
    assert alice.run("Bea", prefer="wait=20").status_code == 200


def test_with_the_database_away_callers_are_told_to_come_back_and_nothing_is_half_done(ruins: Ruins) -> None:
    before, alice = pids(ruins), ruins.knock("alice")
    done = alice.run("Ann", prefer="wait=20").json()["id"]
    ruins.stop_postgres()
    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(alice.run, "Bea"), callers.submit(alice.get, f"/runs/{done}"),
                 callers.submit(alice.get, "/features")]  # fmt: skip
        readiness = callers.submit(ruins.readiness)
    for answer in (future.result() for future in asked):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0 and answer.json()["status"] == 503
    assert readiness.result()[0] == 503 and readiness.result()[1]["database"] == "away"
    ruins.start_postgres()
    began = time.monotonic()
    until(lambda: alice.get(f"/runs/{done}").status_code == 200, "the API answers again", 15)
    until(ruins.ready, "ready again", 15)
    assert time.monotonic() - began < 10
    assert pids(ruins) == before
    assert [row[0] for row in ruins.rows("SELECT state FROM runs_run WHERE " + REAL_RUN)] == ["succeeded"]
    assert ruins.waiting() == 0
    assert alice.run("Bea", prefer="wait=20").status_code == 200


def test_a_run_that_speaks_when_the_database_goes_ends_once_after_its_return(ruins: Ruins) -> None:
    answer = held()
    ruins.model.script(answer)
    alice = ruins.knock("alice")
    with ThreadPoolExecutor(1) as caller:
        waiting: Any = caller.submit(alice.run, "Ann", prefer="wait=5")
        assert answer.begun.wait(30)
        ruins.stop_postgres()
        answer.hold.set()
        taken = waiting.result()
    assert (taken.status_code, taken.json()["state"]) == (202, "queued")  # never 503: it was taken in
    ruins.start_postgres()
    run = until(lambda: _shown(alice, taken.headers["location"]), "the run has ended")
    assert run["state"] == "succeeded"
    assert ruins.ledger(run["id"]) == [("succeeded", 1)]
    assert ruins.attempts(run["id"])[-1] == "answered"
    assert ruins.rows("SELECT count(*) FROM runs_attempt WHERE finished_at IS NULL") == [(0,)]


def _shown(who: Any, location: str) -> Any:
    answer = who.get(location.removeprefix("/api/v1"))
    return answer.json() if answer.status_code == 200 and answer.json()["finished"] else None
