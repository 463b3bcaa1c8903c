"""Workers that die, stop or are not there: every run ends once, with one ledger row, and nobody sends it again."""

import signal
import threading
from collections.abc import Iterator

import pytest

from features.actions.versions import create_feature
from tests.cast import GREET
from tests.fakes.model import Answer
from tests.outside import until
from tests.processes import REAL, REAL_RUN, Program, Stack


def held(text: str = '{"greeting": "Hello Ann"}') -> Answer:
    return Answer(text, hold=threading.Event())


def within(seconds: int, stack: Stack) -> str:
    """A feature like `greet` with a deadline of its own; returns its key."""
    limits = {**GREET["limits"], "timeout_seconds": seconds}
    feature, _ = create_feature(
        key=f"within-{seconds}", title="Greet", summary="Greets.", behavior={**GREET, "limits": limits}, rules={},
        by=stack.cast.operator,
    )  # fmt: skip
    return feature.key


def test_a_worker_killed_in_mid_run_leaves_one_end_and_one_ledger_row(stack: Stack) -> None:
    first = held()
    stack.model.script(first)
    alice = stack.knock("alice")
    run_id = alice.run(prefer="respond-async").json()["id"]
    assert first.begun.wait(30)
    stack.worker.kill()
    assert first.closed.wait(30)
    stack.worker.start()
    run = alice.ended(run_id)
    assert (run["state"], run["output"], run["attempts"]) == ("succeeded", {"greeting": "Hello"}, 2)
    assert stack.attempts(run_id) == ["lost", "answered"]
    assert stack.ledger(run_id) == [("succeeded", 1)]
    assert stack.waiting() == 0


def test_a_run_whose_lease_is_renewed_is_nobody_elses(stack: Stack) -> None:
    """It takes longer than the lease (3 s here) and the reaper looks twice; a lease not renewed would be taken back."""
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    run_id = alice.run(feature=within(60, stack), prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    leases: set[object] = set()

    def renewed() -> bool:
        leases.update(stack.rows("SELECT lease_until, lost FROM runs_queued WHERE id = %s", run_id))
        return len(leases) > 8

    until(renewed, "the lease is renewed for 8 seconds")
    assert {lost for _, lost in leases} == {0}
    answer.hold.set()
    assert alice.ended(run_id)["state"] == "succeeded"
    assert stack.attempts(run_id) == ["answered"]


def test_with_no_worker_a_run_waits_and_is_carried_out_when_one_is_back(stack: Stack) -> None:
    stack.worker.kill()
    alice = stack.knock("alice")
    taken = alice.run(prefer="wait=1")
    assert (taken.status_code, taken.json()["state"]) == (202, "queued")
    away = (503, {"status": "away", "database": "ok", "broker": "ok", "worker": "away"})
    until(lambda: stack.readiness() == away, "it is noticed that no canary comes through")
    stack.worker.start()
    assert alice.ended(taken.json()["id"])["state"] == "succeeded"


def test_a_worker_told_to_stop_ends_what_it_began_and_begins_nothing(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice = stack.knock("alice")
    begun = alice.run(prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    stack.worker.signal(signal.SIGTERM)
    until(lambda: "arm shutdown" in stack.worker.said(), "the worker has heard")
    waits = alice.run(prefer="respond-async").json()["id"]
    answer.hold.set()
    assert stack.worker.ended(10) == 0
    assert alice.get(f"/runs/{begun}").json()["state"] == "succeeded"
    assert alice.get(f"/runs/{waits}").json()["state"] == "queued"
    stack.worker.start()
    assert alice.ended(waits)["state"] == "succeeded"
    assert stack.attempts(begun) == stack.attempts(waits) == ["answered"]


def test_a_worker_told_to_stop_with_all_slots_taken_ends_every_run_and_begins_none(stack: Stack) -> None:
    answers = [held() for _ in range(8)]
    stack.model.script(*answers)
    alice, feature = stack.knock("alice"), within(60, stack)
    runs = [alice.run(f"Ann {n}", feature=feature, prefer="respond-async").json()["id"] for n in range(12)]
    assert all(answer.begun.wait(30) for answer in answers)
    before = stack.worker.said().count("arm shutdown")
    stack.worker.signal(signal.SIGTERM)
    until(lambda: stack.worker.said().count("arm shutdown") > before, "the worker has heard")
    for answer in answers:
        answer.hold.set()
    assert stack.worker.ended(30) == 0
    states = sorted(state for (state,) in stack.rows("SELECT state FROM runs_run WHERE id = ANY(%s)", runs))
    assert states == ["queued"] * 4 + ["succeeded"] * 8
    stack.worker.start()
    assert {alice.ended(run_id)["state"] for run_id in runs} == {"succeeded"}


def test_a_worker_full_of_runs_is_still_there_for_the_dispatcher_and_the_reaper(stack: Stack) -> None:
    """Its pool has threads besides those of its slots: else it would look dead while it is busy."""
    answers = [held() for _ in range(8)]
    stack.model.script(*answers)
    alice, mallory = stack.knock("alice"), stack.knock("mallory")
    runs = [who.run(prefer="respond-async").json()["id"] for who in (alice, mallory) for _ in range(4)]
    assert all(answer.begun.wait(30) for answer in answers)
    sent = "SELECT created_at < clock_timestamp() - interval '6 seconds' FROM runs_queued JOIN runs_run USING (tenant_id, id)"
    until(lambda: stack.rows(sent + " WHERE NOT " + REAL) == [(True,)], "a canary waits for longer than it may")
    assert stack.ready()
    for answer in answers:
        answer.hold.set()
    assert {who.ended(run_id)["state"] for run_id, who in zip(runs, [alice] * 4 + [mallory] * 4, strict=True)} == {
        "succeeded"
    }


def test_a_worker_that_hangs_is_noticed_and_noticed_again_when_it_goes_on(stack: Stack) -> None:
    assert stack.ready()
    stack.worker.signal(signal.SIGSTOP)
    try:
        until(lambda: stack.readiness()[1]["worker"] == "away", "no canary has come through for a while")
        assert stack.readiness()[0] == 503
    finally:
        stack.worker.signal(signal.SIGCONT)
    until(stack.ready, "canaries come through again")


@pytest.fixture
def second(stack: Stack) -> Iterator[Program]:
    worker = stack.a_worker("second", slots=4).start()
    yield worker
    worker.kill()


def test_fifty_runs_of_two_tenants_outlive_two_deaths_of_a_worker(stack: Stack, second: Program) -> None:
    slots = 8 + 4  # of both workers: when so many calls are held, each worker holds all it can
    deaths = [[held() for _ in range(slots)] for _ in range(2)]
    stack.model.script(*deaths[0], *deaths[1])
    until(lambda: "ready." in second.said(), "the second worker is there")
    people = [stack.knock("alice"), stack.knock("mallory")]
    feature = within(60, stack)
    taken = [(who, who.run(f"Ann {n}", feature=feature, prefer="respond-async")) for n in range(25) for who in people]
    runs = [(who, answer.json()["id"]) for who, answer in taken]
    for answers in deaths:
        assert all(answer.begun.wait(90) for answer in answers)  # a worker starts meanwhile
        second.kill()
        until(lambda answers=answers: sum(answer.closed.is_set() for answer in answers) == 4, "its calls end")  # type: ignore[misc]
        second.start()
        for answer in answers:
            answer.hold.set()
    assert {who.ended(run_id)["state"] for who, run_id in runs} == {"succeeded"}
    assert stack.ledger(*[run_id for _, run_id in runs]) == [("succeeded", 50)]
    assert stack.rows("SELECT max(n) FROM (SELECT count(*) n FROM runs_ledger GROUP BY run) x") == [(1,)]
    [(attempts, lost)] = stack.rows("SELECT count(*), count(*) FILTER (WHERE outcome = 'lost') FROM runs_attempt")
    assert attempts >= len(stack.model.requests) and lost == 8
    assert stack.rows("SELECT count(*) FROM runs_attempt WHERE finished_at IS NULL") == [(0,)]
    assert stack.waiting() == 0


def test_a_model_that_is_down_fails_the_run_by_its_type_after_three_calls(stack: Stack) -> None:
    stack.worker.kill()
    stack.worker.start(OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    try:
        alice = stack.knock("alice")
        run = alice.ended(alice.run(prefer="respond-async").json()["id"])
    finally:
        stack.worker.kill()
    assert (run["state"], run["error"]["type"], run["attempts"]) == ("failed", "unavailable", 3)
    assert run["error"]["title"] and {call["outcome"] for call in run["calls"]} == {"unavailable"}
    assert stack.ledger(run["id"]) == [("failed", 1)]


def test_the_deadline_holds_however_the_model_is_late(stack: Stack) -> None:
    feature = within(2, stack)
    mute = held()
    mute.mute = True
    late = [mute, held(), Answer("word " * 400, hold=threading.Event(), pause=0.2)]
    stack.model.script(*late)
    alice = stack.knock("alice")
    runs = [alice.run(feature=feature, prefer="respond-async").json()["id"] for _ in late]
    for run in [alice.ended(run_id) for run_id in runs]:
        assert (run["state"], run["error"]["type"], run["attempts"]) == ("failed", "timeout", 1)
    seconds = stack.rows("SELECT extract(epoch FROM finished_at - started_at) FROM runs_run WHERE " + REAL_RUN)
    assert all(2 <= took < 3 for (took,) in seconds)
    assert all(answer.closed.wait(30) for answer in late)


@pytest.mark.slow
def test_a_worker_told_to_stop_at_once_leaves_what_it_could_not_end_to_another(stack: Stack) -> None:
    answer = held()
    stack.model.script(answer)
    alice, feature = stack.knock("alice"), within(60, stack)
    begun = alice.run(feature=feature, prefer="respond-async").json()["id"]
    assert answer.begun.wait(30)
    stack.worker.signal(signal.SIGQUIT)
    assert stack.worker.ended(30) == 1
    stack.worker.start()
    assert alice.ended(begun)["state"] == "succeeded"
    assert stack.attempts(begun) == ["lost", "answered"]
    answer.hold.set()
