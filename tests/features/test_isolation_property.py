"""The heart: whatever anybody does, nobody outside the acting scope is moved, and everyone has what a naive model says.

Random histories of publishing, moving the current version, overriding, rolling back, pinning, unpinning, restoring and
changing policies, by two tenants with two users each, against the real database (behavior.md 9).
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from features.actions.overrides import ANY, rollback_override, save_operation
from features.actions.pins import pin, restore, unpin
from features.actions.policy import set_policy
from features.actions.versions import publish, set_current
from features.resolve import clock, serve, serve_warm
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound
from tests.cast import GREET, Cast, make_cast

TONES = st.sampled_from(["plain", "warm", "formal"])
PEOPLE = ("alice", "bob", "gus", "mallory")
OWNERS = {"acme": "ada", "globex": "gus"}
TENANT_OF = {"ada": "acme", "alice": "acme", "bob": "acme", "gus": "globex", "mallory": "globex"}


@dataclass
class Naive:
    """What everybody should have, kept in the simplest way: a tone or None for each revision of each layer."""

    versions: list[str] = field(default_factory=lambda: ["You greet people."])
    current: int = 1
    revisions: dict[str, list[str | None]] = field(default_factory=dict)  # of a tenant or a person, oldest first
    pins: dict[str, tuple[int, Any, Any]] = field(default_factory=dict)  # base, tenant revision or ..., user's or ...
    may_pin: dict[str, bool] = field(default_factory=lambda: {"acme": True, "globex": True})

    def chosen(self, who: str) -> tuple[int, int, int]:
        """Base, tenant revision and user revision that somebody is served; 0 for none."""
        tenant = TENANT_OF[who]
        own = self.pins.get(who) if self.may_pin[tenant] else None
        theirs = self.pins.get(tenant)
        base = (own or theirs or (self.current,))[0]
        numbers = [len(self.revisions.get(tenant, [])), len(self.revisions.get(who, []))]
        if theirs and theirs[1] is not ...:
            numbers[0] = theirs[1]
        if own and own[1] is not ...:
            numbers = [own[1], own[2]]
        return base, numbers[0], numbers[1]

    def served(self, who: str) -> tuple[str, str]:
        """The role text and the tone that somebody should have."""
        base, tenant, user = self.chosen(who)
        tone = "plain"
        for layer, number in ((TENANT_OF[who], tenant), (who, user)):
            wish = self.revisions[layer][number - 1] if number else None
            tone = wish or tone
        return self.versions[base - 1], tone


class History(RuleBasedStateMachine):
    """Everybody acts; after each step the database is asked what everybody is served."""

    @initialize()
    def begin(self) -> None:
        self.cast: Cast = make_cast()
        self.naive = Naive()
        self.moments: list[tuple[Any, dict[str, tuple[int, int, int]]]] = []
        self.digests: dict[str, str] = {}
        self.may_move: set[str] = set(PEOPLE)

    def actor(self, who: str) -> Actor:
        found: Actor = getattr(self.cast, who)
        return found

    def now_move(self, *who: str) -> None:
        self.may_move = set(who)

    def scope(self, layer: str, who: str) -> tuple[str, str]:
        """Who acts, and whose layer it is."""
        return (OWNERS[TENANT_OF[who]], TENANT_OF[who]) if layer == "tenant" else (who, who)

    def moved_by(self, layer: str, who: str) -> list[str]:
        return [w for w in PEOPLE if TENANT_OF[w] == TENANT_OF[who]] if layer == "tenant" else [who]

    @rule(text=st.sampled_from(["A", "B", "C"]), current=st.booleans())
    def publish_a_version(self, text: str, current: bool) -> None:
        role = f"{text}{len(self.naive.versions)}"
        behavior = {**GREET, "instructions": {**GREET["instructions"], "role": role}}
        number = publish(self.cast.greet, behavior=behavior, make_current=current, by=self.cast.operator).number
        self.naive.versions.append(role)
        assert number == len(self.naive.versions)
        self.naive.current = number if current else self.naive.current
        self.now_move(*(PEOPLE if current else ()))

    @precondition(lambda self: len(self.naive.versions) > 1)
    @rule(data=st.data())
    def move_the_current_version(self, data: Any) -> None:
        number = data.draw(st.integers(1, len(self.naive.versions)))
        set_current(self.cast.greet, number, by=self.cast.operator)
        self.naive.current = number
        self.now_move(*PEOPLE)

    # Two rules and an impatient third, so that changes, which everything else is about, are half of what happens.
    @rule(who=st.sampled_from(PEOPLE), tone=st.none() | TONES)
    def change_my_tone(self, who: str, tone: str | None) -> None:
        self.change_the_tone("user", who, tone)

    @rule(who=st.sampled_from(PEOPLE), tone=st.none() | TONES)
    def change_our_tone(self, who: str, tone: str | None) -> None:
        self.change_the_tone("tenant", who, tone)

    @rule(who=st.sampled_from(PEOPLE), tones=st.lists(TONES, min_size=2, max_size=3))
    def change_it_again_and_again(self, who: str, tones: list[str]) -> None:
        for number, tone in enumerate(tones):
            self.change_the_tone("tenant" if number % 2 else "user", who, tone)
        self.now_move(*self.moved_by("tenant", who))

    def change_the_tone(self, layer: Any, who: str, tone: str | None) -> None:
        actor, mine = self.scope(layer, who)
        operation = None if tone is None else {"set": tone}
        saved = save_operation(self.cast.greet, layer, "vars.tone", operation, expected=ANY, by=self.actor(actor))
        self.note_revision(mine, saved.row.number, tone)
        self.now_move(*self.moved_by(layer, who))

    @precondition(lambda self: self.naive.revisions)
    @rule(who=st.sampled_from(PEOPLE), layer=st.sampled_from(["tenant", "user"]), data=st.data())
    def roll_back(self, who: str, layer: Any, data: Any) -> None:
        actor, mine = self.scope(layer, who)
        history = self.naive.revisions.get(mine, [])
        if not history:
            return
        number = data.draw(st.integers(1, len(history)))
        saved = rollback_override(self.cast.greet, layer, number, expected=ANY, by=self.actor(actor))
        self.note_revision(mine, saved.row.number, history[number - 1])
        self.now_move(*self.moved_by(layer, who))

    def note_revision(self, mine: str, number: int, tone: str | None) -> None:
        history = self.naive.revisions.setdefault(mine, [])
        if number > len(history):
            history.append(tone)
        pinned = self.naive.pins.get(mine)
        if pinned and pinned[1] is not ...:
            parts = (pinned[0], number, None) if mine in OWNERS else (pinned[0], pinned[1], number)
            self.naive.pins[mine] = parts

    @rule(
        who=st.sampled_from(PEOPLE), layer=st.sampled_from(["tenant", "user"]), snapshot=st.booleans(), data=st.data()
    )
    def stay(self, who: str, layer: Any, snapshot: bool, data: Any) -> None:
        actor, mine = self.scope(layer, who)
        version = data.draw(st.integers(1, len(self.naive.versions)))
        owner = TENANT_OF[who]
        base, tenant, user = self.naive.chosen(OWNERS[owner] if layer == "tenant" else who)
        if layer == "tenant":  # what the organisation itself is served: its own pin, never a person's
            pinned = self.naive.pins.get(owner)
            base = pinned[0] if pinned else self.naive.current
            tenant = pinned[1] if pinned and pinned[1] is not ... else len(self.naive.revisions.get(owner, []))
        kind = {"kind": "snapshot"} if snapshot else {"kind": "base", "version": version}
        try:
            pin(self.cast.greet, layer, **kind, by=self.actor(actor))  # type: ignore[arg-type]
        except NotFound:
            self.now_move()
            return
        except Invalid:
            assert layer == "user" and not self.naive.may_pin[owner]
            self.now_move()
            return
        self.naive.pins[mine] = (base, tenant, user) if snapshot else (version, ..., ...)
        self.now_move(*self.moved_by(layer, who))

    @precondition(lambda self: self.naive.pins)
    @rule(who=st.sampled_from(PEOPLE), layer=st.sampled_from(["tenant", "user"]))
    def follow_again(self, who: str, layer: Any) -> None:
        actor, mine = self.scope(layer, who)
        if mine in self.naive.pins:
            unpin(self.cast.greet, layer, by=self.actor(actor))
            del self.naive.pins[mine]
        self.now_move(*self.moved_by(layer, who))

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    def put_it_back(self, who: str, data: Any) -> None:
        if not self.moments or not self.naive.may_pin[TENANT_OF[who]]:
            return
        at, then = data.draw(st.sampled_from(self.moments))
        restored = restore(self.cast.greet, "user", at=at, by=self.actor(who))
        assert restored.result == "exact"
        self.naive.pins[who] = then[who]
        self.now_move(who)

    @rule(tenant=st.sampled_from(["acme", "globex"]), may=st.booleans())
    def change_the_policy(self, tenant: str, may: bool) -> None:
        set_policy(users_may_pin="yes" if may else "no", by=self.actor(OWNERS[tenant]))
        self.naive.may_pin[tenant] = may
        self.now_move(*(w for w in PEOPLE if TENANT_OF[w] == tenant))

    @invariant()
    def everybody_has_what_they_should_and_nobody_else_was_moved(self) -> None:
        if not hasattr(self, "cast"):
            return
        for who in PEOPLE:
            actor = self.actor(who)
            with actor.present():
                cold = serve(self.cast.greet, actor.tenant_id, actor.acting_for())
                warm = serve_warm(self.cast.greet, actor.tenant_id, actor.acting_for())
                at = clock()
            fields = cold.effective.fields
            assert (fields["instructions.role"], fields["vars.tone"]) == self.naive.served(who)
            assert warm.digest == cold.digest
            assert who in self.may_move or self.digests.get(who, cold.digest) == cold.digest, who
            self.digests[who] = cold.digest
        self.moments = [*self.moments[-5:], (at, {who: self.naive.chosen(who) for who in PEOPLE})]


def histories(examples: int, steps: int, clean: Any) -> None:
    class Cleaned(History):
        def teardown(self) -> None:
            clean()

    checks = list(HealthCheck)
    run_state_machine_as_test(
        Cleaned,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks,
                          print_blob=True),
    )  # fmt: skip


def test_no_history_of_actions_moves_anybody_outside_its_scope(committed: None, empty_database: Any) -> None:
    histories(30, 30, empty_database)


@pytest.mark.slow
def test_no_long_history_of_actions_moves_anybody_outside_its_scope(committed: None, empty_database: Any) -> None:
    histories(100, 100, empty_database)
