"""The heart: whatever anybody does, nobody outside the acting scope is moved, and everyone has what a naive model says.

Random histories of publishing, moving, rolling out and back, withdrawing, overriding, rolling back, staying, restoring
and changing policies, by five tenants with three people each, against the real database (behavior.md 9).
"""

from collections.abc import Callable
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backend.actors import actor_of_login
from features.actions.overrides import ANY, rollback_override, save_operation
from features.actions.pins import pin, restore, unpin
from features.actions.policy import set_policy
from features.actions.rollouts import advance, pause, resume, roll_back, start_rollout
from features.actions.targets import add_target
from features.actions.versions import create_feature, publish, set_current
from features.actions.withdrawals import lift, withdraw
from features.engine import digest, flatten
from features.resolve import clock, serve, serve_warm
from tenants.actions import add_member, create_tenant, login_for
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid, NotFound
from tenants.subjects import Who, tenant_itself
from tenants.system import system_actor
from tests.cast import GREET, an_operator

from .naive import Content, Naive, Stage

TENANTS = ("acme", "beta", "corp", "dune", "echo")
PEOPLE = tuple(f"{tenant}.{n}" for tenant in TENANTS for n in (1, 2, 3))
EVERYBODY = (*TENANTS, *PEOPLE)
ROLES, TONES = ("You greet.", "You welcome.", "You meet."), ("plain", "warm", "formal")
WHO = st.sampled_from(EVERYBODY)


def behavior(role: str, tone: str) -> dict[str, Any]:
    return {
        **GREET,
        "instructions": {**GREET["instructions"], "role": role},
        "vars": {**GREET["vars"], "tone": tone},
    }


def rules(locked: bool) -> dict[str, Any]:
    return {"vars.tone": {"edit": "locked"}} if locked else {}


class History(RuleBasedStateMachine):
    """Everybody acts; after each step the database is asked what everybody is served."""

    @initialize()
    def begin(self) -> None:
        self.vendor, _ = an_operator()
        system = system_actor("tests")
        add_target(alias="standard", provider="demo", model="m", input_price=1, output_price=1, by=system)
        self.greet, _ = create_feature(
            key="greet", title="Greet", behavior=behavior(ROLES[0], "plain"), rules=rules(False), by=self.vendor
        )
        self.actors: dict[str, Actor] = {}
        names: dict[str, str] = {}
        # Whom a rollout reaches depends on ids: the same history must come to the same when Hypothesis begins it again.
        with patch("tenants.ids._uuid7", side_effect=(UUID(int=n) for n in count(1 << 64))):
            self.come_in(names, system)
        tenant_of = {who: who.split(".")[0] for who in EVERYBODY}
        first = {"role": ROLES[0], "tone": "plain", "locked": False}
        self.naive = Naive(tenant_of, names, [first])
        self.naive.may_pin = dict.fromkeys(TENANTS, True)
        self.naive.may_override = dict.fromkeys(TENANTS, True)
        self.rollout: Any = None
        self.plan: list[Stage] = []
        self.moments: list[tuple[Any, dict[str, tuple[int, int, int]]]] = []
        self.digests: dict[str, str] = {}
        self.may_move: set[str] = set(EVERYBODY)
        self.turn = 0

    def come_in(self, names: dict[str, str], system: Actor) -> None:
        for tenant in TENANTS:
            logins = [login_for(f"{n}@{tenant}.example") for n in (1, 2, 3)]
            made, _ = create_tenant(slug=tenant, name=tenant, owner=logins[0], by=system)
            names[tenant] = str(made.id)
            for n, login in enumerate(logins, start=1):
                if n > 1:
                    add_member(email=login.email, role="member", by=self.actors[f"{tenant}.1"])
                actor = actor_of_login(login, None)
                assert actor is not None
                self.actors[f"{tenant}.{n}"] = actor
                names[f"{tenant}.{n}"] = actor.acting_for().key

    def layer(self, who: str) -> Any:
        return "tenant" if who in TENANTS else "user"

    def actor(self, who: str) -> Actor:
        return self.actors[f"{who}.1" if who in TENANTS else who]

    def subject(self, who: str) -> tuple[Any, Who]:
        actor = self.actor(who)
        return actor.tenant_id, tenant_itself(actor.tenant_id) if who in TENANTS else actor.acting_for()

    def moves(self, *who: str) -> None:
        """Name whom this step may move: somebody, an organisation with its people, or nobody."""
        self.may_move = {w for w in EVERYBODY if w in who or self.naive.tenant_of[w] in who}

    def vendor_moves(self) -> None:
        """A vendor's action moves whoever follows; one's own pin is only moved when its version is withdrawn."""
        stopped = {n for n, _ in self.naive.ever_withdrawn}
        pins = {w: self.naive.pin(w) for w in EVERYBODY}
        self.may_move = {w for w, stay in pins.items() if stay is None or stay[0] in stopped}

    # The vendor

    @rule(role=st.sampled_from(ROLES), tone=st.sampled_from(TONES), locked=st.booleans(), current=st.booleans())
    def publish_a_version(self, role: str, tone: str, locked: bool, current: bool) -> None:
        self.vendor_moves()
        given = {"behavior": behavior(role, tone), "rules": rules(locked)}
        try:
            publish(self.greet, **given, make_current=current, by=self.vendor)
        except Conflict:
            assert current and self.rollout
            return
        assert not (current and self.rollout)
        self.naive.versions.append({"role": role, "tone": tone, "locked": locked})
        if current:
            self.naive.pointers.append(len(self.naive.versions))

    @precondition(lambda self: len(self.naive.versions) > 1)
    @rule(data=st.data())
    def move_the_current_version(self, data: Any) -> None:
        number = data.draw(st.integers(1, len(self.naive.versions)))
        self.vendor_moves()
        try:
            set_current(self.greet, number, by=self.vendor)
        except Conflict:
            assert self.rollout or number in self.naive.withdrawn
            return
        if number != self.naive.pointers[-1]:
            self.naive.pointers.append(number)

    @precondition(lambda self: len(self.naive.versions) > 1 and not self.rollout)
    @rule(data=st.data(), unit=st.sampled_from(["tenant", "user"]), first=st.sampled_from(TENANTS))
    def start_a_rollout(self, data: Any, unit: str, first: str) -> None:
        to = data.draw(st.integers(1, len(self.naive.versions)))
        steps = [{"tenants": [first]}, {"percent": 30}, {"percent": 70}]
        self.vendor_moves()
        try:
            self.rollout = start_rollout(self.greet, to=to, steps=steps, unit=unit, by=self.vendor)
        except AppError:
            assert to == self.naive.pointers[-1] or to in self.naive.withdrawn
            return
        self.plan = [Stage(to, unit, share, frozenset([first])) for share in (0, 3000, 7000)]
        self.next_stage()

    def next_stage(self) -> None:
        self.naive.stage = self.plan.pop(0) if self.plan else None
        if self.naive.stage:
            self.naive.stages.append(self.naive.stage)
            return
        self.naive.pointers.append(self.rollout.to)
        self.rollout = None

    @precondition(lambda self: self.rollout)
    @rule(what=st.sampled_from(["advance", "advance", "advance", "pause and resume", "roll back"]))
    def go_on_with_the_rollout(self, what: str) -> None:
        self.vendor_moves()
        if what == "advance":
            advance(self.rollout, by=self.vendor)
            self.next_stage()
        elif what == "roll back":
            roll_back(self.rollout, why="because", by=self.vendor)
            self.naive.stage = self.rollout = None
        else:
            self.moves()
            pause(self.rollout, by=self.vendor)
            with pytest.raises(Conflict):
                advance(self.rollout, by=self.vendor)
            resume(self.rollout, by=self.vendor)

    @precondition(lambda self: len(self.naive.versions) > 1)
    @rule(data=st.data())
    def withdraw_or_lift(self, data: Any) -> None:
        numbers = st.integers(1, len(self.naive.versions))
        number, replacement = data.draw(numbers), data.draw(numbers)
        if number in self.naive.withdrawn:
            lift(self.greet, number, by=self.vendor)
            del self.naive.withdrawn[number]
            self.vendor_moves()
            return
        try:
            withdraw(self.greet, number, replacement=replacement, reason="broken", by=self.vendor)
        except Conflict:
            self.moves()
            return
        self.naive.withdrawn[number] = replacement
        self.naive.ever_withdrawn.append((number, replacement))
        if self.rollout and self.rollout.to == number:
            self.naive.stage = self.rollout = None
        self.vendor_moves()

    # Organisations and their people. Changes, which everything else is about, come twice.

    @rule(who=WHO, name=st.sampled_from(["role", "tone"]), n=st.none() | st.integers(0, 2))
    def change_a_field(self, who: str, name: str, n: int | None) -> None:
        value = None if n is None else (ROLES if name == "role" else TONES)[n]
        self.moves(who)
        naive = self.naive
        base, ours, _ = naive.chosen(who)
        was = naive.under(who)
        below: Content = {} if who in TENANTS else naive.content(naive.tenant_of[who], ours)
        same = name in was and was[name][0] == value
        locked = name == "tone" and naive.version(base)["locked"] and value is not None and not same
        forbidden = self.layer(who) == "user" and not naive.may_override[naive.tenant_of[who]]
        field = "instructions.role" if name == "role" else "vars.tone"
        operation = None if value is None else {"set": value}
        try:
            save_operation(self.greet, self.layer(who), field, operation, expected=ANY, by=self.actor(who))
        except Invalid:
            assert locked or forbidden
            return
        assert not locked and not forbidden
        content = {key: op for key, op in was.items() if key != name}
        if value is not None:
            under = 0 if who in TENANTS else ours
            content[name] = was[name] if same else (value, naive.inherited(base, below, name), base, under)
        naive.save(who, content)

    @rule(who=WHO, role=st.sampled_from(ROLES))
    def change_the_role_and_more(self, who: str, role: str) -> None:
        self.change_a_field(who, "role", ROLES.index(role))

    @precondition(lambda self: self.naive.revisions)
    @rule(data=st.data())
    def roll_back_an_override(self, data: Any) -> None:
        who = data.draw(st.sampled_from(sorted(self.naive.revisions)))
        number = data.draw(st.integers(1, self.naive.newest(who)))
        rollback_override(self.greet, self.layer(who), number, expected=ANY, by=self.actor(who))
        self.naive.save(who, self.naive.content(who, number))
        self.moves(who)

    @rule(who=WHO, snapshot=st.booleans(), data=st.data())
    def stay(self, who: str, snapshot: bool, data: Any) -> None:
        version = data.draw(st.integers(1, len(self.naive.versions)))
        self.moves(who)
        now = self.naive.chosen(who)
        base = now[0] if snapshot else version
        may = who in TENANTS or self.naive.may_pin[self.naive.tenant_of[who]]
        kind = {"kind": "snapshot"} if snapshot else {"kind": "base", "version": version}
        try:
            pin(self.greet, self.layer(who), **kind, by=self.actor(who))
        except NotFound:
            assert base not in self.naive.released(who)
            return
        except Invalid:
            assert not may
            return
        assert may and base in self.naive.released(who)
        self.naive.pins[who] = now if snapshot else (version, ..., ...)

    @precondition(lambda self: self.naive.pins)
    @rule(data=st.data())
    def follow_again(self, data: Any) -> None:
        who = data.draw(st.sampled_from(sorted(self.naive.pins)))
        unpin(self.greet, self.layer(who), by=self.actor(who))
        del self.naive.pins[who]
        self.moves(who)

    @precondition(lambda self: self.moments)
    @rule(who=WHO, data=st.data())
    def put_it_back(self, who: str, data: Any) -> None:
        at, then = data.draw(st.sampled_from(self.moments))
        self.moves(who)
        may = who in TENANTS or self.naive.may_pin[self.naive.tenant_of[who]]
        try:
            restored = restore(self.greet, self.layer(who), at=at, by=self.actor(who))
        except Invalid:
            assert not may
            return
        assert may
        self.naive.pins[who] = then[who]
        whole = not then[who][2] or self.naive.may_override[self.naive.tenant_of[who]]
        if then[who][0] not in self.naive.withdrawn and whole:
            assert restored.result == "exact" and restored.moved.after.digest == restored.wanted

    @rule(tenant=st.sampled_from(TENANTS), may_pin=st.booleans(), may_override=st.booleans())
    def change_the_policy(self, tenant: str, may_pin: bool, may_override: bool) -> None:
        given = {"users_may_pin": "yes" if may_pin else "no", "users_may_override": may_override}
        set_policy(**given, by=self.actors[f"{tenant}.1"])
        self.naive.may_pin[tenant], self.naive.may_override[tenant] = may_pin, may_override
        self.moves(tenant)

    @invariant()
    def everybody_has_what_they_should_and_nobody_else_was_moved(self) -> None:
        if not hasattr(self, "turn"):
            return
        self.turn += 1
        for place, who in enumerate(EVERYBODY):
            tenant_id, subject = self.subject(who)
            with self.actor(who).present():
                served = serve_warm(self.greet, tenant_id, subject)
                if (place + self.turn) % 5 == 0:  # what was read cold is what was kept, for each in their turn
                    assert serve(self.greet, tenant_id, subject).digest == served.digest, who
                at = clock()
            role, tone = self.naive.served(who)
            assert (served.receipt.base, served.digest) == (
                self.naive.chosen(who)[0],
                digest(flatten(behavior(role, tone))),
            ), who
            assert who in self.may_move or self.digests.get(who, served.digest) == served.digest, who
            self.digests[who] = served.digest
        self.moments = [*self.moments[-5:], (at, {who: self.naive.in_force(who) for who in EVERYBODY})]
        self.may_move = set()


def histories(examples: int, steps: int, clean: Callable[[], None]) -> None:
    class Cleaned(History):
        def teardown(self) -> None:
            clean()

    run_state_machine_as_test(
        Cleaned,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None,
            suppress_health_check=list(HealthCheck), print_blob=True,
            phases=[Phase.explicit, Phase.generate],  # to shrink a history of so many steps takes longer than to read it
        ),
    )  # fmt: skip


def test_no_history_of_actions_moves_anybody_outside_its_scope(
    committed: None, empty_database: Callable[[], None]
) -> None:
    histories(10, 50, empty_database)


@pytest.mark.slow
def test_no_long_history_of_actions_moves_anybody_outside_its_scope(
    committed: None, empty_database: Callable[[], None]
) -> None:
    histories(100, 100, empty_database)
