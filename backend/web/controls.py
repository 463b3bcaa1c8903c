"""What to draw for an input schema: a control for each part, with what stands in it and what is wrong with it.

A control is named `in` plus the JSON pointer of its part. A list of objects sends its own name once per row, and the
text sent is the row's token: `in/orders` = `n1`, `in/orders/n1/number` = `A-17`.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from django.utils.translation import gettext as _

from .schema_words import Schema, as_schema, child, follow, kind, label, properties

Data = Mapping[str, Sequence[str]]
Widget = Literal[
    "text", "line", "date", "segments", "select", "many", "flag", "number", "lines", "group", "rows", "json"
]
PREFIX = "in"
LONG = 200  # characters; a text that may be longer gets a text area
DATE = re.compile(r"(\d{4}-\d{2}-\d{2})?")  # RFC 3339 full-date, which is what a date box holds
SEGMENTS = 4  # choices; more than these become a list


@dataclass(frozen=True, slots=True)
class Option:
    """One of the values that an enum allows, as JSON text."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Control:
    """One part of the input as it is drawn, with what stands in it and what is wrong with it."""

    name: str
    pointer: str
    label: str
    widget: Widget
    help: str = ""
    required: bool = False
    text: str = ""
    options: tuple[Option, ...] = ()
    lines: tuple[str, ...] = ()
    parts: tuple["Control", ...] = ()
    rows: tuple["Control", ...] = ()
    blank_row: "Control | None" = None
    schema: Schema = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.name.replace("/", "-").replace("~", "-")

    @property
    def wide(self) -> bool:
        """Whether the control takes the whole width of the form."""
        return self.widget in ("text", "lines", "group", "rows", "json", "many") and not self.schema.get("beside")

    @property
    def checked(self) -> bool:
        return self.text == "true"

    @property
    def told(self) -> str:
        """What is said in a group, in a line: its texts, what was chosen, numbers with what they bound."""
        said = []
        for part in self.parts:
            chosen = next((option.label for option in part.options if option.chosen), "")
            text = chosen or ", ".join(filter(None, part.lines)) or ("" if part.options else part.text)
            said += [f"{part.label} {text}" if part.schema.get("decimal") else text] if text else []
        return " · ".join(said)

    @property
    def wrong(self) -> bool:
        """Whether anything in it is complained of."""
        return bool(self.problems) or any(part.wrong for part in (*self.parts, *self.rows))

    @property
    def most(self) -> int | None:
        return self.schema.get("maxItems")

    @property
    def bounds(self) -> str:
        """What a number must be, in words; nothing where the contract leaves it open."""
        least, most = self.schema.get("minimum"), self.schema.get("maximum")
        if self.widget != "number" or (least is None and most is None):
            return ""
        if least is None:
            return _("At most %(b)s.") % {"b": most}
        return (_("At least %(a)s.") if most is None else _("From %(a)s to %(b)s.")) % {"a": least, "b": most}

    @property
    def singular(self) -> str:
        """What one more is called on the button that adds it."""
        return label("", as_schema(self.schema.get("items"))).lower()


def widget_of(schema: Schema, definitions: Schema) -> Widget:
    """Which control suits a part; whatever has none of its own is written as JSON."""
    if "enum" in schema:
        short = (
            "labels" not in schema
            and len(schema["enum"]) <= SEGMENTS
            and all(len(str(one)) <= 14 for one in schema["enum"])
        )
        return "segments" if short else "select"
    match kind(schema):
        case "string" if schema.get("format") == "date":
            return "date"
        case "string":
            return "text" if schema.get("maxLength", math.inf) > LONG else "line"
        case "boolean":
            return "flag"
        case "integer" | "number":
            return "number"
        case "object" if schema.get("properties"):
            return "group"
        case "array":
            return _list_widget(follow(schema.get("items"), definitions))
    return "json"


def _list_widget(items: Schema) -> Widget:
    if "enum" in items:
        return "many"
    if kind(items) == "string":
        return "lines"
    return "rows" if kind(items) == "object" and items.get("properties") else "json"


def draw(schema: Schema, name: str, pointer: str, data: Data, definitions: Schema) -> tuple[Control, ...]:
    required = schema.get("required", [])
    return tuple(
        _control(child(name, key), child(pointer, key), label(key, part), part, key in required, data, definitions)
        for key, part in properties(schema, definitions).items()
    )


def _control(
    name: str, pointer: str, title: str, part: Schema, required: bool, data: Data, definitions: Schema
) -> Control:
    sent = data.get(name, ())
    widget = widget_of(part, definitions)
    items = follow(part.get("items"), definitions)
    if widget == "date" and sent and not DATE.fullmatch(sent[-1]):
        widget = "line"  # a browser's date box would show nothing of it
    control = Control(
        name, pointer, title, widget,
        help=str(part.get("description", "")), required=required, text=sent[-1] if sent else "", schema=part,
    )  # fmt: skip
    match widget:
        case "segments" | "select":
            return replace(control, options=_options(part, sent))
        case "many":
            return replace(control, options=_options(items, sent))
        case "lines":
            return replace(control, lines=tuple(text for text in sent if text.strip()) or ("",))
        case "group":
            return replace(control, parts=draw(part, name, pointer, data, definitions))
        case "rows":
            rows = tuple(
                _row(name, pointer, index, token, items, data, definitions)
                for index, token in enumerate(row_tokens(name, data))
            )
            return replace(control, rows=rows, blank_row=_row(name, pointer, 0, "new", items, {}, definitions))
    return control


def row_tokens(name: str, data: Data) -> list[str]:
    """The rows of a list that hold something; one that was added and left blank is no row."""
    return [
        token
        for token in dict.fromkeys(data.get(name, ()))
        if any(text.strip() for key, texts in data.items() if key.startswith(f"{name}/{token}/") for text in texts)
    ]


def _row(name: str, pointer: str, index: int, token: str, items: Schema, data: Data, definitions: Schema) -> Control:
    parts = draw(items, child(name, token), child(pointer, index), data, definitions)
    return Control(name, child(pointer, index), "", "group", text=token, parts=parts, schema=items)


def _options(part: Schema, sent: Sequence[str]) -> tuple[Option, ...]:
    """The values of an enum, called as the schema's `labels` say where a form of our own has them."""
    labels = as_schema(part.get("labels"))
    texts = [(json.dumps(value, ensure_ascii=False), value) for value in part["enum"]]
    named = (
        (text, "–" if value is None else str(labels.get(value, value) if labels else value)) for text, value in texts
    )
    return tuple(Option(text, name, text in sent) for text, name in named)


def every(controls: Iterable[Control]) -> Iterator[Control]:
    """Controls, and those within them."""
    for control in controls:
        yield control
        yield from every((*control.parts, *control.rows))


def nearest(pointer: str, known: set[str]) -> str:
    while pointer and pointer not in known:
        pointer = pointer.rpartition("/")[0]
    return pointer


def mark(control: Control, beside: Mapping[str, Sequence[str]]) -> Control:
    return replace(
        control,
        problems=tuple(dict.fromkeys(beside.get(control.pointer, ()))),
        parts=tuple(mark(part, beside) for part in control.parts),
        rows=tuple(mark(row, beside) for row in control.rows),
    )
