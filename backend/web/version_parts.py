"""A version's document as the values of a form, part by part, and back.

A part is a group of the behavior, or the rules, titles or samples. Most are drawn as rows or boxes; a part that these
cannot hold as it is written stays one text of YAML (`written`), so that nothing is lost on the way.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from features.actions.written import WORDS, read_value, write_value
from features.engine.checks import KINDS
from tenants.errors import Problem

Value = dict[str, Any]
CONTRACTS = ("input", "output")
NAMED = ("instructions", "vars", "examples", "checks")
BEHAVIOR = ("instructions", "prompt", "vars", "examples", "input", "output", "model", "checks", "limits")
PARTS = (*BEHAVIOR, "rules", "titles", "samples", "other")
BESIDE: Mapping[str, tuple[str, ...]] = {
    "instructions": ("edit", "hidden", "max_chars"),
    "vars": ("edit", "choices", "min", "max", "max_chars"),
    "examples": ("edit", "hidden"),
    "checks": ("edit", "tighten"),
}
"""What of a field's rule stands beside the field itself. A rule that says more has a row of its own."""
TITLE = ("label", "help")
YES_NO = {True: "yes", False: "no"}


def value_of(document: Mapping[str, Any], written: frozenset[str]) -> Value:
    """What a form holds for a document whose behavior is nested by group."""
    behavior = document["behavior"]
    kept = {part: dict(document.get(part) or {}) for part in ("rules", "titles")}
    value: Value = {"feature": {name: document.get(name) for name in ("feature", *WORDS)}}
    for part in BEHAVIOR:
        if (given := behavior.get(part)) is not None:
            value[part] = _drawn(part, given, kept, written)
    other = {name: given for name, given in behavior.items() if name not in BEHAVIOR}
    value["other"] = as_code(other) if other else ""
    rows = {"rules": _rule_row, "titles": _title_row}
    for part, row in rows.items():
        value[part] = as_code(kept[part]) if part in written else [row(*one) for one in kept[part].items()]
    samples = document.get("samples") or []
    value["samples"] = as_code(samples) if "samples" in written else [{"input": sample} for sample in samples]
    return value


def document_from(value: Value, base: Mapping[str, Any]) -> tuple[Value, list[Problem]]:
    """The document that a form's values come to, groups in the order of `base`; and names that are given twice."""
    problems: list[Problem] = []
    rules, titles, behavior = Value(), Value(), Value()
    for part in BEHAVIOR:
        given = value.get(part)
        if isinstance(given, str):
            behavior[part] = given if part == "prompt" else from_code(given)
        elif part in NAMED and given:
            behavior[part] = _named(part, given, base, problems)
            rules |= {f"{part}.{name}": rule for name, rule in _beside(given, _rule_from)}
            titles |= {f"{part}.{name}": title for name, title in _beside(given, _title_from)}
        elif given:
            behavior[part] = _plain(part, given)
    other = from_code(value.get("other", ""))
    behavior |= other if isinstance(other, Mapping) else {}
    ordered = [*(name for name in base["behavior"] if name in behavior), *behavior]
    found: Value = {name: text for name, text in _words(value, base) if text}
    found["behavior"] = {name: behavior[name] for name in dict.fromkeys(ordered)}
    for part, read, beside in (("rules", _rule_from, rules), ("titles", _title_from, titles)):
        found[part] = _listed(part, value.get(part, []), read, beside, problems)
    samples = value.get("samples", [])
    given = from_code(samples) if isinstance(samples, str) else [row.get("input", {}) for row in samples]
    found["samples"] = given if isinstance(samples, str) else _ordered_like(given, base.get("samples"))
    return {name: part for name, part in found.items() if part or name == "behavior"}, problems


def differing(document: Mapping[str, Any], base: Mapping[str, Any]) -> set[str]:
    """The parts in which two documents differ. Order counts where a model or a person reads it."""
    found = {
        part for part in (*BEHAVIOR, "other")
        if not _alike(_part(document, part), _part(base, part), ordered=part not in ("model", "limits", "checks"))
    }  # fmt: skip
    for part in ("rules", "titles", "samples"):
        if not _alike(document.get(part) or None, base.get(part) or None, ordered=part == "samples"):
            found.add(part)
    return found


def _part(document: Mapping[str, Any], part: str) -> Any:
    behavior = document["behavior"]
    if part == "other":
        return {name: given for name, given in behavior.items() if name not in BEHAVIOR}
    return None if behavior.get(part) == {} else behavior.get(part)


def _alike(one: Any, other: Any, *, ordered: bool) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = (list(one), list(other)) if ordered else (set(one), set(other))
        return names[0] == names[1] and all(_alike(one[name], other[name], ordered=ordered) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            _alike(mine, theirs, ordered=ordered) for mine, theirs in zip(one, other, strict=True)
        )
    return type(one) is type(other) and bool(one == other)


# To the form. What does not fit comes back otherwise than it went, and is drawn as text then.


def _check(check: Mapping[str, Any]) -> Value:
    found = {name: check.get(name) for name in ("kind", "at", "message")}
    argument = _argument(check.get("kind"))
    if argument == "text":
        phrases = check.get("text")
        return {**found, "phrases": phrases if isinstance(phrases, list) else [phrases]}
    return {**found, "count": as_line(check[argument]) if argument in check else None}


def _model(given: Mapping[str, Any]) -> Value:
    numbers = {name: as_line(value) for name, value in given.items() if name not in ("name", "fallbacks")}
    return {"name": given.get("name"), "fallbacks": given.get("fallbacks"), **numbers}


def _limits(given: Mapping[str, Any]) -> Value:
    return {name: as_line(value) for name, value in given.items()}


_ROW: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "instructions": lambda text: {"text": text},
    "vars": lambda value: {"value": as_line(value)},
    "examples": lambda example: _mapping(example),
    "checks": lambda check: _check(_mapping(check)),
}
_BOX: Mapping[str, Callable[[Any], Any]] = {"prompt": lambda text: text, "model": _model, "limits": _limits}


def _drawn(part: str, given: Any, kept: Value, written: frozenset[str]) -> Any:
    """A part of the behavior as rows, a box or YAML; what is said of its fields is taken out of what is `kept`."""
    if part in written or part in CONTRACTS:
        return as_code(given)
    if part in _BOX:
        return _BOX[part](given)
    return [{"name": name, **_ROW[part](one), "more": _more(part, name, kept, written)} for name, one in given.items()]


def _more(group: str, name: Any, kept: Value, written: frozenset[str]) -> Value:
    """What is said of a field elsewhere, taken from there to stand beside it."""
    field, found = f"{group}.{name}", dict[str, Any]()
    for part, names in (("titles", TITLE), ("rules", BESIDE[group])):
        said = kept[part].get(field)
        if part not in written and isinstance(said, Mapping) and said and set(said) <= set(names):
            del kept[part][field]
            found |= _rule_texts(said) if part == "rules" else said
    return found


def _rule_row(field: str, rule: Any) -> Value:
    texts = _rule_texts(_mapping(rule))
    return {"field": field, "edit": texts.pop("edit", None), "bounds": texts}


def _title_row(field: str, title: Any) -> Value:
    return {"field": field, **_mapping(title)}


def _rule_texts(rule: Mapping[str, Any]) -> Value:
    found = dict(rule)
    for name, value in rule.items():
        if name in ("hidden", "tighten"):
            found[name] = YES_NO.get(value) if isinstance(value, bool) else None
        elif name in ("min", "max", "max_chars"):
            found[name] = as_line(value)
        elif name == "choices" and isinstance(value, list):
            found[name] = [as_line(choice) for choice in value]
    return found


# And from it.


def _named(part: str, rows: list[Value], base: Mapping[str, Any], problems: list[Problem]) -> Value:
    old = _mapping(base["behavior"].get(part))
    found: Value = {}
    for index, row in enumerate(rows):
        name = row.get("name", "").strip()
        if name in found:
            problems.append(_twice(f"/{part}/{index}/name", f"{part}.{name}"))
        found[name] = _FROM[part](row, old.get(name))
    return found


_FROM: Mapping[str, Callable[[Value, Any], Any]] = {
    "instructions": lambda row, _old: row.get("text", ""),
    "vars": lambda row, _old: from_line(row.get("value", "")),
    "examples": lambda row, old: _ordered_like({side: row[side] for side in CONTRACTS if side in row}, old),
    "checks": lambda row, _old: _check_from(row),
}


def _check_from(row: Value) -> Value:
    found: Value = {name: row[name] for name in ("kind", "at", "message") if name in row}
    if count := row.get("count"):
        argument = _argument(row.get("kind"))
        found[argument if argument in ("max", "min") else "max"] = from_line(count)
    if phrases := row.get("phrases"):
        found["text"] = phrases[0] if len(phrases) == 1 else phrases
    return found


def _argument(kind: Any) -> str:
    known = KINDS.get(kind) if isinstance(kind, str) else None
    return (known.argument or "") if known else ""


def _plain(part: str, given: Value) -> Value:
    """A model or limits: numbers as they were typed, so that what is none is refused in the engine's words."""
    texts = ("name", "fallbacks") if part == "model" else ()
    return {name: value if name in texts else from_line(value) for name, value in given.items()}


def _beside(rows: list[Value], read: Callable[[Value], Value]) -> Iterator[tuple[str, Value]]:
    for row in rows:
        if said := read(row.get("more", {})):
            yield row.get("name", "").strip(), said


def _rule_from(said: Value) -> Value:
    found: Value = {}
    for name, value in {**said, **said.get("bounds", {})}.items():
        if name == "edit":
            found[name] = value
        elif name in ("hidden", "tighten"):
            found[name] = value == "yes"
        elif name in ("min", "max", "max_chars"):
            found[name] = from_line(value)
        elif name == "choices":
            found[name] = [from_line(choice) for choice in value]
    return found


def _title_from(said: Value) -> Value:
    return {name: said[name] for name in TITLE if name in said}


def _listed(part: str, rows: Any, read: Callable[[Value], Value], beside: Value, problems: list[Problem]) -> Any:
    """Rules or titles: those beside their fields, and those that have rows of their own."""
    if isinstance(rows, str):
        return from_code(rows)
    found = dict(beside)
    for index, row in enumerate(rows):
        field = row.get("field", "").strip()
        if field in found:
            problems.append(_twice(f"/{part}/{index}/field", field))
        found[field] = read(row)
    return found


def _words(value: Value, base: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The feature's own words: a new feature's as they are typed, else as the document has them."""
    typed = value.get("feature")
    for name in ("feature", *WORDS):
        yield name, base.get(name) if typed is None else typed.get(name)


def as_line(value: Any) -> str:
    """A scalar as one text: `5`, `true` and `null` are what they say, `"5"` in quotes is text, and so is all else."""
    if isinstance(value, str) and from_line(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def from_line(text: str) -> Any:
    """Read such a text."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, dict | list) else value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def as_code(value: Any) -> str:
    """A part as YAML. One that could not be read when it was typed is the text that was typed."""
    if isinstance(value, str):
        said = read_value(value)
        if said == value or isinstance(said, Mapping):
            return value
    return write_value(value)


def from_code(text: str) -> Any:
    """Read such a text. What is no YAML stays a text, which the engine refuses where it wants something else."""
    return read_value(text) if text.strip() else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _as_long(old: Any, rows: list[Any]) -> list[Any]:
    given = list(old) if isinstance(old, list) else []
    return [*given[: len(rows)], *[None] * (len(rows) - len(given))]


def _ordered_like(value: Any, old: Any) -> Any:
    """A value with its names in the order of an older one: in examples a model reads it."""
    if isinstance(value, Mapping):
        before = _mapping(old)
        names = dict.fromkeys([*(name for name in before if name in value), *value])
        return {name: _ordered_like(value[name], before.get(name)) for name in names}
    if isinstance(value, list):
        return [_ordered_like(one, then) for one, then in zip(value, _as_long(old, value), strict=True)]
    return value


def _twice(pointer: str, name: str) -> Problem:
    return Problem(pointer, "duplicate", _("%(name)s is given twice") % {"name": name})
