"""Whether what a layer is to say may be saved: what is new in it keeps the rules, and all of it compiles."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from features.engine import (
    Operation,
    Revision,
    Rule,
    Suspended,
    applied,
    changed,
    compile_behavior,
    compile_layers,
    effective_rule,
    inherited,
    judge,
    looser_than_base,
    resolve,
)
from features.explain import hidden_fields
from features.served import Served
from tenants.errors import Invalid, Problem
from tenants.isolation import APP

from .versions import check_models

Layer = Literal["tenant", "user"]
Content = tuple[tuple[Operation, ...], Mapping[str, Rule]]


def check_content(content: Content, was: Content, served: Served, layer: Layer) -> None:
    """Raise Invalid naming all that new or changed operations and rules break, or what would not compile with them."""
    if layer == "user" and not served.choice.users_may_override:
        told = Problem("", "users_may_override", "your organisation's policy keeps users' own changes inactive")
        raise Invalid("Your organisation does not let its users change behavior for themselves.", errors=[told])
    tenant = served.tenant if layer == "user" else None
    tenant_rules: Mapping[str, Rule] = tenant.rules if tenant else {}
    new = changed(was[0], content[0])
    problems: list[Problem] = []
    for operation in new:
        rule = effective_rule(operation.field, served.base.rules, tenant_rules)
        below = inherited(operation.field, served.base, tenant, layer)
        problems += judge(operation, layer=layer, rule=rule, inherited=below, result=applied(operation, below))
    if content[1] and layer == "user":
        problems.append(Problem("/rules", "layer", "rules belong to organisations, to bind their users"))
    new_rules = {key: rule for key, rule in content[1].items() if was[1].get(key) != rule}
    looser = looser_than_base(served.base.rules, new_rules)
    problems += [replace(problem, pointer=f"/rules{problem.pointer}") for problem in looser]
    if problems:
        raise Invalid("These changes break rules that an earlier layer has set.", errors=problems)
    layers = layers_with(layer, served, Revision(0, *content))
    try:
        compiled = compile_behavior(resolve(served.base, *layers, broken=_broken_already(new, served, layer)).fields)
    except Invalid as broken:
        raise told_of_operations(broken, content[0], hidden_fields(served, layer)) from broken
    named = next((op.pointer for op in content[0] if op.field == "model.name"), "/model.name")
    new_models = [name for name in (compiled.model, *compiled.fallbacks) if name not in served.targets]
    if new_models:
        check_models(new_models, APP, at=named)


def _broken_already(new: Iterable[Operation], served: Served, layer: Layer) -> set[tuple[Layer, str]]:
    """What somebody else has broken, and stays inactive beside new operations, whose author did not break it."""
    broken = {(item.layer, item.operation.field) for item in served.effective.suspended if item.reason == "broken"}
    return broken - {(layer, operation.field) for operation in new}


def told_of_operations(broken: Invalid, operations: tuple[Operation, ...], hidden: frozenset[str]) -> Invalid:
    """Point at what was sent: a problem of a field that an operation changes is that operation's.

    Of a field that is hidden from the author nothing is quoted: a check of theirs could ask for its text word by word.
    """
    kinds = {operation.field: operation.kind for operation in operations}
    told = []
    for problem in broken.errors:
        field = problem.pointer.split("/")[1] if "/" in problem.pointer else ""
        at = f"/{kinds[field]}{problem.pointer}" if field in kinds else problem.pointer
        words = "is hidden, and would not work with these changes" if field in hidden else problem.message
        told.append(Problem(at, problem.rule, words))
    return Invalid("The behavior would not work with these changes.", errors=told)


def layers_with(layer: Layer, served: Served, revision: Revision) -> tuple[Revision | None, Revision | None]:
    """The tenant's and the user's revision where this one is the layer's."""
    return (revision, None) if layer == "tenant" else (served.tenant, revision)


def suspended_of(revision: Revision, served: Served, layer: Layer) -> tuple[Suspended, ...]:
    """Those of a revision's operations that would be inactive on what is served."""
    tenant, user = layers_with(layer, served, revision)
    may = served.choice.users_may_override
    effective, _ = compile_layers(served.base, tenant, user, users_may_override=may)
    return tuple(item for item in effective.suspended if item.layer == layer)
