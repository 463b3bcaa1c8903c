"""A template as people read it: what each run fills in stands as a word, the rest as it is written.

`Write in a {{ vars.tone }} tone` → "Write in a ", a slot "Tone", " tone". Only to be looked at: what is edited and sent
is the template.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from features.engine import is_text

from .schema_words import as_schema, label, properties
from .words import field_title, sentence

MARK = re.compile(r"(\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\})", re.DOTALL)  # none that begins anew within
PATH = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of a template. `source` is what stands there where it is not the text itself."""

    text: str
    source: str = ""


def slots(text: str, titles: Mapping[str, Any], contract: Any) -> Sequence[Slot]:
    """Cut a text at what is filled in. `titles` name the fields, `contract` (the input's schema) what is given."""
    if "{" not in text:
        return (Slot(text),)

    def named(path: str) -> str:
        return _named(path, titles, contract)

    parts = (part for part in MARK.split(text) if part)
    return tuple(Slot(_mark(part, named), part) if MARK.fullmatch(part) else Slot(part) for part in parts)


def as_field(field: str, text: str, titles: Mapping[str, Any], contract: Any) -> Sequence[Slot]:
    """A field's text to be read; only templates are cut."""
    return slots(text, titles, contract) if is_text(field) else (Slot(text),)


def shortened(found: Sequence[Slot], most: int) -> Sequence[Slot]:
    """The first `most` characters of a text, in whole slots."""
    kept, left = list[Slot](), most
    for slot in found:
        if len(slot.text) > left:
            return (*kept, Slot("…") if slot.source else Slot(slot.text[:left].rstrip() + "…"))
        kept.append(slot)
        left -= len(slot.text)
    return tuple(kept)


def _mark(mark: str, named: Callable[[str], str]) -> str:
    inside = mark[2:-2].strip(" -\n")
    if mark.startswith("{{"):
        return named(inside.partition("|")[0].strip())
    tag, _space, rest = inside.partition(" ")
    match tag:
        case "if" | "elsif":
            return _("if there is: %(what)s") % {"what": named(rest)} if PATH.fullmatch(rest.strip()) else _("if …")
        case "unless":
            return _("unless there is: %(what)s") % {"what": named(rest)} if PATH.fullmatch(rest.strip()) else _("if …")
        case "else":
            return _("else")
        case "for":
            return _("for each of: %(what)s") % {"what": named(rest.partition(" in ")[2])}
    return _("end") if tag.startswith("end") else tag


def _named(path: str, titles: Mapping[str, Any], contract: Any) -> str:
    path = path.strip()
    if path.startswith("vars."):
        return field_title(path, titles)
    if path.startswith("input."):
        name, schema = path.removeprefix("input.").partition(".")[0], as_schema(contract)
        return label(name, properties(schema, as_schema(schema.get("$defs"))).get(name, {}))
    words = {"tenant.name": _("Organisation"), "user.key": _("User"), "now": _("Time"), "input": _("Input")}
    return words.get(path) or sentence(path.rpartition(".")[2])
