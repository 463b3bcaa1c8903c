"""Say of each field what it is, where it comes from, who may change it and what lies beneath, fit for who looks.

Hidden text of an earlier layer is left out here, once, for every door: by the rules of the version shown and by
today's, hidden in either is hidden (behavior.md 3).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from features.engine import ABSENT, Rule, Suspended, effective_rule, inherited
from tenants.isolation import APP

from .contents import base_of
from .find import current_number
from .models import Feature
from .served import Served
from .validity import unsettled

Viewer = Literal["tenant", "user", "vendor"]
KEPT = 8_192  # of whom the fields hidden from them are kept

_kept: dict[tuple[Any, ...], frozenset[str]] = {}


def hidden_fields(served: Served, viewer: Viewer, today: Served | None = None) -> frozenset[str]:
    """The fields whose text this viewer may not see, by the rules served and, for the past, by today's as well."""
    key = None if unsettled() else _key(served, viewer, today)
    hidden = _kept.get(key) if key is not None else None
    if hidden is None:
        suspended = (item.operation.field for item in served.effective.suspended)
        fields = {*served.effective.fields, *suspended}
        hidden = _hidden(fields, [served, *([today] if today else [])], viewer, today)
        if key is not None:
            _kept[key] = hidden
            if len(_kept) > KEPT:
                _kept.pop(next(iter(_kept)), None)
    return hidden


def _key(served: Served, viewer: Viewer, today: Served | None) -> tuple[Any, ...] | None:
    """What decides which fields are hidden, by numbers that never come to mean anything else; None for the past.

    The past is held against what is current at the time, which is looked up.
    """
    if today is not served or not served.choice.current:
        return None
    choice = served.choice
    whose = None if choice.tenant is None and choice.user is None else served.who.id
    numbers = (choice.base, choice.current, choice.tenant, choice.user)
    return served.feature.id, whose, numbers, choice.users_may_override, viewer


def hidden_between(before: Served, after: Served, viewer: Viewer, *, today: Served | None = None) -> frozenset[str]:
    """The fields whose text this viewer may not see in a comparison: hidden on either side, or by today's rules.

    `today` is what is served now, where that was read already: else what is current is looked up.
    """
    return _hidden({*before.effective.fields, *after.effective.fields}, [before, after], viewer, today)


def hidden_among(
    fields: Iterable[str], served: Served, viewer: Viewer, *, today: Served | None = None
) -> frozenset[str]:
    """Which of these fields' texts this viewer may not see, whether or not they are in force; `today` as above."""
    return _hidden(fields, [served], viewer, today)


def rule_for(field: str, served: Served, viewer: Viewer) -> Rule:
    """The rule that binds this viewer's layer on a field: the vendor's, and for users their organisation's too."""
    return effective_rule(field, served.base.rules, _tenant_rules(served, viewer))


def behavior_json(
    served: Served, viewer: Viewer, *, today: Served | None = None, explain: bool = False
) -> dict[str, Any]:
    """The effective behavior as the API answers it: flat fields and the receipt; with `explain` also why, per field."""
    hidden = hidden_fields(served, viewer, today)
    body: dict[str, Any] = {
        "feature": served.feature.key,
        "at": served.at,
        "fields": {name: value for name, value in served.effective.fields.items() if name not in hidden},
        "hidden": sorted(hidden & served.effective.fields.keys()),
        "receipt": served.receipt.as_json(),
    }
    if explain:
        body["explain"] = {name: explain_field(name, served, viewer, hidden) for name in served.effective.fields}
        body["suspended"] = [suspended_json(item, hidden) for item in served.effective.suspended]
    return body


def explain_field(field: str, served: Served, viewer: Viewer, hidden: frozenset[str]) -> dict[str, Any]:
    """Where one field comes from, the rule on it, and what an earlier layer has beneath."""
    origin = served.effective.origins[field]
    rule = rule_for(field, served, viewer)
    told: dict[str, Any] = {
        "layer": origin.layer,
        "version" if origin.layer == "base" else "revision": origin.number,
        "appended": list(origin.appended),
        "rule": {key: value for key, value in asdict(rule).items() if value is not None},
        "editable": editable(rule, viewer),
        "hidden": field in hidden,
    }
    if field in hidden or viewer == "vendor":
        return told
    below = inherited(field, served.base, served.tenant if viewer == "user" else None, viewer)
    if below is not ABSENT and (origin.layer == viewer or viewer in origin.appended):
        told["inherited"] = below
    return told


def editable(rule: Rule, viewer: Viewer) -> bool:
    """Whether a layer may change a field under a rule."""
    if rule.hidden or rule.edit == "locked" or viewer == "vendor":
        return False
    return viewer == "tenant" or rule.edit == "user"


def suspended_json(item: Suspended, hidden: frozenset[str]) -> dict[str, Any]:
    """An operation that is kept but inactive, and why."""
    operation = item.operation
    told: dict[str, Any] = {
        "layer": item.layer,
        "revision": item.number,
        "field": operation.field,
        "operation": operation.kind,
    }
    told["reason"] = item.reason
    told["problems"] = [asdict(problem) for problem in item.problems]
    if operation.kind != "remove" and operation.field not in hidden:
        told["value"] = operation.value
    return told


def _hidden(
    fields: Iterable[str], shown: Sequence[Served], viewer: Viewer, today: Served | None = None
) -> frozenset[str]:
    """Which fields are hidden by the rules of any of these, or by the rules of the version that is current today."""
    if viewer == "vendor":
        return frozenset()
    rules = [(served.base.rules, _tenant_rules(served, viewer)) for served in shown]
    current = _rules_today(shown[0].feature, today)
    rules += [(current, tenant) for _, tenant in rules]
    return frozenset(field for field in fields if any(effective_rule(field, *pair).hidden for pair in rules))


def _rules_today(feature: Feature, today: Served | None) -> Mapping[str, Rule]:
    number = today.choice.current if today is not None and today.choice.current else current_number(feature, APP)
    return {} if number is None else base_of(feature.id, number).rules


def _tenant_rules(served: Served, viewer: Viewer) -> Mapping[str, Rule]:
    return served.tenant.rules if viewer == "user" and served.tenant is not None else {}


def version_hidden(feature: Feature, number: int, today: Served) -> frozenset[str]:
    """The fields of a version that a tenant's people may not see: hidden by its own rules or by those served today."""
    base = base_of(feature.id, number)
    tenant_rules = today.tenant.rules if today.tenant is not None else {}
    every = (base.rules, today.base.rules, _rules_today(feature, today))
    return frozenset(f for f in base.fields if any(effective_rule(f, rules, tenant_rules).hidden for rules in every))
