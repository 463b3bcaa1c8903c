"""One look that claims for all free slots: what it takes, in which order, and that its runs leave each other alone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from features.runs import dispatch, slots
from features.runs.accept import accept, find_run
from features.runs.dispatch import MASK, QUEUE, claim_many, ring
from features.runs.finish import cancel
from features.runs.models import Queued, Run, State
from features.runs.slots import Slots
from tenants import valkey
from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.outside import until


def run_of(cast: Cast, name: str, who: Any = None) -> Any:
    return accept(cast.greet, {"name": name}, by=who or cast.alice).run_id


def state_of(cast: Cast, run_id: Any) -> str:
    run = find_run(run_id, cast.alice)
    assert run is not None
    return str(run.state)


def held() -> Answer:
    return Answer('{"greeting": "Hello"}', hold=threading.Event())


@contextmanager
def looking(number: int) -> Iterator[list[int]]:
    """Somebody looks, with so many slots; yields what comes of it when they are done."""
    found: list[int] = []
    looker = threading.Thread(target=lambda: found.append(Slots(number).look(lambda: False)))
    looker.start()
    yield found
    looker.join(30)
    assert not looker.is_alive()


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each claim has brought."""
    found: list[int] = []

    def noted(most: int) -> Any:
        taken = claim_many(most)
        found.append(len(taken))
        return taken

    monkeypatch.setattr(slots, "claim_many", noted)
    return found


def test_one_look_claims_for_every_free_slot_at_once(cast: Cast, model: FakeModel, claims: list[int]) -> None:
    answers = [held() for _ in range(4)]
    model.script(*answers)
    runs = [run_of(cast, f"Ann {number}") for number in range(6)]
    with looking(4) as carried_out:
        assert all(answer.begun.wait(30) for answer in answers)  # at the same time
        assert claims == [4]
        for answer in answers:
            answer.hold and answer.hold.set()
    assert carried_out == [6] and sum(claims) == 6
    assert {state_of(cast, run_id) for run_id in runs} == {State.SUCCEEDED}


def test_a_slot_that_is_free_again_is_filled_without_a_bell(cast: Cast, model: FakeModel) -> None:
    first, second = held(), held()
    model.script(first, second)
    run_of(cast, "Ann")
    with looking(1):
        assert first.begun.wait(30)
        run_of(cast, "Ben")  # and nobody rings
        first.hold and first.hold.set()
        assert second.begun.wait(30)
        second.hold and second.hold.set()


def test_a_bell_while_somebody_looks_fills_the_slots_that_are_free(cast: Cast, model: FakeModel) -> None:
    first, second = held(), held()
    model.script(first, second)
    run_of(cast, "Ann")
    ours = Slots(2)
    looker = threading.Thread(target=lambda: ours.look(lambda: False))
    looker.start()
    assert first.begun.wait(30)
    run_of(cast, "Ben")
    assert ours.look(lambda: False) == 0  # by whom it is not carried out
    assert second.begun.wait(30)
    for answer in (first, second):
        answer.hold and answer.hold.set()
    looker.join(30)
    assert not looker.is_alive()


def test_one_claim_is_as_fair_as_many(cast: Cast) -> None:
    ours = [run_of(cast, f"Ann {number}") for number in range(10)]
    with cast.alice.present():
        Queued.objects.filter(pk__in=ours[:5]).update(batch=True)
    theirs = [run_of(cast, f"Max {number}", cast.mallory) for number in range(2)]
    claimed = [claim.run_id for claim in claim_many(5)]
    assert set(claimed) == {*theirs, *ours[5:8]}  # by turns, and no item of a batch before anybody's run
    assert len({claim.token for claim in claim_many(5)}) == 5


def test_a_tenant_gets_no_more_of_one_claim_than_it_may_have(cast: Cast, settings: Any) -> None:
    settings.TENANT_SLOTS = 3
    for number in range(10):
        run_of(cast, f"Ann {number}")
    theirs = run_of(cast, "Max", cast.mallory)
    claimed = claim_many(8)
    assert len(claimed) == 4 and theirs in [claim.run_id for claim in claimed]
    assert claim_many(8) == []


def test_a_run_that_breaks_its_thread_leaves_the_others_alone(cast: Cast, model: FakeModel) -> None:
    runs = [run_of(cast, f"Ann {number}") for number in range(4)]
    with cast.alice.present():
        broken = Run.objects.get(pk=runs[1])
        Run.objects.filter(pk=broken.pk).update(receipt={})
    assert Slots(4).look(lambda: False) == 4
    states = [state_of(cast, run_id) for run_id in runs]
    assert states == [State.SUCCEEDED, State.QUEUED, State.SUCCEEDED, State.SUCCEEDED]
    with cast.alice.present():
        assert Queued.objects.get().token is not None  # until its lease has run out, and the reaper takes it back


def test_cancelling_one_of_many_in_mid_stream_stops_that_one_alone(cast: Cast, model: FakeModel) -> None:
    answers = {f"Ann {number}": held() for number in range(3)}
    model.default = lambda body: next(a for name, a in answers.items() if name in body["messages"][-1]["content"])
    runs = {name: run_of(cast, name) for name in answers}
    with looking(3):
        assert all(answer.begun.wait(30) for answer in answers.values())
        run = find_run(runs["Ann 1"], cast.alice)
        assert run is not None and cancel(run, by=cast.alice) is False
        until(lambda: state_of(cast, run.pk) == State.CANCELLED, "it is cancelled")
        assert answers["Ann 1"].closed.wait(30)
        assert [answers[name].closed.is_set() for name in ("Ann 0", "Ann 2")] == [False, False]
        for answer in answers.values():
            answer.hold and answer.hold.set()
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
        assert ours.look(lambda: False) == 6
    new = [thread.name for thread in threading.enumerate() if thread.ident not in threads]
    assert sum(name.startswith("run_") for name in new) == 3
    assert set(new) - {"run_0", "run_1", "run_2"} <= {"provider", "leases", "texts"}
    until(lambda: connected() <= 3, "only this test's own connections are left")


def test_who_stops_claims_no_more_however_many_are_in_flight(cast: Cast, model: FakeModel) -> None:
    answers, stopping = [held() for _ in range(3)], threading.Event()
    model.script(*answers)
    runs = [run_of(cast, f"Ann {number}") for number in range(5)]
    found: list[int] = []
    looker = threading.Thread(target=lambda: found.append(Slots(3).look(stopping.is_set)))
    looker.start()
    assert all(answer.begun.wait(30) for answer in answers)
    stopping.set()
    for answer in answers:
        answer.hold and answer.hold.set()
    looker.join(30)
    assert found == [3]
    states = sorted(state_of(cast, run_id) for run_id in runs)
    assert states == [State.QUEUED] * 2 + [State.SUCCEEDED] * 3


def test_bells_are_masked_while_somebody_looks_all_the_time(cast: Cast) -> None:
    ring()
    assert valkey.client.llen(QUEUE) == 1
    dispatch.mask_bells()
    ring()
    assert valkey.client.llen(QUEUE) == 1
    assert 0 < valkey.client.pttl(MASK) <= 1000  # it falls off by itself when whoever looked has died
    ring(whatever=True)  # as the dispatcher
    assert valkey.client.llen(QUEUE) == 2
    dispatch.unmask_bells()
    ring()
    assert valkey.client.llen(QUEUE) == 3


def test_a_mask_is_on_only_while_much_is_found_and_more_could_be_claimed(cast: Cast) -> None:
    mask = slots._Mask()
    assert mask.turn(found=True, often=False, able=True) is False and not mask.on
    assert mask.turn(found=True, often=True, able=False) is False and not mask.on
    mask.turn(found=True, often=True, able=True)
    assert mask.on and valkey.client.exists(MASK)
    assert mask.turn(found=True, often=True, able=False) is True  # and who took it off looks once more
    assert not mask.on and not valkey.client.exists(MASK)
    mask.turn(found=True, often=True, able=True)
    until(lambda: mask.turn(found=False, often=True, able=True), "nothing was found for a while")
    assert not valkey.client.exists(MASK)


def test_runs_that_come_thick_and_fast_are_carried_out_under_the_mask(cast: Cast, model: FakeModel) -> None:
    model.default = lambda _: greeting()
    ours, stop = Slots(4), threading.Event()

    def heard() -> None:
        while not stop.is_set():
            ours.look(lambda: False)
            time.sleep(0.001)

    looker = threading.Thread(target=heard)
    listener = threading.Thread(target=heard)
    looker.start(), listener.start()
    try:
        until(lambda: ours._mask.on or run_of(cast, "Ann") is None, "bells are masked")
        runs = [run_of(cast, f"Ben {number}") for number in range(8)]
        until(lambda: {state_of(cast, run_id) for run_id in runs} == {State.SUCCEEDED}, "all end")
    finally:
        stop.set()
        looker.join(30), listener.join(30)
    assert not looker.is_alive() and not ours._mask.on and not valkey.client.exists(MASK)


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
