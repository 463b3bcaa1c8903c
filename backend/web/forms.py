"""The run form, made from an input schema: what was typed read back as the JSON input, problems beside their fields.

`fill` turns an input into form data (name → the texts sent under it), `read_form` turns form data into an input;
drawing an old input and drawing what was just sent are the same thing.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from tenants.errors import Problem

from .controls import PREFIX, Control, Data, draw, every, mark, nearest, row_tokens, widget_of
from .schema_words import Schema, as_schema, child, follow, kind, nullable, properties


class _Absent:
    """Nothing was typed, and nothing needs to be."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class InputForm:
    """A form as it stands: what to draw, the input it comes to, and what is wrong."""

    schema: Schema
    data: Data
    value: dict[str, Any]
    controls: tuple[Control, ...]
    problems: tuple[Problem, ...] = ()
    general: tuple[str, ...] = ()
    prefix: str = PREFIX

    @property
    def takes_text(self) -> bool:
        """Whether there is a box into which a file would go."""
        return any(control.widget == "text" for control in self.controls)

    def with_problems(self, problems: Iterable[Problem], within: str = "/input") -> "InputForm":
        """Put problems that an action found beside their controls; `within` is where the input stood in the request."""
        found = tuple(replace(p, pointer=p.pointer.removeprefix(within)) for p in problems)
        return _form(self.schema, self.data, self.value, (*self.problems, *found), self.prefix)

    def without_problems(self) -> "InputForm":
        """The form as a draft: nothing is complained of before it is sent."""
        return _form(self.schema, self.data, self.value, (), self.prefix)


def blank_form(schema: Any, value: Mapping[str, Any] | None = None, prefix: str = PREFIX) -> InputForm:
    """Return a form that holds an input, or the schema's defaults. Names of controls begin with `prefix`."""
    root = as_schema(schema)
    start = value if value is not None else _defaults(root)
    data: dict[str, list[str]] = {}
    fill(root, start, data, prefix)
    return _form(root, data, dict(start), (), prefix)


def read_form(schema: Any, data: Data, prefix: str = PREFIX) -> InputForm:
    """Read what was sent. Blank optional parts are left out, blank required ones are problems."""
    root = as_schema(schema)
    value, problems = read_data(root, data, prefix)
    return _form(root, data, value, problems, prefix)


def read_data(schema: Schema, data: Data, prefix: str = PREFIX) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The input that form data comes to, and what is wrong with it, with nothing drawn."""
    problems: list[Problem] = []
    value = _read_object(schema, prefix, "", data, as_schema(schema.get("$defs")), problems)
    return value, tuple(problems)


def _form(schema: Schema, data: Data, value: dict[str, Any], problems: tuple[Problem, ...], prefix: str) -> InputForm:
    definitions = as_schema(schema.get("$defs"))
    drawn = draw(schema, prefix, "", data, definitions)
    known = {control.pointer for control in every(drawn)}
    beside: dict[str, list[str]] = {}
    for problem in problems:
        beside.setdefault(nearest(problem.pointer, known), []).append(problem.message)
    marked = tuple(mark(control, beside) for control in drawn) if beside else drawn
    return InputForm(schema, data, value, marked, problems, tuple(dict.fromkeys(beside.get("", []))), prefix)


def fill(schema: Schema, value: Mapping[str, Any], data: dict[str, list[str]], name: str = PREFIX) -> None:
    """Write an input into form data, so that drawing an old input and drawing what was just sent are the same."""
    _fill(schema, value, data, name, as_schema(schema.get("$defs")))


def _fill(schema: Schema, value: Mapping[str, Any], data: dict[str, list[str]], name: str, definitions: Schema) -> None:
    for key, part in properties(schema, definitions).items():
        if value.get(key) is not None:
            _fill_part(part, value[key], data, child(name, key), definitions)


def _fill_part(part: Schema, value: Any, data: dict[str, list[str]], name: str, definitions: Schema) -> None:
    match widget_of(part, definitions), value:
        case (("text" | "line" | "date"), str()):
            data[name] = [value]
        case "number", (int() | float()):
            data[name] = [str(value)]
        case (("segments" | "select"), _):
            data[name] = [json.dumps(value, ensure_ascii=False)]
        case "flag", bool():
            data[name] = ["true"] if value else []
        case "many", list():
            data[name] = [json.dumps(one, ensure_ascii=False) for one in value]
        case "lines", list():
            data[name] = [str(one) for one in value]
        case "group", Mapping():
            _fill(part, value, data, name, definitions)
        case "rows", list():
            data[name] = [str(index) for index, _row in enumerate(value)]
            for index, row in enumerate(value):
                _fill(follow(part.get("items"), definitions), row, data, child(name, index), definitions)
        case _:
            data[name] = [json.dumps(value, ensure_ascii=False, indent=2)]


def _defaults(schema: Schema) -> dict[str, Any]:
    declared = properties(schema, as_schema(schema.get("$defs")))
    return {key: part["default"] for key, part in declared.items() if "default" in part}


def _read_object(
    schema: Schema, name: str, pointer: str, data: Data, definitions: Schema, problems: list[Problem]
) -> dict[str, Any]:
    value: dict[str, Any] = {}
    required = schema.get("required", [])
    for key, part in properties(schema, definitions).items():
        found = _read_part(part, child(name, key), child(pointer, key), key in required, data, definitions, problems)
        if found is not ABSENT:
            value[key] = found
        elif key in required and nullable(part):
            value[key] = None
        elif key in required and not any(problem.pointer == child(pointer, key) for problem in problems):
            message = _("Choose one.") if "enum" in part else _("Fill this in.")
            problems.append(Problem(child(pointer, key), "required", message))
    return value


def _read_part(
    part: Schema, name: str, pointer: str, required: bool, data: Data, definitions: Schema, problems: list[Problem]
) -> Any:
    sent = list(data.get(name, ()))
    items = follow(part.get("items"), definitions)
    match widget_of(part, definitions):
        case "flag":
            return sent[-1:] == ["true"]
        case "many":
            return _chosen(items["enum"], sent) or ([] if required else ABSENT)
        case "lines":
            return [text for text in sent if text.strip()] or ([] if required else ABSENT)
        case "group":
            inner: list[Problem] = []
            value = _read_object(part, name, pointer, data, definitions, inner)
            if not required and not _says_something(value):
                return ABSENT
            problems += inner
            return value
        case "rows":
            tokens = row_tokens(name, data)
            return [
                _read_object(items, child(name, token), child(pointer, index), data, definitions, problems)
                for index, token in enumerate(tokens)
            ] or ([] if required else ABSENT)
    return _read_text(part, sent[-1] if sent else "", pointer, problems, definitions)


def _read_text(part: Schema, text: str, pointer: str, problems: list[Problem], definitions: Schema) -> Any:
    if not text.strip():
        return ABSENT
    match widget_of(part, definitions):
        case "text" | "line" | "date":
            return text.replace("\r\n", "\n")  # browsers send CRLF (HTML 4.10.21.7); people type one line end
        case "segments" | "select":
            return next(iter(_chosen(part["enum"], [text])), ABSENT)
        case "number":
            return _read_number(text, kind(part), pointer, problems)
    try:
        return json.loads(text)
    except ValueError as error:
        problems.append(Problem(pointer, "json", _("This is not JSON: %(reason)s.") % {"reason": error}))
        return ABSENT


def _read_number(text: str, wanted: str, pointer: str, problems: list[Problem]) -> Any:
    for number_type in (int, float):
        try:
            number = number_type(text)
        except ValueError:
            continue
        if math.isfinite(number) and (wanted == "number" or isinstance(number, int)):
            return number
    message = _("Write a whole number.") if wanted == "integer" else _("Write a number.")
    problems.append(Problem(pointer, "type", message))
    return ABSENT


def _chosen(values: Sequence[Any], sent: Sequence[str]) -> list[Any]:
    return [value for value in values if json.dumps(value, ensure_ascii=False) in sent]


def _says_something(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_says_something(part) for part in value.values())
    return value not in (None, False, "", [])
