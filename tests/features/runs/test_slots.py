"""One claim for all free slots: what it takes, in which order, and that its runs leave each other alone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from features.runs import dispatch, slots
from features.runs.accept import accept, find_run
from features.runs.bells import ring
from features.runs.dispatch import Claim, claim_many
from features.runs.finish import cancel
from features.runs.models import Queued, Run, State
from features.runs.slots import Porter, Slots
from tenants import valkey
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel
from tests.outside import until
from tests.working import look


def run_of(cast: Cast, name: str, who: Any = None) -> Any:
    return accept(cast.greet, {"name": name}, by=who or cast.alice).run_id


def state_of(cast: Cast, run_id: Any) -> str:
    run = find_run(run_id, cast.alice)
    assert run is not None
    return str(run.state)


def held() -> Answer:
    return Answer('{"greeting": "Hello"}', hold=threading.Event())


@contextmanager
def serving(number: int) -> Iterator[Porter]:
    """A worker's porter with so many slots answers bells, until all that it has begun has ended."""
    porter = Porter(Slots(number))
    porter.start()
    try:
        yield porter
    finally:
        assert porter.leave(30)


def let_go(*answers: Answer) -> None:
    for answer in answers:
        answer.hold and answer.hold.set()


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each claim has brought."""
    found: list[int] = []

    def noted(most: int) -> Any:
        taken, more = claim_many(most)
        found.append(len(taken))
        return taken, more

    monkeypatch.setattr(slots, "claim_many", noted)
    return found


def test_one_bell_claims_for_every_free_slot_at_once(cast: Cast, model: FakeModel, claims: list[int]) -> None:
    answers = [held() for _ in range(4)]
    model.script(*answers)
    runs = [run_of(cast, f"Ann {number}") for number in range(6)]
    with serving(4):
        ring()
        assert all(answer.begun.wait(30) for answer in answers)  # at the same time
        assert claims == [4]
        let_go(*answers)
        until(lambda: {state_of(cast, run_id) for run_id in runs} == {State.SUCCEEDED}, "all end")


def test_a_slot_that_is_free_again_is_filled_without_a_bell_from_outside(cast: Cast, model: FakeModel) -> None:
    first, second = held(), held()
    model.script(first, second)
    run_of(cast, "Ann"), run_of(cast, "Ben")
    with serving(1):
        ring()
        assert first.begun.wait(30)
        let_go(first)
        assert second.begun.wait(30)
        let_go(second)


def test_a_bell_while_runs_are_at_work_fills_the_slots_that_are_free(cast: Cast, model: FakeModel) -> None:
    first, second = held(), held()
    model.script(first, second)
    run_of(cast, "Ann")
    with serving(2):
        ring()
        assert first.begun.wait(30)
        run_of(cast, "Ben")
        ring()
        assert second.begun.wait(30)
        let_go(first, second)


def test_a_share_that_is_free_again_is_filled_although_slots_were_free_before(
    cast: Cast, model: FakeModel, settings: Any
) -> None:
    settings.TENANT_SLOTS = 1
    first, second = held(), held()
    model.script(first, second)
    run_of(cast, "Ann"), run_of(cast, "Ben")
    with serving(4):
        ring()
        assert first.begun.wait(30)
        let_go(first)
        assert second.begun.wait(30)
        let_go(second)


def test_an_end_while_a_claim_is_made_is_not_overlooked(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rings for nobody, since nobody knew yet that more waited: who claims looks once more."""
    first, second = held(), held()
    model.script(first, second)
    ours = Slots(2)
    run_of(cast, "Ann")
    ours.take()
    assert first.begun.wait(30)

    def claimed_meanwhile(most: int) -> tuple[list[Claim], bool]:
        monkeypatch.undo()
        run_of(cast, "Ben")
        let_go(first)
        assert ours.wait_for_all(30)
        return [], True  # as seen before

    monkeypatch.setattr(slots, "claim_many", claimed_meanwhile)
    assert ours.take() == 1 and second.begun.wait(30)
    let_go(second)
    assert ours.wait_for_all(30)


def test_a_porter_that_breaks_goes_on(cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = run_of(cast, "Ann")

    def breaks(_: int) -> Any:
        monkeypatch.undo()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(slots, "claim_many", breaks)
    with serving(1):
        ring(2)  # the second is left by one slot
        until(lambda: state_of(cast, run_id) == State.SUCCEEDED, "it is carried out")


def test_without_valkey_runs_are_looked_for_by_the_clock(
    cast: Cast, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    porter = Porter(Slots(1))
    monkeypatch.setattr(porter._ear, "_client", valkey.connect("redis://127.0.0.1:1/0"))
    porter.start()
    run_id = run_of(cast, "Ann")
    until(lambda: state_of(cast, run_id) == State.SUCCEEDED, "it is carried out")
    assert porter.leave(30)


def test_a_claim_says_whether_more_could_have_started(cast: Cast, settings: Any) -> None:
    settings.TENANT_SLOTS = 3
    assert claim_many(4) == ([], False)
    for number in range(4):
        run_of(cast, f"Ann {number}")
    with cast.alice.present():
        Queued.objects.filter(pk=run_of(cast, "Zoe")).update(not_before="2099-01-01T00:00:00Z")
    assert [(len(found), more) for found, more in (claim_many(1), claim_many(9), claim_many(9))] == [
        (1, True), (2, True), (0, True),  # the fourth waits for its tenant's share
    ]  # fmt: skip
    settings.TENANT_SLOTS = 4
    found, more = claim_many(1)
    assert (len(found), more) == (1, False)  # who waits for later is not meant


def test_one_claim_is_as_fair_as_many(cast: Cast) -> None:
    ours = [run_of(cast, f"Ann {number}") for number in range(10)]
    with cast.alice.present():
        Queued.objects.filter(pk__in=ours[:5]).update(batch=True)
    theirs = [run_of(cast, f"Max {number}", cast.mallory) for number in range(2)]
    claimed = [claim.run_id for claim in claim_many(5)[0]]
    assert set(claimed) == {*theirs, *ours[5:8]}  # by turns, and no item of a batch before anybody's run
    assert len({claim.token for claim in claim_many(5)[0]}) == 5


def test_a_tenant_gets_no_more_of_one_claim_than_it_may_have(cast: Cast, settings: Any) -> None:
    settings.TENANT_SLOTS = 3
    for number in range(10):
        run_of(cast, f"Ann {number}")
    theirs = run_of(cast, "Max", cast.mallory)
    claimed, more = claim_many(8)
    assert len(claimed) == 4 and theirs in [claim.run_id for claim in claimed] and more
    assert claim_many(8) == ([], True)


def test_a_run_that_breaks_its_thread_leaves_the_others_alone(cast: Cast, model: FakeModel) -> None:
    runs = [run_of(cast, f"Ann {number}") for number in range(4)]
    with cast.alice.present():
        broken = Run.objects.get(pk=runs[1])
        Run.objects.filter(pk=broken.pk).update(receipt={})
    assert look(Slots(4)) == 4
    states = [state_of(cast, run_id) for run_id in runs]
    assert states == [State.SUCCEEDED, State.QUEUED, State.SUCCEEDED, State.SUCCEEDED]
    with cast.alice.present():
        assert Queued.objects.get().token is not None  # until its lease has run out, and the reaper takes it back


def test_cancelling_one_of_many_in_mid_stream_stops_that_one_alone(cast: Cast, model: FakeModel) -> None:
    answers = {f"Ann {number}": held() for number in range(3)}
    model.default = lambda body: next(a for name, a in answers.items() if name in body["messages"][-1]["content"])
    runs = {name: run_of(cast, name) for name in answers}
    with serving(3):
        ring()
        assert all(answer.begun.wait(30) for answer in answers.values())
        run = find_run(runs["Ann 1"], cast.alice)
        assert run is not None and cancel(run, by=cast.alice) is False
        until(lambda: state_of(cast, run.pk) == State.CANCELLED, "it is cancelled")
        assert answers["Ann 1"].closed.wait(30)
        assert [answers[name].closed.is_set() for name in ("Ann 0", "Ann 2")] == [False, False]
        let_go(*answers.values())
    assert [state_of(cast, runs[name]) for name in ("Ann 0", "Ann 2")] == [State.SUCCEEDED] * 2


def test_threads_and_connections_do_not_grow_with_the_runs(cast: Cast, model: FakeModel) -> None:
    ours = Slots(3)
    threads = {thread.ident for thread in threading.enumerate()}
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'bespoke_%%'"

    def connected() -> int:
        with connections["owner"].cursor() as cursor:
            cursor.execute(asked)
            return int(cursor.fetchone()[0])

    until(lambda: connected() <= 3, "only this test's own connections are there")  # one of each role
    for number in range(3):
        for name in range(6):
            run_of(cast, f"Ann {number} {name}")
        assert look(ours) == 6
    new = [thread.name for thread in threading.enumerate() if thread.ident not in threads]
    assert sum(name.startswith("run_") for name in new) == 3
    assert set(new) - {"run_0", "run_1", "run_2"} <= {"provider", "leases", "texts"}
    until(lambda: connected() <= 3, "only this test's own connections are left")


def test_who_stops_claims_no_more_however_many_are_in_flight(cast: Cast, model: FakeModel) -> None:
    answers = [held() for _ in range(3)]
    model.script(*answers)
    runs = [run_of(cast, f"Ann {number}") for number in range(5)]
    with serving(3) as porter:
        ring()
        assert all(answer.begun.wait(30) for answer in answers)
        assert not porter.leave(0)  # two wait, and three are at work
        let_go(*answers)
        ring()
    states = sorted(state_of(cast, run_id) for run_id in runs)
    assert states == [State.QUEUED] * 2 + [State.SUCCEEDED] * 3


def test_what_waits_for_later_costs_a_claim_nothing(cast: Cast) -> None:
    """Of thousands that must wait, and thousands behind each other, a claim reads as many as it could take."""
    ready = run_of(cast, "Ann")
    with cast.alice.present():
        one = Queued.objects.get(pk=ready)
        for batch, later in ((False, True), (True, False)):
            rows = [
                Queued(
                    tenant_id=one.tenant_id,
                    feature=one.feature,
                    batch=batch,
                    not_before="2099-01-01T00:00:00Z" if later else "2020-01-01T00:00:00Z",
                )  # fmt: skip
                for _ in range(3000)
            ]
            Queued.objects.bulk_create(rows)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE runs_queued")
    limits = {
        "process": dispatch.PROCESS, "lease": 3, "slots": 16, "tenant_slots": 8, "most": 4,
    }  # fmt: skip
    with connections["operator"].cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {dispatch._CLAIM}", limits)
        plan = cursor.fetchone()[0]
    [whole] = json.loads(plan) if isinstance(plan, str) else plan
    assert read(whole["Plan"]) < 200


def read(node: dict[str, Any]) -> float:
    """How many rows the scans of tables in a plan came upon."""
    of_table = node.get("Relation Name") == "runs_queued" and "Scan" in node["Node Type"]
    rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] if of_table else 0
    return float(rows + sum(read(child) for child in node.get("Plans", ())))
