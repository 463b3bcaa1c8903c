"""The form of a version: drawn from its document, read back as one, problems beside the fields that caused them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.actions.written import WORDS, nested
from features.engine import GROUPS, flatten
from tenants.errors import Problem

from .controls import PREFIX, Data, every, nearest
from .forms import InputForm, blank_form, fill, read_data, read_form
from .schema_words import Schema
from .version_parts import BEHAVIOR, CONTRACTS, NAMED, Value, differing, document_from, value_of
from .version_schema import OPEN, forms_of_contracts, schema_of

MOST_CONTROLS = 900  # Django reads no more than 1,000 fields of a form


@dataclass(frozen=True, slots=True)
class VersionForm:
    """A version as a form, and the document that it comes to. `own` are problems that no document could show."""

    form: InputForm
    document: Value
    own: tuple[Problem, ...] = ()

    @property
    def open(self) -> frozenset[str]:
        """The names of the parts that are open at first."""
        return frozenset(f"{PREFIX}/{part}" for part in OPEN)

    def with_problems(self, problems: Iterable[Problem]) -> "VersionForm":
        """Put what publishing finds wrong beside its fields; pointers lead into the document."""
        moved = [replace(one, pointer=place_of(one, self.form.value)) for one in problems]
        return replace(self, form=self.form.with_problems([*self.own, *moved], ""))

    def name_at(self, problem: Problem) -> str:
        """What the control is called beside which a problem of the document stands; empty for nowhere in particular."""
        return self._name(place_of(problem, self.form.value))

    def name_of(self, problem: Problem) -> str:
        """The same of a problem of the form's own, which points into the form."""
        return self._name(problem.pointer)

    def _name(self, place: str) -> str:
        names = {control.pointer: control.name for control in every(self.form.controls)}
        return names.get(nearest(place, set(names)), "")


def draw_version(document: Mapping[str, Any], aliases: Sequence[str], *, new: bool) -> VersionForm | None:
    """Draw a document that `read_text` has read, or nothing where a form would be too large to be sent.

    Each part is drawn and read back; one that comes back otherwise is drawn as YAML. Raises Invalid for a behavior
    that gives a field twice.
    """
    base = by_group(document)
    schema, value = _as_parts(base, aliases, new)
    drawn = blank_form(schema, value)
    if sum(1 for _control in every(drawn.controls)) > MOST_CONTROLS:
        return None
    return VersionForm(drawn, base)


def read_version(document: Mapping[str, Any], data: Data, aliases: Sequence[str], *, new: bool) -> VersionForm:
    """Read what was sent of a form that was drawn from a document. Raises Invalid as `draw_version`."""
    base = by_group(document)
    schema, _value = _as_parts(base, aliases, new)
    sent = read_form(schema, data)
    found, twice = document_from(sent.value, base)
    typed = [
        problem for problem in sent.problems if problem.rule != "required"
    ]  # which publishing says in its own words
    return VersionForm(sent.without_problems(), found, (*typed, *twice))


def same_version(one: Value, other: Value) -> bool:
    """Whether two documents say the same of a version, and call the feature the same."""
    words = all((one.get(word) or "") == (other.get(word) or "") for word in ("feature", *WORDS))
    return words and not differing(one, other)


def by_group(document: Mapping[str, Any]) -> Value:
    """The document with its behavior nested by group. Raises Invalid for a field that is given twice."""
    behavior = dict(document.get("behavior") or {})
    if any(isinstance(name, str) and name.partition(".")[0] in GROUPS and "." in name for name in behavior):
        behavior = nested(flatten(behavior))
    return {**document, "behavior": behavior}


def _as_parts(base: Value, aliases: Sequence[str], new: bool) -> tuple[Schema, Value]:
    """The schema and the value of a document's form, in which every part comes back as it is."""
    written = _written(base)
    for _turn in range(3):  # what is drawn as YAML takes its rules and titles to the lists of them, once
        schema, value = schema_of(base, written, aliases, new=new), value_of(base, written)
        data: dict[str, list[str]] = {}
        fill(schema, value, data)
        back, _twice = document_from(read_data(schema, data)[0], base)
        more = differing(back, base) - written
        if not more:
            return schema, value
        written |= more
    return schema_of(base, written, aliases, new=new), value_of(base, written)


def _written(base: Value) -> frozenset[str]:
    """The parts that rows and boxes have no place for, whatever they hold."""
    behavior = base["behavior"]
    given = {part: behavior[part] for part in BEHAVIOR if behavior.get(part) is not None}
    written = {part for part, value in given.items() if part != "prompt" and not isinstance(value, Mapping)}
    written |= {"other"} if set(behavior) - set(BEHAVIOR) else set()
    written |= set() if isinstance(base.get("samples") or [], list) else {"samples"}
    written |= set() if forms_of_contracts(base) else {"examples", "samples"}
    return frozenset(written)


def place_of(problem: Problem, value: Value) -> str:
    """Where in the form's values that part of the document stands which a problem points to (RFC 6901)."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in problem.pointer.split("/")[1:]]
    match steps:
        case ["feature" | "title" | "summary" | "verb" | "icon" as word]:
            return f"/feature/{word}" if word in ("feature", *WORDS) else ""
        case ["behavior", field, *rest] if "." in field and field.partition(".")[0] in GROUPS:
            group, _dot, name = field.partition(".")
            return _in_behavior(group, [name, *rest], value, problem.rule)
        case ["behavior", part, *rest]:
            return _in_behavior(part, rest, value, problem.rule)
        case ["rules" | "titles" as part, field, *rest]:
            return _said_of(part, field, rest[:1], value)
        case ["samples", *rest]:
            return "/".join(["/samples", *rest[:1], "input", *rest[1:]]) if rest else "/samples"
    return ""


def _in_behavior(part: str, rest: list[str], value: Value, rule: str) -> str:
    given = value.get(part)
    if part not in BEHAVIOR:
        return "/other"
    if part not in NAMED or not isinstance(given, list) or not rest:
        return "/".join([f"/{part}", *rest])
    index = _row(given, "name", rest[0])
    if index is None:
        return f"/{part}"
    return f"/{part}/{index}/{'name' if rule == 'name' and not rest[1:] else _inside(part, rest[1:])}"


def _inside(part: str, rest: list[str]) -> str:
    if part == "examples" and rest and rest[0] in CONTRACTS:
        return "/".join(rest)
    if part == "checks":
        named = {"max": "count", "min": "count", "text": "phrases"}
        return named.get(rest[0], rest[0]) if rest else "kind"
    return {"instructions": "text", "vars": "value"}.get(part, "name")


def _said_of(part: str, field: str, rest: list[str], value: Value) -> str:
    group, _dot, name = field.partition(".")
    rows = value.get(group)
    named = rows if group in NAMED and isinstance(rows, list) else []
    index = _row(named, "name", name)
    if index is not None and _says(named[index].get("more", {}), part):
        return "/".join([f"/{group}/{index}/more", *rest])
    listed = value.get(part)
    index = _row(listed, "field", field) if isinstance(listed, list) else None
    if index is None:
        return f"/{part}"
    inside = ["field"] if not rest else ["bounds", *rest] if part == "rules" and rest != ["edit"] else rest
    return "/".join([f"/{part}/{index}", *inside])


def _says(more: Mapping[str, Any], part: str) -> bool:
    titles = {"label", "help"} & set(more)
    return bool(titles) if part == "titles" else len(more) > len(titles)


def _row(rows: list[Value], key: str, name: str) -> int | None:
    return next((index for index, row in enumerate(rows) if row.get(key, "").strip() == name), None)
