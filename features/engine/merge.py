"""Layers into one effective behavior: base, then the tenant's operations, then the user's, within the rules."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tenants.errors import Problem

from .digest import digest, in_order
from .fields import MAX_FIELDS
from .kept import ByPair
from .operations import Operation
from .rules import Layer, Rule, effective_rule, judge
from .values import ABSENT, Absent, Json

Reason = Literal["rule", "policy", "broken", "orphaned"]


@dataclass(frozen=True, slots=True)
class Base:
    """A version: the fields and rules that the vendor published under this number."""

    number: int
    fields: Mapping[str, Json]
    rules: Mapping[str, Rule]


@dataclass(frozen=True, slots=True)
class Revision:
    """One numbered state of a tenant's or user's override; rules are a tenant's."""

    number: int
    operations: tuple[Operation, ...]
    rules: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which layer set a field, at which version or revision, and the layers that appended to it since."""

    layer: Literal["base", "tenant", "user"]
    number: int
    appended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspended:
    """An operation that is kept but inactive, and why."""

    layer: Layer
    number: int
    operation: Operation
    reason: Reason
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """What the layers come to. Fields: sections in rendering order, examples in order, the others by name."""

    fields: Mapping[str, Json]
    origins: Mapping[str, Origin]
    suspended: tuple[Suspended, ...]
    digest: str
    rules: Mapping[str, Rule]


def resolve(
    base: Base,
    tenant: Revision | None,
    user: Revision | None,
    *,
    users_may_override: bool = True,
    broken: Collection[tuple[Layer, str]] = (),
) -> Effective:
    """Merge the layers; what today's rules or policy forbid is suspended, never an error.

    `broken` names (layer, field) of operations to leave out because the result would not compile
    (see layers.compile_layers). A field that an earlier layer removed and a later one sets again counts as
    added by the later one, so it comes last among its kind.
    """
    merge = _Merge(base, dict(base.fields), {name: Origin("base", base.number) for name in base.fields}, [])
    if tenant:
        merge.lay("tenant", tenant, _rules_of(base, None), broken)
    rules = _rules_of(base, tenant)
    if user and users_may_override:
        merge.lay("user", user, rules, broken)
    elif user:
        merge.suspended += [Suspended("user", user.number, op, "policy") for op in user.operations]
    fields = in_order(merge.fields)
    return Effective(
        fields=fields,
        origins={name: merge.origins[name] for name in fields},
        suspended=tuple(merge.suspended),
        digest=digest(fields),
        rules={name: rules[name] for name in fields},
    )


class _Rules(dict[str, Rule]):
    """The rule that binds each field, made up when it is first asked for."""

    def __init__(self, base: Mapping[str, Rule], tenant: Mapping[str, Rule]) -> None:
        super().__init__()
        self._base, self._tenant = base, tenant

    def __missing__(self, field: str) -> Rule:
        if len(self) > MAX_FIELDS:  # fields that users add are as many as there are users
            self.clear()
        rule = self[field] = effective_rule(field, self._base, self._tenant)
        return rule


def _rules_of(base: Base, tenant: Revision | None) -> _Rules:
    """The rules under a base and a tenant's revision, which all of the tenant's users share."""
    return _known_rules.get(base, tenant, lambda: _Rules(base.rules, tenant.rules if tenant else {}))


_known_rules = ByPair[_Rules]()


@dataclass(slots=True)
class _Merge:
    """The merge as far as it has come. A dict keeps insertion order, and so rendering order comes of itself."""

    base: Base
    fields: dict[str, Json]
    origins: dict[str, Origin]
    suspended: list[Suspended]

    def lay(
        self,
        layer: Layer,
        revision: Revision,
        rules: _Rules,
        broken: Collection[tuple[Layer, str]],
    ) -> None:
        """Apply one layer's operations, each field's at most one, or set them aside."""
        for operation in revision.operations:
            inherited = self.fields.get(operation.field, ABSENT)
            rule = rules[operation.field]
            gone = inherited is ABSENT and self._dropped(operation)
            reason, problems = _obstacle(operation, layer, rule, inherited, gone, broken)
            if reason:
                self.suspended.append(Suspended(layer, revision.number, operation, reason, problems))
            else:
                self._apply(operation, layer, revision.number, applied(operation, inherited))

    def _dropped(self, operation: Operation) -> bool:
        """Whether nothing is left to change: nothing inherited, or the vendor has dropped what the author replaced."""
        seen = operation.based_on
        had = seen is not None and seen.in_base and seen.inherited != "absent"
        return operation.kind != "set" or (had and operation.field not in self.base.fields)

    def _apply(self, operation: Operation, layer: Layer, number: int, result: Json | Absent) -> None:
        name = operation.field
        if result is ABSENT:
            del self.fields[name], self.origins[name]
            return
        self.fields[name] = result
        if operation.kind == "append":
            origin = self.origins[name]
            self.origins[name] = replace(origin, appended=(*origin.appended, layer))
        else:
            self.origins[name] = Origin(layer, number)


def _obstacle(
    operation: Operation,
    layer: Layer,
    rule: Rule,
    inherited: Json | Absent,
    gone: bool,
    broken: Collection[tuple[Layer, str]],
) -> tuple[Reason | None, tuple[Problem, ...]]:
    if gone:
        return "orphaned", ()
    result = applied(operation, inherited)
    if problems := judge(operation, layer=layer, rule=rule, inherited=inherited, result=result):
        return "rule", tuple(problems)
    return ("broken", ()) if (layer, operation.field) in broken else (None, ())


def applied(operation: Operation, inherited: Json | Absent) -> Json | Absent:
    """Return a field's value after an operation; appended text follows a blank line."""
    if operation.kind == "remove":
        return ABSENT
    if operation.kind == "append" and inherited is not ABSENT:
        return f"{inherited}\n\n{operation.value}"
    return operation.value


def inherited(field: str, base: Base, tenant: Revision | None, layer: Layer) -> Json | Absent:
    """Return what `layer` would inherit for a field: base for the tenant, base and tenant for a user."""
    fields = base.fields if layer == "tenant" else resolve(base, tenant, None).fields
    return fields.get(field, ABSENT)
