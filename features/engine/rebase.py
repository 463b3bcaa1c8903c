"""What becomes of an override when the base moves under it: a three-way comparison per operation (behavior.md 6).

The three are what its author saw (kept with the operation), what it would inherit now, and the operation itself.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .digest import ordered
from .fields import group_of
from .kept import ByPair
from .layers import compile_layers
from .merge import Base, Effective, Revision, resolve
from .operations import Operation, inherited_digest
from .rules import Layer
from .values import ABSENT, Absent, Json, same

Outcome = Literal["carried", "redundant", "suspended", "orphaned", "conflict", "broken"]
Bases = Callable[[int], Base]  # a version by its number
HOLDS = frozenset({"instructions", "prompt", "examples", "input", "output"})  # the others are kept as they are


@dataclass(frozen=True, slots=True)
class Rebased:
    """One operation on a new base. `changed` tells by whom what it inherits was changed since its author looked.

    `then` and `now` are the inherited values at both ends; `holds` says that its owner stays behind until they decide.
    """

    layer: Layer
    operation: Operation
    outcome: Outcome
    changed: Literal["vendor", "tenant"] | None
    then: Json | Absent
    now: Json | Absent
    holds: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A subject that stays behind: because of whose override and which fields, and the version that was saved on."""

    by: Layer
    fields: tuple[str, ...]
    saved_on: int


class Look(Protocol):
    """What `rebase` is."""

    def __call__(
        self, base: Base, tenant: Revision | None, user: Revision | None, /, *, layer: Layer, bases: Bases
    ) -> tuple[Rebased, ...]: ...


def rebase(
    base: Base, tenant: Revision | None, user: Revision | None, *, layer: Layer, bases: Bases
) -> tuple[Rebased, ...]:
    """Say what becomes of each operation of one layer on `base`, as written. The user's are looked at under `tenant`.

    `bases` gives the versions that operations were based on.
    """
    revision = tenant if layer == "tenant" else user
    if revision is None or not revision.operations:
        return ()
    below = None if layer == "tenant" else tenant
    effective, _ = compile_layers(base, tenant, user if layer == "user" else None)
    return tuple(
        _Look(base, below, revision, layer, bases, effective).at(operation) for operation in revision.operations
    )


def held_by(
    base: Base, tenant: Revision | None, user: Revision | None, *, bases: Bases, look: Look = rebase
) -> Held | None:
    """Whether a subject with these layers stays off a base, and why: the tenant's override decides first, for all.

    `look` may keep what rebase has said before, for whoever asks of many subjects.
    """
    layers: tuple[tuple[Layer, Revision | None], ...] = (("tenant", tenant), ("user", user))
    for layer, revision in layers:
        if revision is None or not _moved(revision.operations, base.number):
            continue
        holding = [item.operation for item in look(base, tenant, user, layer=layer, bases=bases) if item.holds]
        if holding:
            saved_on = max(operation.based_on.base for operation in holding if operation.based_on)
            return Held(layer, tuple(operation.field for operation in holding), saved_on)
    return None


def _moved(operations: Iterable[Operation], number: int) -> bool:
    return any(operation.based_on is not None and operation.based_on.base != number for operation in operations)


@dataclass(frozen=True, slots=True)
class _Look:
    base: Base
    below: Revision | None
    revision: Revision
    layer: Layer
    bases: Bases
    effective: Effective

    def at(self, operation: Operation) -> Rebased:
        seen = operation.based_on
        now = _inherits(operation.field, self.base, self.below)
        if seen is None or seen.base == self.base.number:
            then = now
        else:
            then = _inherits(operation.field, self.bases(seen.base), self.below)
        digest = inherited_digest(now)
        changed: Literal["vendor", "tenant"] | None = None
        if seen is not None and digest != seen.inherited:
            changed = "vendor" if digest != inherited_digest(then) else "tenant"
        outcome = self._outcome(operation, changed, now)
        wish = operation.hold or group_of(operation.field) in HOLDS
        holds = outcome == "broken" or (outcome == "conflict" and wish)
        return Rebased(self.layer, operation, outcome, changed, then, now, holds)

    def _outcome(self, operation: Operation, changed: str | None, now: Json | Absent) -> Outcome:
        reason = next(
            (
                item.reason
                for item in self.effective.suspended
                if item.layer == self.layer and item.operation == operation
            ),
            None,
        )
        if reason == "orphaned":
            return "orphaned"
        if reason == "broken":
            return "broken" if self._broken_by_the_base(operation) else "suspended"
        if reason is not None:
            return "suspended"
        if operation.kind == "set" and now is not ABSENT and same(ordered(operation.value), ordered(now)):
            return "redundant" if changed else "carried"
        return "conflict" if operation.kind == "set" and changed == "vendor" else "carried"

    def _broken_by_the_base(self, operation: Operation) -> bool:
        """Whether it worked on the base that its author saw: else the organisation's own change has broken it."""
        seen = operation.based_on
        if seen is None or seen.base == self.base.number:
            return False
        # With the owner's other operations, on which it may lean: a section on a variable that they added.
        layers = (self.revision, None) if self.layer == "tenant" else (self.below, self.revision)
        before, _ = compile_layers(self.bases(seen.base), *layers)
        return not any(
            item.layer == self.layer and item.operation == operation and item.reason == "broken"
            for item in before.suspended
        )


def _inherits(field: str, base: Base, below: Revision | None) -> Json | Absent:
    fields = base.fields if below is None else _beneath(base, below)
    return fields.get(field, ABSENT)


def _beneath(base: Base, below: Revision) -> Mapping[str, Json]:
    """What a tenant's users inherit, kept for the last few pairs: it is asked for each operation of each of them."""
    return _inheritance.get(base, below, lambda: resolve(base, below, None).fields)


_inheritance = ByPair[Mapping[str, Json]]()
