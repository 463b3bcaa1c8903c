"""A change is seen by every process at its next request after COMMIT, with the broker and without it.

One process is the web process, over HTTP; another is this one, which resolves with the product's own caches. Both serve
the same people warm all the time, so that whatever is kept somewhere for a moment too long is seen here.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.actions.overrides import ANY, delete_override, save_operation
from features.actions.versions import publish, set_current
from features.resolve import serve_warm
from tests.cast import GREET
from tests.fakes.model import Answer
from tests.outside import Knock, until
from tests.processes import Ruins, Stack

GREETING = "/features/greet"
TONE = f"{GREETING}/override/user/fields/vars.tone"
OURS = f"{GREETING}/override/tenant/fields/vars.tone"
TONES = ("warm", "formal")


def here(stack: Stack, who: str) -> Any:
    """What somebody is served in this process."""
    actor = getattr(stack.cast, who)
    with actor.present():
        return serve_warm(stack.cast.greet, actor.tenant_id, actor.acting_for())


def there(knock: Knock) -> dict[str, Any]:
    """What somebody is served by the web process."""
    answer = knock.get(f"{GREETING}/behavior")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def alternate(stack: Stack, times: int) -> int:
    """Write in one process and read in both, in turns; return how many reads were stale.

    In turns it is Alice's own, her organisation's and the vendor's; all three of them decide what she is served.
    """
    cast, alice, ada = stack.cast, stack.knock("alice"), stack.knock("ada")
    for number, tone in ((2, "two"), (3, "three")):
        role = {**GREET["instructions"], "role": f"You are version {tone}."}
        publish(cast.greet, behavior={**GREET, "instructions": role}, make_current=False, by=cast.operator)
        assert number == here(stack, "bob").choice.wanted + number - 1
    stale, expected = 0, {"vars.tone": "plain", "instructions.role": GREET["instructions"]["role"]}
    for number in range(times):
        tone = TONES[number // 6 % 2]
        match number % 6:
            case 0:
                assert ada.put(OURS, {"set": tone}).status_code == 200
                expected["vars.tone"] = tone
            case 1:
                save_operation(cast.greet, "user", "vars.tone", {"set": "plain"}, expected=ANY, by=cast.alice)
                expected["vars.tone"] = "plain"
            case 2:
                set_current(cast.greet, 2 + number // 6 % 2, by=cast.operator)
                expected["instructions.role"] = f"You are version {('two', 'three')[number // 6 % 2]}."
            case 3:
                assert alice.put(TONE, {"set": TONES[1 - number // 6 % 2]}).status_code == 200
                expected["vars.tone"] = TONES[1 - number // 6 % 2]
            case 4:
                assert alice.client.delete(TONE).status_code == 200
                expected["vars.tone"] = tone
            case 5:
                other = TONES[1 - number // 6 % 2]
                save_operation(cast.greet, "tenant", "vars.tone", {"set": other}, expected=ANY, by=cast.ada)
                expected["vars.tone"] = other
        for fields in (there(alice)["fields"], here(stack, "alice").effective.fields):
            stale += {name: fields[name] for name in expected} != expected
    return stale


def test_two_processes_never_serve_what_was_changed(stack: Stack) -> None:
    assert alternate(stack, 48) == 0


def test_nor_do_they_with_the_broker_away(ruins: Ruins) -> None:
    ruins.stop_valkey()
    assert alternate(ruins, 24) == 0
    assert ruins.readiness()[1]["broker"] == "away"


@pytest.mark.slow
def test_a_thousand_times(stack: Stack) -> None:
    assert alternate(stack, 1_000) == 0


@pytest.mark.slow
def test_a_thousand_times_with_the_broker_away(ruins: Ruins) -> None:
    ruins.stop_valkey()
    assert alternate(ruins, 1_000) == 0
    assert ruins.readiness()[1]["broker"] == "away"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_a_pin_ends_in_every_process_at_its_end_though_nobody_writes(stack: Stack) -> None:
    """Each answer says by the database's clock when it was chosen: no later than that may it be the pin's."""
    cast, alice = stack.cast, stack.knock("alice")
    old = here(stack, "alice").digest
    until_ = moment(there(alice)["at"]) + timedelta(seconds=1.5)
    pinned = alice.put(f"{GREETING}/pin/user", {"version": 1, "until": until_.isoformat()})
    assert pinned.status_code == 200, pinned.content
    changed = {**GREET, "vars": {**GREET["vars"], "language": "Dutch"}}
    publish(cast.greet, behavior=changed, make_current=True, by=cast.operator)
    new = here(stack, "bob").digest
    seen: list[tuple[str, datetime, str]] = []

    def ended() -> bool:
        served, told = here(stack, "alice"), there(alice)
        seen.append(("here", served.at, served.digest))
        seen.append(("there", moment(told["at"]), told["receipt"]["digest"]))
        return served.at > until_ and moment(told["at"]) > until_ + timedelta(seconds=0.2)

    until(ended, "the pin has ended in both")
    assert old != new
    for place in ("here", "there"):
        assert {digest for where, at, digest in seen if where == place and at < until_} == {old}
        assert {digest for where, at, digest in seen if where == place and at >= until_} == {new}


def held() -> Answer:
    return Answer('{"greeting": "Hello"}', hold=threading.Event())


def tones_asked_for(stack: Stack) -> list[str]:
    """Let two workers of one slot each carry out a run at the same time; return the tone that each asked for."""
    alice, answers, before = stack.knock("alice"), [held(), held()], len(stack.model.requests)
    stack.model.script(*answers)
    runs = [alice.run(prefer="respond-async").json()["id"] for _ in answers]
    assert all(answer.begun.wait(30) for answer in answers)  # while neither has ended: so each worker has one
    for answer in answers:
        assert answer.hold is not None
        answer.hold.set()
    assert [alice.ended(run)["state"] for run in runs] == ["succeeded", "succeeded"]
    asked = [request["messages"][0]["content"] for request in stack.model.requests[before:]]
    return [next(tone for tone in ("plain", *TONES) if f"a {tone} tone" in text) for text in asked]


def test_a_removed_override_stops_at_once_in_every_worker(stack: Stack) -> None:
    slots, cast = stack.environment["BESPOKE_WORKER_SLOTS"], stack.cast
    stack.worker.stop()
    workers = [stack.a_worker(f"single{number}", slots=1) for number in range(2)]
    try:
        for worker in workers:
            worker.start()
        for tone in TONES:
            save_operation(cast.greet, "user", "vars.tone", {"set": tone}, expected=ANY, by=cast.alice)
            assert tones_asked_for(stack) == [tone, tone]
            delete_override(cast.greet, "user", expected=ANY, by=cast.alice)
            assert tones_asked_for(stack) == ["plain", "plain"]
    finally:
        for worker in workers:
            worker.stop()
        stack.environment["BESPOKE_WORKER_SLOTS"] = slots
        stack.worker.start()
