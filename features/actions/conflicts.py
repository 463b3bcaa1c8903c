"""When the base moves under an override: what becomes of each operation, and its owner's decisions (behavior.md 6)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from features.contents import base_of
from features.engine import (
    Change,
    Held,
    Operation,
    Rebased,
    Revision,
    Suspended,
    changed,
    choose,
    compile_behavior,
    diff,
    effective_rule,
    is_text,
    merge_texts,
    pointer,
    rebase,
)
from features.engine import resolve as merge_layers
from features.explain import hidden_among
from features.models import Feature, Override
from features.reading import Reading, read
from features.receipt import Receipt
from features.resolve import serve, serve_as_read, serve_reading
from features.served import Served
from tenants.actor import Actor
from tenants.errors import Invalid, Malformed, Problem, Stale

from .judging import Layer, check_content, layers_with, told_of_operations
from .overrides import (
    Draft,
    Expected,
    drafting,
    keep,
    one_operation,
    own_snapshot,
    revision_under,
    seen_on,
    whose,
)

OPEN = ("conflict", "broken")  # what waits for a decision; until then it is held or kept by default


@dataclass(frozen=True, slots=True)
class Item:
    """One operation on the new base. `merged`: its text with both changes, where they do not touch each other.

    `hidden`: nothing of what earlier layers have there may be shown. `problems` say what suspends or breaks it.
    """

    rebased: Rebased
    merged: str | None
    hidden: bool
    problems: tuple[Problem, ...]

    @property
    def field(self) -> str:
        return self.rebased.operation.field

    @property
    def open(self) -> bool:
        """Whether its owner has yet to decide."""
        return self.rebased.outcome in OPEN


@dataclass(frozen=True, slots=True)
class Conflicts:
    """What following the vendor comes to for one layer: `before` is served now, `after` on the newest base.

    `after` has all of the layer's own operations kept; what cannot be is inactive in it. `changes` is what is new
    beneath the layer. `row` is the newest revision, whose ETag a resolution sends.
    """

    before: Served
    after: Served
    row: Override | None
    items: tuple[Item, ...]
    changes: tuple[Change, ...]
    hidden: frozenset[str]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What decisions did: receipts before and after, the fields that moved, who is still held, what is still open."""

    row: Override | None
    before: Receipt
    after: Receipt
    changes: tuple[Change, ...]
    hidden: frozenset[str]
    held: Held | None
    open: tuple[str, ...]
    suspended: tuple[Suspended, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """A layer that stands on `before` and would stand on `after`, its pins aside."""

    layer: Layer
    before: Served
    after: Served

    @property
    def own(self) -> Revision | None:
        return self.after.tenant if self.layer == "tenant" else self.after.user

    @property
    def below(self) -> Revision | None:
        return self.after.tenant if self.layer == "user" else None

    def rebased(self, own: Revision | None) -> tuple[Rebased, ...]:
        """What becomes of a revision of the layer on the new base."""
        if own is None:
            return ()
        tenant, user = (own, None) if self.layer == "tenant" else (self.after.tenant, own)
        bases = partial(base_of, self.after.feature.id)
        return rebase(self.after.base, tenant, user, layer=self.layer, bases=bases)


def conflicts(feature: Feature, layer: Layer, *, by: Actor) -> Conflicts:
    """What following the vendor's newest version would come to for a layer, pins aside, operation by operation."""
    who = whose(layer, by)
    with by.present():
        found = read(feature, by.tenant_id, who)
        before = serve_as_read(found)
        look = _look(layer, found, before)
        beneath = _beneath(look)
        hidden = _hidden(look, {change.field for change in beneath})
        items = tuple(_items(look, hidden))
    return Conflicts(before, look.after, found.newest, items, beneath, hidden)


def resolve(
    feature: Feature,
    layer: Layer,
    decisions: Mapping[str, Any],
    *,
    version: int | None = None,
    expected: Expected,
    message: str = "",
    by: Actor,
    dry_run: bool = False,
) -> Resolved:
    """Decide conflicts, as one new revision: {field: "keep" | "take" | "hold" | an operation}; the others stay open.

    keep: as it is, knowing the new base. take: inherit again. hold: stay on the version one knows for its sake. An
    operation takes the place of one's own and is judged by the new base's rules. `version` is the newest base as its
    owner saw it. Raises Stale when that or the revision has moved, Invalid for a field that is not in conflict and for
    an operation that breaks a rule or does not compile. No pin ends by it: its own part of a snapshot moves along.
    """
    with drafting(feature, layer, expected, by, dry_run=dry_run) as (event, draft):
        look = _look(layer, draft.found, draft.served)
        target = look.after.base.number
        if version is not None and version != target:
            raise Stale(f"The vendor has moved on to version {target}: look at the conflicts again.", version=target)
        content = _decided(look, draft, _parsed(decisions))
        revision = Revision(draft.number, content, draft.was[1])
        row = draft.row
        if content != draft.was[0]:
            row = keep(draft, revision, message or _message(decisions, target), by)
        event.detail |= {"what": "resolve", "version": target, "decisions": _words(decisions)}
        before, after = draft.served, serve(feature, by.tenant_id, draft.who)
        hidden = _hidden(look, {*before.effective.fields, *after.effective.fields})
        still_open = tuple(item.operation.field for item in look.rebased(revision) if item.outcome in OPEN)
    return Resolved(
        row=row,
        before=before.receipt,
        after=after.receipt,
        changes=tuple(diff(before.effective.fields, after.effective.fields)),
        hidden=hidden,
        held=after.choice.held,
        open=still_open,
        suspended=tuple(item for item in after.effective.suspended if item.layer == layer),
    )


def _look(layer: Layer, found: Reading, before: Served) -> _Look:
    """What is served, and what would be on the newest base with the revision of the layer that a save starts from."""
    assert found.situation is not None  # it is served
    row = revision_under(own_snapshot(before), found)
    own = row.number if row else None
    choice = choose(replace(found.situation, tenant_pin=None, user_pin=None), found.at)
    choice = replace(choice, tenant=own) if layer == "tenant" else replace(choice, user=own)
    return _Look(layer, before, serve_reading(found, choice))


def _items(look: _Look, hidden: frozenset[str]) -> Iterator[Item]:
    after, rebased = look.after, look.rebased(look.own)
    broken = frozenset(item.operation.field for item in rebased if item.outcome == "broken")
    why = {item.operation.field: item.problems for item in after.effective.suspended if item.layer == look.layer}
    for item in rebased:
        field = item.operation.field
        unseen = field in hidden
        problems = why.get(field, ())
        if field in broken:
            problems = _why_broken(look, item.operation, broken, hidden)
        yield Item(item, None if unseen else _merged(item), unseen, problems)


def _merged(item: Rebased) -> str | None:
    operation, then, now = item.operation, item.then, item.now
    if item.outcome not in OPEN or operation.kind != "set" or not is_text(operation.field):
        return None
    if not (isinstance(then, str) and isinstance(now, str) and isinstance(operation.value, str)):
        return None
    return merge_texts(then, now, operation.value)


def _why_broken(
    look: _Look, operation: Operation, broken: frozenset[str], hidden: frozenset[str]
) -> tuple[Problem, ...]:
    """What does not compile on the new base once this operation is among those that do."""
    every = look.own.operations if look.own else ()
    sound = tuple(op for op in every if op.field not in broken or op == operation)
    fields = merge_layers(look.after.base, *layers_with(look.layer, look.after, Revision(0, sound))).fields
    try:
        compile_behavior(fields)
    except Invalid as wrong:
        return told_of_operations(wrong, sound, hidden).errors
    return ()


def _beneath(look: _Look) -> tuple[Change, ...]:
    """What is new in what the layer inherits."""

    def inherited(served: Served) -> Mapping[str, Any]:
        return merge_layers(served.base, served.tenant if look.layer == "user" else None, None).fields

    return tuple(diff(inherited(look.before), inherited(look.after)))


def _hidden(look: _Look, fields: set[str]) -> frozenset[str]:
    """Of these fields and those that the layer changes, the ones hidden from it: by the rules of what is served, of
    the new base, of the current version, or of the version that an operation's author saw."""
    operations = look.own.operations if look.own else ()
    every = fields | {operation.field for operation in operations}
    tenant_rules = look.below.rules if look.below else {}
    seen = {
        op.field
        for op in operations
        if op.based_on is not None
        and effective_rule(op.field, base_of(look.after.feature.id, op.based_on.base).rules, tenant_rules).hidden
    }
    before, after = (hidden_among(every, one, look.layer, today=look.before) for one in (look.before, look.after))
    return frozenset(seen | before | after)


def _parsed(decisions: Mapping[str, Any]) -> dict[str, str | Operation]:
    """Raises Malformed for what is no decision, and Invalid for an operation whose value is wrong."""
    if not decisions:
        raise Malformed("Name at least one field, and what becomes of it.")
    read: dict[str, str | Operation] = {}
    for field, decision in decisions.items():
        if decision in ("keep", "take", "hold"):
            read[field] = decision
        elif isinstance(decision, dict):
            with _pointing():
                read[field] = one_operation(field, decision)
        else:
            raise Malformed('A decision is "keep", "take", "hold", or {"set": …}, {"append": …} or {"remove": true}.')
    return read


def _decided(look: _Look, draft: Draft, decisions: Mapping[str, str | Operation]) -> tuple[Operation, ...]:
    """The layer's operations after the decisions, each knowing the base that it was decided on."""
    outcomes = {item.operation.field: item.outcome for item in look.rebased(look.own)}
    if wrong := [field for field in decisions if outcomes.get(field) not in OPEN]:
        told = [
            Problem(pointer("fields", field), "conflict", f"is not in conflict ({outcomes.get(field, 'not changed')})")
            for field in wrong
        ]
        raise Invalid(f"There is nothing to decide on {', '.join(wrong)[:500]}.", errors=told)
    content = tuple(
        operation
        for before in draft.was[0]
        if (operation := _after(before, decisions.get(before.field), look)) is not None
    )
    if changed(draft.was[0], content):
        with _pointing():
            check_content((content, {}), draft.was, look.after, look.layer)
    return content


def _after(operation: Operation, decision: str | Operation | None, look: _Look) -> Operation | None:
    if decision is None:
        return operation
    if decision == "take":
        return None
    if decision == "hold":
        return replace(operation, hold=True)
    seen = seen_on(operation.field, look.after.base, look.below, look.layer)
    return replace(decision if isinstance(decision, Operation) else operation, based_on=seen, hold=False)


def _message(decisions: Mapping[str, Any], target: int) -> str:
    return f"Decided on version {target}: {', '.join(decisions)}"[:500]


def _words(decisions: Mapping[str, Any]) -> dict[str, str]:
    """Decisions without values, for the audit."""
    return {field: decision if isinstance(decision, str) else "edit" for field, decision in decisions.items()}


@contextmanager
def _pointing() -> Iterator[None]:
    """Let problems point into the decisions that were sent, not into an override."""
    try:
        yield
    except Invalid as wrong:
        told = [replace(problem, pointer=_pointer(problem.pointer)) for problem in wrong.errors]
        raise Invalid(wrong.detail, errors=told) from wrong


def _pointer(place: str) -> str:
    """From `/set/vars.tone/x` to `/fields/vars.tone/set/x`."""
    parts = place.split("/", 3)
    if len(parts) < 3 or parts[1] not in ("set", "append"):
        return place
    return "/".join(["", "fields", parts[2], parts[1], *parts[3:]])
