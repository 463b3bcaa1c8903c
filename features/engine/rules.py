"""Rules: who may change which field, and within what bounds; and the judging of one operation by them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, cast

from tenants.errors import Invalid, Problem

from .fields import GROUPS, LIMIT_DEFAULTS, MAX_FIELDS, REQUIRED, check_field, group_of, split
from .values import ABSENT, Absent, Json, check_json, dumps, pointer, same

if TYPE_CHECKING:  # operations reads rules out of overrides, so the arrow at run time points the other way
    from .operations import Operation

Edit = Literal["user", "tenant", "locked"]
Layer = Literal["tenant", "user"]
EDITS: tuple[Edit, ...] = ("locked", "tenant", "user")  # strictest first
DEFAULT_EDIT: Mapping[str, Edit] = {"input": "locked", "output": "locked", "limits": "locked", "model": "tenant"}
HIDEABLE = ("instructions", "prompt", "examples")
NUMERIC = ("vars", "model", "limits")
MAX_CHOICES = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed for a field; None says nothing, so that a wider rule or the default may."""

    edit: Edit | None = None
    hidden: bool | None = None
    choices: tuple[Json, ...] | None = None
    min: float | None = None
    max: float | None = None
    max_chars: int | None = None
    tighten: bool | None = None


PROPERTIES = tuple(field.name for field in fields(Rule))


def documents_of(rules: Mapping[str, Rule]) -> dict[str, Json]:
    """Write rules as the document that parse_rules reads."""
    return {key: _document(rule) for key, rule in rules.items()}


def _document(rule: Rule) -> Json:
    said = {name: getattr(rule, name) for name in PROPERTIES if getattr(rule, name) is not None}
    return {name: list(value) if name == "choices" else value for name, value in said.items()}


def parse_rules(document: object, *, layer: Literal["base", "tenant"]) -> dict[str, Rule]:
    """Read rules by field or by group ("vars.*"). Raises Invalid with every problem, pointers into the document.

    Both layers write the same rules; `layer` is named in the error.
    """
    if not isinstance(document, dict):
        raise Invalid("Rules are an object of fields.", errors=[Problem("", "type", "must be an object of fields")])
    problems = [problem for key, rule in document.items() for problem in _check_rule(key, rule)]
    if len(document) > MAX_FIELDS:
        problems.append(Problem("", "size", f"has more than {MAX_FIELDS} rules"))
    if problems:
        raise Invalid(f"The rules of the {layer} are not well formed.", errors=problems)
    return {key: _read(rule) for key, rule in document.items()}


def _read(rule: Mapping[str, Json]) -> Rule:
    said = {name: tuple(cast(list[Json], value)) if name == "choices" else value for name, value in rule.items()}
    return Rule(**said)  # type: ignore[arg-type]  # _check_rule has seen every property


def _check_rule(key: object, rule: Json) -> list[Problem]:
    at = pointer(str(key))
    if not (isinstance(key, str) and key.endswith(".*") and key[:-2] in GROUPS) and (wrong := check_field(key)):
        return [Problem(at, wrong.rule, wrong.message)]
    if not isinstance(rule, dict):
        return [Problem(at, "type", "must be an object")]
    problems = check_json(rule, at)
    for name, value in rule.items() if not problems else ():
        problems += _check_property(str(key), name, value, at + pointer(name))
    low, high = rule.get("min"), rule.get("max")
    if not problems and _is_number(low) and _is_number(high) and cast(float, low) > cast(float, high):
        problems.append(Problem(at, "range", "min is larger than max"))
    return problems


def _check_property(key: str, name: str, value: Json, at: str) -> list[Problem]:
    wrong = None
    if name not in PROPERTIES:
        wrong = f"is not known here; a rule has {', '.join(PROPERTIES)}"
    elif name == "edit" and value not in EDITS:
        wrong = "must be user, tenant or locked"
    elif name in ("hidden", "tighten") and not isinstance(value, bool):
        wrong = "must be true or false"
    elif name == "hidden" and group_of(key) not in HIDEABLE:
        wrong = f"is for {', '.join(HIDEABLE)} only"
    elif name == "tighten" and not _tightens(key):
        wrong = "is for limits, checks and model.max_output_tokens only"
    elif name in ("min", "max") and (group_of(key) not in NUMERIC or not _is_number(value)):
        wrong = "must be a number" if group_of(key) in NUMERIC else f"is for {', '.join(NUMERIC)} only"
    elif name == "max_chars" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        wrong = "must be a whole number, 0 or more"
    elif name == "choices" and not (isinstance(value, list) and 0 < len(value) <= MAX_CHOICES):
        wrong = f"must be a list of 1 to {MAX_CHOICES} values"
    return [Problem(at, "rule", wrong)] if wrong else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tightens(key: str) -> bool:
    return group_of(key) in ("limits", "checks") or key == "model.max_output_tokens"


def effective_rule(field: str, base_rules: Mapping[str, Rule], tenant_rules: Mapping[str, Rule]) -> Rule:
    """Return the rule that binds a user on a field; with no tenant rules, the rule that binds the tenant.

    Each layer's specific and group rules merge property by property, the specific wins; then the default fills
    `edit` (so `tighten` alone unlocks nothing: say `edit` with it), and base and tenant combine to the
    strictest. What a layer hides is locked for those after it: what base hides is nobody's to edit, what the
    tenant hides is still the tenant's.
    """
    base = _with_default(field, _own(field, base_rules))
    if base.hidden:
        base = replace(base, edit="locked")
    tenant = _own(field, tenant_rules)
    if tenant.hidden:
        tenant = replace(tenant, edit=_strictest_edit(tenant.edit, "tenant"))
    return Rule(
        edit=_strictest_edit(base.edit, tenant.edit),
        hidden=_either(base.hidden, tenant.hidden),
        choices=_common(base.choices, tenant.choices),
        min=_highest(base.min, tenant.min),
        max=_lowest(base.max, tenant.max),
        max_chars=cast("int | None", _lowest(base.max_chars, tenant.max_chars)),
        tighten=_either(base.tighten, tenant.tighten),
    )


def _own(key: str, rules: Mapping[str, Rule]) -> Rule:
    """One layer's rule for a field or a group, the specific one over the group's."""
    specific = rules.get(key)
    wide = rules.get(f"{group_of(key)}.*")
    if specific is None or wide is None:
        return specific or wide or Rule()
    said = {name: getattr(specific, name) for name in PROPERTIES if getattr(specific, name) is not None}
    return replace(wide, **said)


def _with_default(key: str, rule: Rule) -> Rule:
    return rule if rule.edit else replace(rule, edit=DEFAULT_EDIT.get(group_of(key), "user"))


def _strictest_edit(*edits: Edit | None) -> Edit:
    return min((edit for edit in edits if edit), key=EDITS.index)


def _either(one: bool | None, other: bool | None) -> bool | None:
    return True if one or other else one if one is not None else other


def _lowest(*bounds: float | None) -> float | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _highest(*bounds: float | None) -> float | None:
    return max((bound for bound in bounds if bound is not None), default=None)


def _common(one: tuple[Json, ...] | None, other: tuple[Json, ...] | None) -> tuple[Json, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(value for value in one if _among(value, other))


def _among(value: Json, choices: tuple[Json, ...]) -> bool:
    return any(same(value, choice) for choice in choices)


def looser_than_base(base_rules: Mapping[str, Rule], tenant_rules: Mapping[str, Rule]) -> list[Problem]:
    """Name every property in which a tenant rule would allow more than base does (pointers into the rules)."""
    found = []
    for key, rule in tenant_rules.items():
        base = _with_default(key, _own(key, base_rules))
        found += [
            Problem(pointer(key, name), "looser", f"allows more than the vendor’s rule for {key}")
            for name in PROPERTIES
            if _looser(name, getattr(base, name), getattr(rule, name))
        ]
    return found


def _looser(name: str, base: object, tenant: object) -> bool:
    if tenant is None or base is None:
        return False
    if name == "edit":
        return EDITS.index(cast(Edit, tenant)) > EDITS.index(cast(Edit, base))
    if name == "choices":
        return not all(_among(choice, cast("tuple[Json, ...]", base)) for choice in cast("tuple[Json, ...]", tenant))
    if name == "min":
        return cast(float, tenant) < cast(float, base)
    if name in ("max", "max_chars"):
        return cast(float, tenant) > cast(float, base)
    return bool(base) and not tenant


def judge(
    operation: "Operation", *, layer: Layer, rule: Rule, inherited: Json | Absent, result: Json | Absent
) -> list[Problem]:
    """Name every rule that an operation breaks: edit, required, absent, choices, min, max, max_chars, tighten.

    `rule` is from effective_rule (for a tenant's own operation: without tenant rules). `result` is the field's
    value after the operation, an appended text whole; ABSENT after a removal.
    """
    field, at = operation.field, operation.pointer
    found: list[tuple[str, str]] = []
    if EDITS.index(rule.edit or "user") < EDITS.index(layer):
        found.append(("edit", "is locked" if rule.edit == "locked" else "is for the organisation’s admins to change"))
    if operation.kind != "set" and inherited is ABSENT:
        found.append(("absent", f"does not exist, so there is nothing to {operation.kind}"))
    if result is ABSENT:
        found += _judge_removal(field, rule)
    else:
        found += _judge_value(rule, result)
    if rule.tighten and (loosened := _loosened(field, inherited, result)):
        found.append(("tighten", loosened))
    return [Problem(at, name, f"{field} {message}") for name, message in found]


def _judge_removal(field: str, rule: Rule) -> list[tuple[str, str]]:
    if field in REQUIRED:
        return [("required", "is needed by every behavior and cannot be removed")]
    # Without this, removing would be the way around a bound: the default behind it is not what the rule's author chose.
    bounds = [name for name in ("choices", "min", "max") if getattr(rule, name) is not None]
    return [(name, "is bound by a rule and cannot be removed") for name in bounds]


def _judge_value(rule: Rule, value: Json) -> list[tuple[str, str]]:
    found = []
    if rule.choices is not None and not _among(value, rule.choices):
        found.append(("choices", f"must be one of: {', '.join(_shown(choice) for choice in rule.choices)}"))
    number = cast(float, value) if _is_number(value) else None
    if rule.min is not None and (number is None or number < rule.min):
        found.append(("min", f"must be a number, {rule.min:g} or more"))
    if rule.max is not None and (number is None or number > rule.max):
        found.append(("max", f"must be a number, {rule.max:g} or less"))
    length = len(value) if isinstance(value, str) else len(dumps(value))
    if rule.max_chars is not None and length > rule.max_chars:
        found.append(("max_chars", f"has {length} characters; {rule.max_chars} are allowed"))
    return found


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _loosened(field: str, inherited: Json | Absent, result: Json | Absent) -> str | None:
    """Say how an operation loosens what `tighten` lets only be tightened. A limit nobody set has its default."""
    group, name = split(field)
    if group == "checks":
        return None if inherited is ABSENT else "may be added to by other checks, not changed or removed"
    before = LIMIT_DEFAULTS.get(name, ABSENT) if inherited is ABSENT and group == "limits" else inherited
    if before is ABSENT:
        return None
    if _is_number(before) and _is_number(result) and cast(float, result) <= cast(float, before):
        return None
    return f"may only be lowered from {dumps(before)}"
