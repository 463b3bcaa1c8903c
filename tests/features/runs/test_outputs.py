"""The output cache: who gets whose answer, when, and what an equal run in flight does."""

import random
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.actors import actor_of_key
from features.actions.availability import set_caching
from features.actions.overrides import ANY, save_operation
from features.actions.targets import add_target
from features.actions.versions import publish
from features.runs.accept import accept, find_run
from features.runs.finish import cancel
from features.runs.models import Ledger, Queued, Run, State
from features.runs.outputs import FIND, cache_key
from features.runs.taking import Accepted, Asked
from tenants.actor import Actor
from tenants.ids import floor_of
from tests.canaries import superuser
from tests.cast import GREET, Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.outside import until
from tests.working import look


@pytest.fixture(autouse=True)
def cached(cast: Cast) -> None:
    set_caching(cast.greet, 3600, by=cast.operator)


def ask(cast: Cast, who: Actor, name: str = "Ann", **asked: Any) -> Accepted:
    return accept(cast.greet, {"name": name}, asked=Asked(**asked), by=who)


def run(who: Actor, accepted: Accepted) -> Run:
    found = find_run(accepted.run_id, who)
    assert found is not None
    return found


def test_an_equal_run_has_the_same_output_at_once_and_at_no_cost(cast: Cast, model: FakeModel) -> None:
    model.script(greeting("Hello Ann"))
    first = ask(cast, cast.alice)
    look()
    second = ask(cast, cast.bob)
    assert (first.ended, second.ended) == (False, True)
    copied = run(cast.bob, second)
    assert (copied.state, copied.output, copied.cached) == (State.SUCCEEDED, {"greeting": "Hello Ann"}, True)
    assert (copied.cost, copied.attempts, copied.finished_at) == (0, 0, copied.created_at)
    assert copied.receipt["digest"] == run(cast.alice, first).receipt["digest"]
    assert len(model.requests) == 1
    with cast.alice.present():
        assert sorted((row.cached, row.cost) for row in Ledger.objects.all()) == [(False, 140), (True, 0)]
        assert not Queued.objects.exists()


@pytest.mark.parametrize(
    "what", ["another tenant", "another input", "own change", "fresh", "new version", "another model", "off"]
)
def test_what_is_not_equal_is_asked(what: str, cast: Cast, model: FakeModel) -> None:
    ask(cast, cast.alice)
    look()
    who, name, fresh = cast.alice, "Ann", False
    if what == "another tenant":
        who = cast.mallory
    elif what == "another input":
        name = "Bea"
    elif what == "own change":
        save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=cast.alice)
    elif what == "fresh":
        fresh = True
    elif what == "another model":
        target = {"provider": "demo", "model": "newer", "input_price": 1, "output_price": 1}
        add_target(alias="standard", **target, by=cast.operator)
    elif what == "new version":
        publish(
            cast.greet,
            behavior={**GREET, "prompt": "Greet {{ input.name | fence }}"},
            make_current=True,
            by=cast.operator,
        )
    else:
        set_caching(cast.greet, 0, by=cast.operator)
    assert not ask(cast, who, name, fresh=fresh).ended
    assert look() == 1
    assert len(model.requests) == 2


@pytest.mark.parametrize(("minutes", "known"), [(59, True), (61, False)])
def test_an_output_answers_for_as_long_as_the_feature_says(
    minutes: int, known: bool, cast: Cast, model: FakeModel
) -> None:
    first = ask(cast, cast.alice).run_id
    look()
    old = floor_of(timezone.now() - timedelta(minutes=minutes))
    with cast.alice.present():
        Run.objects.filter(pk=first).update(id=old)
    assert ask(cast, cast.alice).ended is known


def test_what_ones_own_change_took_part_in_is_ones_own(cast: Cast, model: FakeModel) -> None:
    for who in (cast.alice, cast.bob):
        save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=who)
    ask(cast, cast.alice)
    look()
    assert ask(cast, cast.alice).ended
    assert not ask(cast, cast.bob).ended  # the same text to the letter


def test_a_text_that_names_the_user_is_each_users_and_one_that_names_the_time_is_never_kept(
    cast: Cast, model: FakeModel
) -> None:
    for prompt, others in (("{{ user.key }} {{ input.name | fence }}", True), ("{{ now }} {{ input.name }}", False)):
        publish(cast.greet, behavior={**GREET, "prompt": prompt}, make_current=True, by=cast.operator)
        ask(cast, cast.alice)
        look()
        assert not ask(cast, cast.bob).ended
        assert ask(cast, cast.alice).ended is others
        while look():
            pass


def test_an_output_that_failed_or_was_forgotten_answers_nobody(cast: Cast, model: FakeModel) -> None:
    model.script(Answer(status=400))
    ask(cast, cast.alice)
    look()
    assert not ask(cast, cast.alice).ended
    look()
    with cast.alice.present():
        Run.objects.update(output=None)
    assert not ask(cast, cast.alice).ended


def test_what_is_not_to_be_stored_may_have_anothers_output_and_gives_none(cast: Cast, model: FakeModel) -> None:
    ask(cast, cast.alice, store=False)
    look()
    assert not ask(cast, cast.alice).ended
    look()
    assert ask(cast, cast.alice, store=False).ended
    with cast.alice.present():
        assert Run.objects.exclude(forget_at=None).count() == 2


def test_of_many_equal_runs_at_once_one_asks_and_all_have_its_answer(cast: Cast, model: FakeModel) -> None:
    barrier, taken = threading.Barrier(10), []

    def knock() -> None:
        barrier.wait()
        taken.append(ask(cast, cast.alice))
        connections.close_all()

    threads = [threading.Thread(target=knock) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    model.script(greeting("Hello all"))
    while look():
        pass
    runs = [run(cast.alice, one) for one in taken]
    assert {(one.state, one.output["greeting"]) for one in runs} == {(State.SUCCEEDED, "Hello all")}
    assert sorted(one.cached for one in runs) == [False] + [True] * 9
    assert len(model.requests) == 1
    with cast.alice.present():
        assert Ledger.objects.count() == 10 and not Queued.objects.exists()


def test_so_it_is_where_each_is_written_in_one_statement(cast: Cast, model: FakeModel) -> None:
    ask(cast, cast.alice, "Somebody else")  # so that this process knows the behavior
    look()
    model.reset()
    for name in ("Ann", "Bea", "Cleo", "Dora", "Eve"):
        barrier, taken = threading.Barrier(8), []

        def knock(name: str = name, barrier: threading.Barrier = barrier, taken: list[Any] = taken) -> None:
            barrier.wait()
            taken.append(ask(cast, cast.alice, name))
            connections.close_all()

        threads = [threading.Thread(target=knock) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with cast.alice.present():
            assert Queued.objects.filter(follows=None).count() == 1
        while look():
            pass
    assert len(model.requests) == 5


def test_so_it_is_for_two_who_are_new_while_the_first_has_not_committed_yet(cast: Cast) -> None:
    one, two = (actor_of_key(cast.key(cast.acme_service), f"customer-{n}") for n in (1, 2))
    taken: list[Accepted] = []

    def knock() -> None:
        taken.append(ask(cast, two))
        connections.close_all()

    other = threading.Thread(target=knock)
    with superuser() as db, one.present():
        taken.append(ask(cast, one))
        other.start()
        until(lambda: taken[1:] or waits(db), "the other waits its turn, or does not")
        assert len(taken) == 1
    other.join()
    with cast.alice.present():
        assert list(Queued.objects.filter(follows=None).values_list("id", flat=True)) == [taken[0].run_id]
        assert Queued.objects.get(follows=taken[0].run_id).id == taken[1].run_id


def waits(db: Any) -> bool:
    """Whether somebody waits for an advisory lock."""
    found = db.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
    return bool(found[0])


def test_a_cached_output_is_one_statement_and_is_answered_as_it_is_read_again(
    cast: Cast, api: Any, model: FakeModel
) -> None:
    alice = api(cast.alice)
    ask(cast, cast.alice)
    look()
    with CaptureQueriesContext(connections["default"]) as asked:
        assert ask(cast, cast.alice).ended
    assert len(asked) == 1
    answer = alice.post("/features/greet/runs", {"input": {"name": "Ann"}})
    told = answer.json()
    assert (answer.status_code, told["cached"], told["calls"]) == (200, True, [])
    assert told == alice.get(f"/runs/{told['id']}").json()


def test_the_function_that_takes_turns_finds_what_the_statement_finds(cast: Cast) -> None:
    """Both say which runs are equal: outputs.FIND, and runs_none_equal of the migration."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'runs_none_equal'")
        source = cursor.fetchone()[0]

    def state(text: str) -> str:
        return " ".join(re.search(r"AND (\(r\.state = 'running'.*?NOT NULL\))", text, re.DOTALL)[1].split())  # type: ignore[index]

    assert state(source) == state(FIND)


def test_followers_of_a_run_that_fails_are_carried_out_themselves(cast: Cast, model: FakeModel) -> None:
    model.script(Answer(status=400), greeting("Hello at last"))
    leader, follower = ask(cast, cast.alice), ask(cast, cast.alice)
    assert look() == 2
    assert run(cast.alice, leader).state == State.FAILED
    assert run(cast.alice, follower).output == {"greeting": "Hello at last"}
    assert ask(cast, cast.alice).ended  # and what it got answers the next


def test_a_follower_can_be_cancelled_and_a_cancelled_leader_takes_nobody_along(cast: Cast, model: FakeModel) -> None:
    leader, impatient, patient = (ask(cast, cast.alice) for _ in range(3))
    assert cancel(run(cast.alice, impatient), by=cast.alice) is True
    assert cancel(run(cast.alice, leader), by=cast.alice) is True
    assert look() == 1
    states = [run(cast.alice, one).state for one in (leader, impatient, patient)]
    assert states == [State.CANCELLED, State.CANCELLED, State.SUCCEEDED]


def test_no_two_scopes_have_a_key_in_common(cast: Cast) -> None:
    """10,000 random pairs that differ in tenant, subject, behavior, input or model never share a key."""
    from dataclasses import replace

    from features.resolve import serve

    def served_to(who: Actor) -> Any:
        with who.present():
            return serve(cast.greet, who.tenant_id, who.acting_for())

    plain = {who.label: served_to(who) for who in cast.everybody()}
    for who in (cast.alice, cast.gus):
        save_operation(cast.greet, "user", "vars.tone", {"set": "warm"}, expected=ANY, by=who)
    own = {who.label: served_to(who) for who in (cast.alice, cast.gus)}
    draw = random.Random(7)

    def scope() -> tuple[Any, bytes | None]:
        who = draw.choice(cast.everybody())
        served = own[who.label] if who.label in own and draw.random() < 0.5 else plain[who.label]
        named = draw.random() < 0.3
        if named:
            served = replace(served, compiled=replace(served.compiled, uses=served.compiled.uses | {"user"}))
        name = draw.choice(["Ann", "Ann ", "ann", "Bea\0", "", "1:a"])
        personal = named or served.user is not None
        scope = (who.tenant_id, who.label if personal else "", served.digest, name)
        return scope, cache_key(served, who.tenant_id, who.in_tenant().name, {"name": name})

    met: dict[bytes | None, Any] = {}
    for _ in range(10_000):
        wanted, key = scope()
        assert key is not None and met.setdefault(key, wanted) == wanted
    assert len(met) > 50
