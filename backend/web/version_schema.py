"""What a version's form is made of: a schema of its parts, drawn by the form engine that draws every input.

Beside JSON Schema's own words a part may say `code` (a text in a fixed-width face), `rows` (lines at first), `beside`
(a text that does not take the whole width), `decimal` (a number is typed), `fold` (a group that is closed at first),
`unset` and `labels` (what choices are called).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from features.engine import check_schema
from features.engine.checks import KINDS
from features.engine.fields import LIMIT_DEFAULTS, LIMITS, MODEL_NUMBERS

from .schema_words import Schema, check_kinds, with_flags_left_out
from .version_parts import BESIDE, CONTRACTS, TITLE, YES_NO
from .words import FIELDS, GROUP_TITLES

Written = frozenset[str]
RULE = ("edit", "hidden", "choices", "min", "max", "max_chars", "tighten")
OPEN = ("feature", "instructions", "prompt", "vars", "input", "output", "other")
"""The parts that are open at first."""


def schema_of(document: Mapping[str, Any], written: Written, aliases: Sequence[str], *, new: bool) -> Schema:
    """The schema of a version's form. `written` parts are drawn as YAML; a new feature has words as well."""
    parts: dict[str, Schema] = {"feature": _feature()} if new else {}
    parts["instructions"] = _rows(
        _("section"), text=_text(_("What it says"), rows=3), group="instructions", off=written
    )
    parts["prompt"] = _text(_("The message"), rows=4)
    value = _text(_("Value"), rows=1, beside=True)
    parts["vars"] = _rows(_("value"), value=value, group="vars", off=written)
    parts["input"], parts["output"] = _code(_("Schema")), _code(_("Schema"))
    contracts = _contracts(document)
    sides = {side: contracts[side] for side in CONTRACTS if side in contracts}
    parts["examples"] = _rows(_("example"), **sides, group="examples", off=written)
    parts["model"] = _model(aliases, document)
    parts["checks"] = _rows(_("check"), **_check(), group="checks", off=written)
    parts["limits"] = _object({name: _limit(name) for name in LIMITS})
    parts["rules"] = _list(
        _("rule"), {"field": _line(_("Field or group")), "edit": _who(), "bounds": _bounds()}, "field"
    )
    parts["titles"] = _list(_("title"), {"field": _line(_("Field")), **_titles()}, "field")
    parts["samples"] = _list(_("sample"), {"input": contracts["input"]} if "input" in contracts else {}, "input")
    parts["other"] = _code(_("YAML"))
    named = _named()
    drawn = {
        name: {
            **(_code(_("YAML")) if name in written else part),
            "title": named[name][0],
            "description": named[name][1],
        }
        for name, part in parts.items()
        if name != "other" or "other" in written
    }
    required = ["feature", "prompt", "input", "output"]
    return {"type": "object", "properties": drawn, "required": required, "$defs": contracts.get("$defs", {})}


def forms_of_contracts(document: Mapping[str, Any]) -> bool:
    """Whether examples and samples can be drawn as forms of what goes in and comes out."""
    return set(CONTRACTS) <= set(_contracts(document))


def _named() -> dict[str, tuple[str, str]]:
    """What each part is called, and what it is for."""
    title = {key: str(words) for key, words in GROUP_TITLES.items()}
    scalars = _("Numbers, true, false and null are what they say; in quotes they are text.")
    liquid = _("Liquid templates: they may say {{ vars.name }}, {{ input.name }} and {{ tenant.name }}.")
    return {
        "feature": (_("The feature"), _("What people read of it. Its key stays for good: programs call it so.")),
        "instructions": (title["instructions"], _("What the model is told first, in this order.") + " " + liquid),
        "prompt": (title["prompt"], _("What each run sends. {{ input.name | fence }} marks what was given as data.")),
        "vars": (
            title["vars"],
            _("What templates refer to as vars.name, each changed by itself.") + " " + scalars,
        ),
        "input": (_("Input"), _("What a run takes: a JSON Schema, as YAML or JSON. Forms and the API follow it.")),
        "output": (_("Output"), _("What a run answers: a JSON Schema, as YAML or JSON.")),
        "examples": (title["examples"], _("Shown to the model with every run, as turns of a conversation.")),
        "model": (title["model"], _("Which model answers, and how. What is left empty is as the provider has it.")),
        "checks": (title["checks"], _("What an answer must satisfy besides its schema.")),
        "limits": (title["limits"], _("How long and how dear one run may be.")),
        "rules": (
            _("Who may change what"),
            _("For fields without a rule beside them, and groups such as vars.*"),
        ),
        "titles": (_("What fields are called"), _("For fields that have no title beside them.")),
        "samples": (_("Samples"), _("Inputs to try versions on. Without any, those of the examples are taken.")),
        "other": (_("Not known here"), _("Groups that no behavior has.")),
    }


def _object(properties: Mapping[str, Schema], *required: str, **said: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **said}


def _list(singular: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    return {"type": "array", "items": _object(properties, *required, title=singular)}


def _line(title: str, help: str = "", **said: Any) -> Schema:
    return {"type": "string", "maxLength": 200, "title": title, "description": help, **said}


def _text(title: str, help: str = "", **said: Any) -> Schema:
    return {"type": "string", "title": title, "description": help, **said}


def _code(title: str) -> Schema:
    return _text(title, rows=6, code=True)


def _choice(title: str, labels: Mapping[str, str], unset: str = "", help: str = "") -> Schema:
    return {"enum": list(labels), "title": title, "labels": labels, "unset": unset, "description": help}


def _rows(singular: str, *, group: str, off: Written, **parts: Schema) -> Schema:
    """Fields of a group: each with its name, its value, and what else is said of it folded beneath."""
    beside = {**({} if "titles" in off else _titles()), **({} if "rules" in off else _rule(BESIDE[group]))}
    more = {"more": _object(beside, title=_("Title, and who may change it"), fold=True)} if beside else {}
    return _list(
        singular, {"name": _line(_("Name")), **parts, **more}, "name", *(set(parts) - {"message", "count", "phrases"})
    )


def _feature() -> Schema:
    icon = _line(_("Icon"), _("The name of one of the dashboard's icons."))
    return _object(
        {
            "feature": _line(_("Key"), _("Lowercase letters, digits, - and _.")), "title": _line(_("Title")),
            "summary": _text(_("Summary"), _("What it does, in a sentence."), rows=1),
            "verb": _line(_("Verb"), _("What the button says that runs it.")), "icon": icon,
        },
        "feature", "title",
    )  # fmt: skip


def _titles() -> dict[str, Schema]:
    return dict(zip(TITLE, (_line(_("Title")), _line(_("Help"))), strict=True))


def _who() -> Schema:
    labels = {"user": _("Everyone, for themselves"), "tenant": _("An organisation's admins"), "locked": _("Nobody")}
    return _choice(_("Who may change it"), labels, _("As its group, or as usual"))


def _rule(names: Sequence[str]) -> dict[str, Schema]:
    yes_no, unset = {"yes": _("Yes"), "no": _("No")}, _("As its group")
    known = {
        "edit": _who(),
        "hidden": _choice(_("Hidden from customers"), yes_no, unset),
        "choices": {"type": "array", "items": {"type": "string", "title": _("choice")}, "title": _("Only one of")},
        "min": _line(_("At least"), decimal=True),
        "max": _line(_("At most"), decimal=True),
        "max_chars": _line(_("At most so many characters"), decimal=True),
        "tighten": _choice(_("May only be made stricter"), yes_no, unset),
    }
    return {name: known[name] for name in names}


def rule_words(rule: Mapping[str, Any]) -> str:
    """What a rule says, in the words of its form: "Who may change it: Nobody · At most: 8"."""
    told = []
    for name, part in _rule([name for name in RULE if name in rule]).items():
        values = rule[name] if isinstance(rule[name], list) else [rule[name]]
        said = [YES_NO[value] if isinstance(value, bool) else str(value) for value in values]
        told.append(f"{part['title']}: {', '.join(part.get('labels', {}).get(one, one) for one in said)}")
    return " · ".join(told)


def _bounds() -> Schema:
    return _object(_rule(RULE[1:]), title=_("Within what bounds"), fold=True)


def _check() -> dict[str, Schema]:
    labels = check_kinds()
    phrases = {"type": "array", "items": {"type": "string", "title": _("phrase")}, "title": _("Phrases")}
    return {
        "kind": _choice(_("What is checked"), {kind: labels.get(kind, kind) for kind in KINDS}),
        "at": _line(_("Where in the output"), _("Such as /summary.")),
        "count": _line(_("How many"), decimal=True), "phrases": phrases,
        "message": _text(_("What is said when it fails"), rows=1),
    }  # fmt: skip


def _model(aliases: Sequence[str], document: Mapping[str, Any]) -> Schema:
    said = document["behavior"].get("model")
    now = said.get("name") if isinstance(said, Mapping) else None
    names = dict.fromkeys([*aliases, now] if isinstance(now, str) and now else aliases)
    titles = {name: str(FIELDS.get(f"model.{name}", name)) for name in (*MODEL_NUMBERS, "name", "fallbacks")}
    numbers = {name: _number(titles[name], *bounds[:2]) for name, bounds in MODEL_NUMBERS.items()}
    alias = {"type": "string", "title": _("model")}
    fallbacks = {"type": "array", "items": alias, "title": titles["fallbacks"], "maxItems": 4}
    return _object({"name": {"enum": list(names), "title": titles["name"]}, **numbers, "fallbacks": fallbacks}, "name")


def _number(title: str, low: float, high: float, more: str = "") -> Schema:
    told = _("From %(a)s to %(b)s.") % {"a": f"{low:g}", "b": f"{high:.16g}"} if high < 10**9 else _("A whole number.")
    return _line(title, f"{told} {more}".strip(), decimal=True)


def _limit(name: str) -> Schema:
    usual = (
        _("Else %(n)s.") % {"n": f"{LIMIT_DEFAULTS[name]:g}"}
        if name in LIMIT_DEFAULTS
        else _("Else budgets alone bind it.")
    )
    return _number(str(FIELDS.get(f"limits.{name}", name)), *LIMITS[name][:2], usual)


def _contracts(document: Mapping[str, Any]) -> dict[str, Any]:
    """The contracts as parts of one schema, their definitions kept apart by name; one that is no schema is left out."""
    titles = {"input": _("What goes in"), "output": _("What should come out")}
    found: dict[str, Any] = {"$defs": {}}
    for side, title in titles.items():
        schema = document["behavior"].get(side)
        if isinstance(schema, dict) and not check_schema(schema):
            moved = _moved(with_flags_left_out(schema), f"{side}.")
            found["$defs"] |= {f"{side}.{name}": part for name, part in dict(moved.pop("$defs", None) or {}).items()}
            found[side] = {**moved, "type": "object", "title": title, "description": ""}
    return found


def _moved(part: Any, prefix: str) -> Any:
    """A schema whose references lead to definitions of another name."""
    if isinstance(part, list):
        return [_moved(one, prefix) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: f"#/$defs/{prefix}{value.removeprefix('#/$defs/')}"
        if name == "$ref" and isinstance(value, str) and value.startswith("#/$defs/")
        else _moved(value, prefix)
        for name, value in part.items()
    }
