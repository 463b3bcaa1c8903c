"""What becomes of one subject when the vendor moves a feature: its choice before and after, and the worst that happens.

Pure: the engine's own choosing and rebasing, asked twice, with what they say of a tenant kept for all of its users.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from features.engine import (
    Base,
    Bases,
    Choice,
    Held,
    Operation,
    Rebased,
    Revision,
    Situation,
    StageRow,
    choose,
    held_by,
    rebase,
)

Layer = Literal["tenant", "user"]
Outcome = Literal[
    "broken", "conflict", "held", "orphaned", "suspended", "redundant", "carried", "unaffected", "pinned"
]  # fmt: skip
OUTCOMES: tuple[Outcome, ...] = (  # the worst first; who is pinned is pinned, whatever else is true of them
    "broken", "conflict", "held", "orphaned", "suspended", "redundant", "carried", "unaffected", "pinned",
)  # fmt: skip
_RANK = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}

Change = Callable[[Situation], Situation]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst outcome among a subject's own operations, the fields concerned, and the versions at both ends.

    One who is `pinned` with two different versions has lost to a withdrawal; its fields then are those in need of them.
    """

    outcome: Outcome
    fields: tuple[str, ...]
    before: int
    after: int


class Scale:
    """Weighs the subjects of one tenant, for one move at one instant.

    `tenants` gives the tenant's revisions by number, `bases` the feature's versions.
    """

    def __init__(self, change: Change, at: datetime, bases: Bases, tenants: Callable[[int], Revision]) -> None:
        self._change, self._at, self._bases, self._tenants = change, at, bases, tenants
        self._ours: dict[tuple[int, int], tuple[Rebased, ...]] = {}

    def weigh(self, situation: Situation, users: Callable[[int], Revision] | None = None) -> Verdict:
        """Say what becomes of one subject. `users` gives its revisions by number; None: it is the tenant itself."""
        return _Subject(self, users).verdict(situation)

    def moves(self, situation: Situation) -> bool:
        """Whether one who has nothing of their own is served another version."""
        before, after = _Subject(self, None).choices(situation)
        return before.base != after.base

    def of_tenant(self, base: Base, tenant: Revision) -> tuple[Rebased, ...]:
        key = (base.number, tenant.number)
        if key not in self._ours:
            self._ours[key] = rebase(base, tenant, None, layer="tenant", bases=self._bases)
        return self._ours[key]


class _Subject:
    """One subject on the scale, and what rebasing has said of its operations so far."""

    def __init__(self, scale: Scale, users: Callable[[int], Revision] | None) -> None:
        self.scale, self.users = scale, users
        self.mine: dict[tuple[int, int | None], tuple[Rebased, ...]] = {}

    def choices(self, situation: Situation) -> tuple[Choice, Choice]:
        scale = self.scale
        before = choose(situation, scale._at, self._holds)
        return before, choose(scale._change(situation), scale._at, self._holds)

    def verdict(self, situation: Situation) -> Verdict:
        before, after = self.choices(situation)
        layer: Layer = "tenant" if self.users is None else "user"
        found = [*self._staying(layer, before, after), *self._moving(layer, before, after)]
        worst: Outcome = min((outcome for outcome, _ in found), key=_RANK.__getitem__, default="unaffected")
        fields = tuple(dict.fromkeys(field for outcome, field in found if outcome == worst and field))
        return Verdict("pinned" if after.pin else worst, fields, before.base, after.base)

    def _staying(self, layer: Layer, before: Choice, after: Choice) -> list[tuple[Outcome, str]]:
        """Because of what somebody stays behind: held before and still, or from now on."""
        held = after.held
        if held is None:
            return []
        if before.held is not None and (held.by == layer or before.base == after.base):
            return [("held", field) for field in held.fields]
        if held.by != layer:
            return []  # their organisation stays, and so they do: nothing happens to what is theirs
        return [(item.outcome, item.operation.field) for item in self._rebased(layer, after.wanted, after)
                if item.holds]  # fmt: skip

    def _moving(self, layer: Layer, before: Choice, after: Choice) -> list[tuple[Outcome, str]]:
        if before.base == after.base:
            return []
        if layer == "user" and not after.users_may_override:
            return [("suspended", operation.field) for operation in self._own(after)] or [("carried", "")]
        found = self._rebased(layer, after.base, after)
        return [(item.outcome, item.operation.field) for item in found] or [("carried", "")]

    def _own(self, choice: Choice) -> tuple[Operation, ...]:
        return () if choice.user is None or self.users is None else self.users(choice.user).operations

    def _rebased(self, layer: Layer, base: int, choice: Choice) -> tuple[Rebased, ...]:
        tenant = None if choice.tenant is None else self.scale._tenants(choice.tenant)
        user = None if choice.user is None or self.users is None else self.users(choice.user)
        return self._look(self.scale._bases(base), tenant, user, layer=layer, bases=self.scale._bases)

    def _holds(self, base: int, tenant: int | None, user: int | None) -> Held | None:
        ours = None if tenant is None else self.scale._tenants(tenant)
        theirs = None if user is None or self.users is None else self.users(user)
        return held_by(self.scale._bases(base), ours, theirs, bases=self.scale._bases, look=self._look)

    def _look(
        self, base: Base, tenant: Revision | None, user: Revision | None, /, *, layer: Layer, bases: Bases
    ) -> tuple[Rebased, ...]:
        if layer == "tenant":
            return () if tenant is None else self.scale.of_tenant(base, tenant)
        key = (base.number, tenant.number if tenant else None)
        if key not in self.mine:
            self.mine[key] = rebase(base, tenant, user, layer=layer, bases=bases)
        return self.mine[key]


def moved_to(number: int) -> Change:
    """The current version is another one."""

    def change(situation: Situation) -> Situation:
        earlier = (situation.current, *situation.earlier)
        return situation if situation.current == number else replace(situation, current=number, earlier=earlier)

    return change


def included(stage: StageRow) -> Change:
    """A rollout includes those in a stage."""
    return lambda situation: replace(situation, stage=stage)


def withdrawn(number: int, replacement: int) -> Change:
    """A version is withdrawn, and a rollout towards it rolled back with it."""

    def change(situation: Situation) -> Situation:
        gone: Mapping[int, int] = {**situation.withdrawn, number: replacement}
        stage = None if situation.stage and situation.stage.version == number else situation.stage
        return replace(situation, withdrawn=gone, stage=stage)

    return change
