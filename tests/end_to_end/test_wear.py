"""What wears out over time: connections, threads, open streams; how processes end; and what logs may never hold."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from features.runs.follow import IDLE
from tests.fakes.model import Answer
from tests.outside import Knock, until
from tests.processes import Stack

POOL = 6  # BESPOKE_DB_POOL of the processes, for each of the two roles that they connect as


def held(text: str = '{"greeting": "Hello Ann"}') -> Answer:
    return Answer(text, hold=threading.Event())


def speaking(stack: Stack) -> tuple[Answer, Knock, str]:
    """An answer that is held, who has asked for it, and the id of their run, whose call has begun."""
    answer, alice = held(), stack.knock("alice")
    stack.model.script(answer)
    run_id = alice.run(prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    return answer, alice, run_id


def threads_of(pid: int) -> int:
    """How many threads a process has; none are counted where there is no /proc."""
    tasks = Path(f"/proc/{pid}/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0


def connections_of(stack: Stack) -> int:
    """How many connections web and worker have to their database."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename <> 'postgres'"
    return int(stack.rows(asked)[0][0]) - 3  # this test's own, one for each role at most


def clients_of(stack: Stack, *, of_followers: bool = False) -> int:
    """How many connections anybody, or who follows a run, has to the stack's number in the broker."""
    broker = stack.broker()
    number = str(broker.connection_pool.connection_kwargs["db"])
    clients = [client for client in broker.client_list() if client["db"] == number]
    return sum(client["cmd"] == "xread" for client in clients) if of_followers else len(clients)


def test_three_hundred_requests_fit_through_a_small_pool_and_leave_nothing_behind(stack: Stack) -> None:
    alice, gus = stack.knock("alice"), stack.knock("gus")
    run_id = alice.run().json()["id"]
    broker_before = clients_of(stack)

    def ask(n: int) -> int:
        if n % 4 == 0:
            return (alice if n % 8 else gus).run(f"Ann {n}", prefer="wait=30").status_code
        return alice.get(("/features", f"/runs/{run_id}", "/runs?limit=5")[n % 4 - 1]).status_code

    with ThreadPoolExecutor(12) as callers:
        assert set(callers.map(ask, range(300))) == {200}
    assert connections_of(stack) <= 2 * 2 * POOL
    # 75 were opened to follow a run each; the web process's threads keep one or two for the next request.
    until(lambda: clients_of(stack) <= broker_before + 30, "connections to the broker are closed")
    assert stack.worker.process and threads_of(stack.worker.process.pid) < 8 + 3 + 25


def test_followers_who_hang_up_leave_no_connection_behind(stack: Stack) -> None:
    answer, alice, run_id = speaking(stack)

    def follow(knock: Knock) -> None:
        with knock.events(f"/runs/{run_id}/events") as events:
            events.next("delta")
            everybody.wait(30)
            together.append(clients_of(stack, of_followers=True))

    everybody, together = threading.Barrier(20), list[int]()
    followers = [threading.Thread(target=follow, args=(stack.knock("alice"),)) for _ in range(20)]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join()
    assert max(together) > 10
    until(lambda: clients_of(stack, of_followers=True) <= IDLE, "their connections to the broker are closed")
    answer.hold.set()
    assert alice.ended(run_id)["state"] == "succeeded"


def test_followers_of_runs_that_end_leave_a_few_connections_for_the_next(stack: Stack) -> None:
    answer, _, run_id = speaking(stack)

    def follow(knock: Knock) -> str:
        with knock.events(f"/runs/{run_id}/events") as events:
            events.next("delta")
            everybody.wait(30)
            return list(events)[-1].name

    everybody = threading.Barrier(21)
    with ThreadPoolExecutor(20) as followers:
        last = [followers.submit(follow, stack.knock("alice")) for _ in range(20)]
        everybody.wait(30)
        answer.hold.set()
        assert {each.result() for each in last} == {"done"}
    until(lambda: clients_of(stack, of_followers=True) <= IDLE, "the others are closed")


def test_a_web_process_with_open_streams_ends_in_seconds_and_its_followers_go_on_elsewhere(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    with alice.events("/features/greet/runs", {"input": {"name": "Ann"}}) as events:
        last = events.next("delta")
        place = f"{events.response.headers['location'].removeprefix('/api/v1')}/events"
        stack.web.signal(signal.SIGTERM)
        stack.web.ended(8)
    stack.web.start()
    answer.hold.set()
    with stack.knock("alice").events(place, Last_Event_ID=last.id) as again:
        assert [event.name for event in again][-1] == "done"


def test_logs_hold_no_input_and_no_output(stack: Stack) -> None:
    asked, told, wrong = "Bartholomew-the-secret", "Hush-hush-dear", "Mumbo-jumbo-answer"
    stack.model.script(
        Answer(f'{{"greeting": "{told}"}}'),
        *[Answer(f'{{"greting": "{wrong}"}}')] * 2,
        Answer(raw=f"data: {{{wrong}\n\n".encode()),
        Answer(raw=f'data: {{"error": {{"message": "{asked}"}}}}\n\n'.encode()),
        Answer(status=400),
    )
    alice = stack.knock("alice")
    states = [alice.run(asked).json()["state"] for _ in range(3)]
    assert states == ["succeeded", "failed", "failed"]
    assert alice.post("/features/greet/runs", {"input": {"name": asked * 20, asked: 1}}).status_code == 422
    assert alice.post("/features/greet/runs", {"input": asked}).status_code == 422
    assert alice.get(f"/runs?limit={asked}", X_Canary=asked).status_code in (400, 422)
    assert alice.get(f"/features/{asked}").status_code == 404
    said = stack.logs()
    assert "run.finished" in said and "/api/v1/features/<str:feature>/runs" in said
    assert not [secret for secret in (asked, told, wrong) if secret in said]
