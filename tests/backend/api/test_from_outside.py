"""The product driven from outside, start to end, everybody's digest before and after each step.

And the isolation property (behavior.md 9) action by action: what one subject does moves nobody else.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cast import GREET_RULES, Cast
from tests.fakes.model import FakeModel
from tests.working import look

from .acts import FIRST, GREETING, MINE, OURS, behavior, digest, everybody, moved, publish, served
from .conftest import Caller

U9 = {"Bespoke_User": "a user nobody has heard of"}
PIN, OUR_PIN, RESTORE = f"{GREETING}/pin/user", f"{GREETING}/pin/tenant", f"{GREETING}/restore"
ACME = {"ada", "alice", "bob", "vera", "acme", "acme's u1", "acme's u2"}
POLITE = "You greet people politely."


def test_the_story_of_the_product(cast: Cast, api: Caller, model: FakeModel) -> None:
    ada, alice, vendor = api(cast.ada), api(cast.alice), api(cast.operator)
    stranger = api(cast.acme_service, **U9)

    start = everybody(api, cast)
    assert len(set(start.values())) == 1  # the same vendor behavior for all

    ada.put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    ours = everybody(api, cast)
    assert moved(start, ours) == ACME

    alice.put(MINE, {"set": {"vars.tone": "formal", "vars.language": "Dutch"}}, **FIRST)
    hers = everybody(api, cast)
    assert moved(ours, hers) == {"alice"}

    stranger.put(MINE, {"append": {"instructions.tone": "Use first names."}}, **FIRST)
    theirs = digest(api, cast.acme_service, **U9)
    assert everybody(api, cast) == hers and theirs not in hers.values()

    run = alice.post(f"{GREETING}/runs", {"input": {"name": "Ann"}}, Prefer="respond-async").json()["id"]
    look()
    receipt = alice.get(f"/runs/{run}").json()["receipt"]
    assert (receipt["digest"], receipt["tenant"], receipt["user"]) == (hers["alice"], 1, 1)

    vendor.post(f"{GREETING}/versions", {"behavior": behavior(instructions__role=POLITE), "publish": "current"})
    second = everybody(api, cast)
    assert moved(hers, second) == second.keys()

    restored = alice.post(RESTORE, {"run": run}).json()
    assert (restored["result"], restored["after"]["digest"]) == ("exact", hers["alice"])
    third = everybody(api, cast)
    assert moved(second, third) == {"alice"} and third["alice"] == hers["alice"]

    before = digest(api, cast.acme_service, **U9)
    ada.put(OUR_PIN, {"version": 1})
    fourth = everybody(api, cast)
    assert moved(third, fourth) == ACME - {"alice"}
    assert {name: fourth[name] for name in ACME} == {name: hers[name] for name in ACME}
    assert digest(api, cast.acme_service, **U9) == theirs != before

    vendor.put(f"{GREETING}/current", {"version": 1})
    assert everybody(api, cast) == hers  # Globex is back; whoever chose for themselves was not moved
    assert digest(api, cast.acme_service, **U9) == theirs


Act = Callable[[Caller, Cast], Any]

# Each action, and whom it may move; everybody else stays where they are, to the bit.
ACTIONS: dict[str, tuple[Act, set[str]]] = {
    "a user's override": (lambda api, cast: api(cast.bob).put(MINE, {"set": {"vars.tone": "formal"}}, **FIRST), {"bob"}),
    "a user's field": (lambda api, cast: api(cast.bob).put(f"{MINE}/fields/vars.language", {"set": "x"}), {"bob"}),
    "a user's removal": (lambda api, cast: api(cast.alice).delete(MINE), {"alice"}),
    "a user's field inherited again": (
        lambda api, cast: api(cast.alice).delete(f"{MINE}/fields/vars.language"),
        {"alice"},
    ),
    "a user's rollback": (lambda api, cast: api(cast.alice).post(f"{MINE}/rollback", {"revision": 1}), {"alice"}),
    "a user's pin": (lambda api, cast: api(cast.bob).put(PIN, {"version": 1}), {"bob"}),
    "a user's snapshot": (lambda api, cast: api(cast.bob).put(PIN, {"kind": "snapshot"}), set()),
    "a user's unpinning": (lambda api, cast: api(cast.mallory).delete(PIN), {"mallory"}),
    "a user's rehearsal": (lambda api, cast: api(cast.bob).put(f"{PIN}?dry_run=true", {"version": 1}), set()),
    "a user's restore": (
        lambda api, cast: api(cast.mallory).post(RESTORE, {"at": served(api, cast.mallory)["at"]}),
        set(),
    ),
    "an end user's override": (
        lambda api, cast: api(cast.acme_service, Bespoke_User="u1").put(MINE, {"set": {"vars.tone": "formal"}}, **FIRST),
        {"acme's u1"},
    ),
    "an end user's pin": (
        lambda api, cast: api(cast.globex_service, Bespoke_User="u1").put(PIN, {"version": 1}),
        {"globex's u1"},
    ),
    "a refused override": (lambda api, cast: api(cast.bob).put(MINE, {"set": {"vars.tone": "rude"}}, **FIRST), set()),
    "a stale override": (lambda api, cast: api(cast.alice).put(MINE, {}, If_Match='"1"'), set()),
    "an organisation's override": (
        lambda api, cast: api(cast.ada).put(f"{OURS}/fields/vars.colour", {"set": "blue"}),
        ACME,
    ),
    "an organisation's removal": (lambda api, cast: api(cast.ada).delete(OURS), ACME - {"alice"}),
    "an organisation's pin": (lambda api, cast: api(cast.gus).put(OUR_PIN, {"version": 1}), {"gus", "globex", "globex's u1"}),
    "an organisation's policy on pins": (
        lambda api, cast: api(cast.gus).patch("/tenant", {"policy": {"users_may_pin": "no"}}),
        {"mallory"},
    ),
    "an organisation's policy on overrides": (
        lambda api, cast: api(cast.ada).patch("/tenant", {"policy": {"users_may_override": False}}),
        {"alice"},
    ),
    "a run": (
        lambda api, cast: api(cast.bob).post(f"{GREETING}/runs", {"input": {"name": "A"}}, Prefer="respond-async"),
        set(),
    ),
    "a version that is not moved to": (lambda api, cast: publish(api, cast, move=False), set()),
    "a version that is": (
        lambda api, cast: publish(api, cast, instructions__role="You wave."),
        ACME | {"gus", "globex", "globex's u1"},
    ),
    "a version with other rules": (
        lambda api, cast: publish(api, cast, rules={**GREET_RULES, "prompt": {"edit": "locked"}}, instructions__role=POLITE),
        set(),
    ),
    "moving back": (
        lambda api, cast: api(cast.operator).put(f"{GREETING}/current", {"version": 1}),
        ACME | {"gus", "globex", "globex's u1"},
    ),
    "a new feature": (
        lambda api, cast: api(cast.operator).post("/features", {"feature": "f", "title": "F", "behavior": behavior()}),
        set(),
    ),
    "a new model": (
        lambda api, cast: api(cast.operator).post(
            "/models",
            {"alias": "standard", "provider": "demo", "model": "m", "input_price": 1, "output_price": 1},
        ),
        set(),
    ),
    "a new member": (
        lambda api, cast: api(cast.ada).post("/members", {"email": "new@acme.example", "role": "member"}),
        set(),
    ),
    "a member's other role": (
        lambda api, cast: api(cast.ada).patch(f"/members/{cast.bob.subject.id}", {"role": "admin"}),
        set(),
    ),
    "a new key": (lambda api, cast: api(cast.bob).post("/keys", {"kind": "member", "name": "k"}), set()),
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_moves_those_it_may_move_and_nobody_else(action: str, cast: Cast, api: Caller) -> None:
    """In a world where Acme and Alice have their own, Mallory stays on version 1, and version 2 is current."""
    api(cast.ada).put(OURS, {"set": {"vars.tone": "warm"}}, **FIRST)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "plain"}}, **FIRST)
    api(cast.alice).put(MINE, {"set": {"vars.tone": "formal", "vars.language": "Dutch"}}, If_Match='"1"')
    api(cast.mallory).put(PIN, {"version": 1})
    publish(api, cast, instructions__role=POLITE)
    before = everybody(api, cast)
    act, allowed = ACTIONS[action]
    act(api, cast)
    assert moved(before, everybody(api, cast)) == allowed
