"""The box that a field is edited in: which widget suits it, what it holds, and what was typed read back as a value."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from features.engine import ABSENT, Operation, Rule, is_text, loads
from tenants.errors import AppError, Invalid, Problem

from .parts import Choice, EditBox
from .words import field_title, plain

LONG = 80  # characters; a longer variable gets a box that grows
Widget = Any


def box_of(field: str, rule: Rule, own: Operation | None, below: Any) -> EditBox:
    """An untouched box: it holds one's own change, or what would be inherited, ready to be changed."""
    start = own.value if own and own.kind == "set" else None if below is ABSENT else below
    widget = widget_of(field, rule, start)
    as_set, as_append = as_text(start, widget), plain(own.value) if own and own.kind == "append" else ""
    mode = "append" if own and own.kind == "append" else "set"
    options = [Choice(as_text(choice, "choice"), plain(choice), choice == start) for choice in rule.choices or ()]
    return EditBox(
        widget=widget,
        text=as_append if mode == "append" else as_set,
        as_set=as_set,
        as_append=as_append,
        mode="append" if mode == "append" else "set",
        options=options,
        max_chars=rule.max_chars,
        min=rule.min,
        max=rule.max,
    )


def widget_of(field: str, rule: Rule, value: Any) -> Widget:
    """Which widget suits a field: the rule's choices first, then what the value is."""
    if rule.choices is not None:
        return "choice"
    match value:
        case _ if is_text(field):
            return "text"
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case None:
            return "line"
        case str():
            return "text" if len(value) > LONG or "\n" in value else "line"
    return "json"


def as_text(value: Any, widget: Widget) -> str:
    """What a widget holds for a value. Choices are JSON text, so that 1 and "1" stay two."""
    if widget == "choice":
        return json.dumps(value, ensure_ascii=False)
    if widget == "flag":
        return "true" if value else "false"
    if widget == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    return "" if value is None else str(value)


def read_box(text: str, widget: str) -> Any:
    """Read what was typed as a field's value. Raises Invalid where it is not what the widget holds."""
    match widget:
        case "flag":
            return text == "true"
        case "number":
            return _number(text)
        case "json" | "choice":
            try:
                return loads(text)
            except AppError as error:
                told = _("This is not JSON: %(why)s") if widget == "json" else _("Choose one of these.")
                raise Invalid(errors=[Problem("", "json", told % {"why": error.detail})]) from None
    return text.replace("\r\n", "\n")  # browsers send CRLF (HTML 4.10.21.7); people type one line end


def problem_words(problems: Sequence[Problem], field: str, titles: Mapping[str, Any]) -> list[str]:
    """The engine's words on a field for the people who edit it: its title instead of its name, a sentence each."""
    found = []
    for problem in problems:
        words = problem.message.removeprefix(field).strip()
        words = words[:1].upper() + words[1:]
        place = problem.pointer.rpartition("/")[2]
        other = place if "." in place and place != field else ""
        found.append(f"{field_title(other, titles)}: {words}" if other else words)
    return [words if words.endswith((".", "!", "?")) else f"{words}." for words in dict.fromkeys(found)]


def _number(text: str) -> int | float:
    for kind in (int, float):
        try:
            number = kind(text.strip().replace(",", "."))
        except ValueError:
            continue
        if number == number and abs(number) != float("inf"):
            return number
    raise Invalid(errors=[Problem("", "type", _("Write a number."))])
