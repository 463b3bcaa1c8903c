"""What may be wished for, and what a wish came to: the fields a layer may change, and proposed operations judged.

The text comes from a model that has read what somebody wrote, so it is trusted with nothing: every operation is judged
on its own by the rules of an ordinary save, on the fields that the layer may change at that moment, and what breaks a
rule is told with the reason and left out. Nothing here writes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from features.actions.judging import Content, Layer, check_content, layers_with, suspended_of
from features.actions.overrides import content_of, own_snapshot, revision_under
from features.engine import (
    ABSENT,
    Json,
    Operation,
    Revision,
    document_of,
    dumps,
    inherited,
    is_text,
    loads,
    parse_override,
    resolve,
    same,
)
from features.explain import editable, hidden_among, rule_for
from features.reading import Reading
from features.served import Served
from tenants.errors import AppError, Invalid, Malformed, Problem

MOST_FIELDS = 60
MOST_SHOWN = 2_000  # characters of a value; of a longer one only the beginning is told, and it can only be appended to


@dataclass(frozen=True, slots=True)
class Proposed:
    """One operation as it was proposed, and as it would be saved.

    `id` is its place, from 1. `before` and `after` are the field's values now and with it (None: the field is not
    there). `problems` say why it cannot be; such a one has no `after`, and of a field that is not the layer's to
    change no `before` either.
    """

    id: str
    field: str
    kind: str
    value: Json
    before: Json = None
    after: Json = None
    problems: tuple[Problem, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.problems


def wishable(served: Served, layer: Layer) -> dict[str, Json]:
    """The fields in force that a layer may change by words, with their values: texts and scalars, never hidden ones.

    Within the tenant's transaction. Schemas, examples, checks and the prompt, which joins what is given to all else,
    are edited as what they are, not by words.
    """
    fields = served.effective.fields
    hidden = hidden_among(fields, served, layer)
    return {
        field: value
        for field, value in fields.items()
        if field not in hidden
        and field != "prompt"
        and not isinstance(value, dict | list)
        and editable(rule_for(field, served, layer), layer)
    }


def told(served: Served, layer: Layer) -> list[Json]:
    """The wishable fields as the feature `customize` takes them: {"field", "value"}, and "choices" and "cut".

    First the wording, which fulfils most wishes by itself, then the instructions.
    """
    found: list[Json] = []
    may = wishable(served, layer)
    for field in sorted(may, key=lambda name: not name.startswith("vars."))[:MOST_FIELDS]:
        value = may[field]
        text, choices = as_text(value), rule_for(field, served, layer).choices
        one: dict[str, Json] = {"field": field, "value": text[:MOST_SHOWN]}
        if choices is not None:
            one["choices"] = [as_text(choice)[:500] for choice in choices]
        if len(text) > MOST_SHOWN:
            one["cut"] = True
        found.append(one)
    return found


def content_now(served: Served, found: Reading) -> Content:
    """What the layer says now: under one's own snapshot the pinned revision, which is what a save would change."""
    return content_of(revision_under(own_snapshot(served), found))


def judged(proposed: Iterable[Mapping[str, Any]], served: Served, layer: Layer, was: Content) -> list[Proposed]:
    """Judge operations ({"field", "kind", "value"}) in turn, each together with the good ones before it."""
    may, content, found = wishable(served, layer), was, list[Proposed]()
    for place, one in enumerate(proposed, 1):
        field, kind, text = str(one["field"]), str(one["kind"]), str(one["value"])
        proposed_as = partial(Proposed, str(place), field, kind)
        if field not in may:
            no = Problem("", "field", f"{field[:80]} is not a field that can be changed here")
            found.append(proposed_as(text, problems=(no,)))
            continue
        before, value = may[field], _read(text, may[field], kind)
        if any(item.field == field and item.allowed for item in found):
            no = Problem("", "duplicate", f"{field} has another change already")
            found.append(proposed_as(value, before, problems=(no,)))
            continue
        try:
            content, after = _with(content, field, kind, value, before, was, served, layer)
            found.append(proposed_as(value, before, after))
        except (Invalid, Malformed) as wrong:
            problems = tuple(wrong.errors) or (Problem("", "invalid", wrong.detail),)
            found.append(proposed_as(value, before, problems=problems))
    return found


def document_with(chosen: Iterable[Proposed], served: Served, layer: Layer, was: Content) -> dict[str, Json]:
    """The whole override that saves these operations on top of what the layer says now."""
    content = was
    for one in chosen:
        if one.allowed:
            content = _edited(content, one.field, one.kind, one.value, served, layer)
    return document_of(*content)


def as_text(value: Json) -> str:
    """A value as the model reads and writes it: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def _read(text: str, before: Json, kind: str) -> Json:
    """What a model wrote as a value of the sort that is there: "0.4" is a number where there is a number."""
    if kind == "remove":
        return None
    if kind == "append" or isinstance(before, str):
        return text
    try:
        return loads(text)
    except AppError:
        return text


def _with(
    content: Content, field: str, kind: str, value: Json, before: Json, was: Content, served: Served, layer: Layer
) -> tuple[Content, Json]:
    """The content with one more operation, and the field's value then. Raises Invalid for what breaks a rule."""
    if kind == "set" and len(as_text(before)) > MOST_SHOWN:
        cut = (
            "is too long to be rewritten from here: only its beginning was read. It can be added to, or edited by hand"
        )
        raise Invalid(errors=[Problem("", "cut", f"{field} {cut}")])
    edited = _edited(content, field, kind, value, served, layer)
    check_content(edited, was, served, layer)
    after = _value_of(edited, field, served, layer)
    if after is not ABSENT and same(after, before):
        raise Invalid(errors=[Problem("", "same", f"{field} says so already")])
    asleep = [item for item in suspended_of(Revision(0, *edited), served, layer) if item.operation.field == field]
    if asleep:
        raise Invalid(errors=[Problem("", asleep[0].reason, f"{field} would not be in force")])
    return edited, None if after is ABSENT else cast(Json, after)


def _edited(content: Content, field: str, kind: str, value: Json, served: Served, layer: Layer) -> Content:
    """Put an operation into the layer's own ones.

    It changes what is in force, so an own text is added to, where an ordinary append would take the own one's place;
    and what only this layer has goes by taking its own operation out. Raises Invalid for a value of the wrong shape.
    """
    own = next((one for one in content[0] if one.field == field), None)
    below = inherited(field, served.base, served.tenant if layer == "user" else None, layer)
    operation: Operation | None
    if kind == "append" and own is not None and own.kind in ("set", "append") and is_text(field):
        operation = Operation(field, own.kind, f"{own.value}\n\n{value}")
    elif kind == "remove" and below is ABSENT and own is not None:
        operation = None
    else:
        part = {"remove": [field]} if kind == "remove" else {kind: {field: value}}
        operation = parse_override(part)[0][0]
    operations = [one for one in content[0] if one.field != field]
    place = next((at for at, one in enumerate(content[0]) if one.field == field), len(operations))
    return (*operations[:place], *([operation] if operation else []), *operations[place:]), content[1]


def _value_of(content: Content, field: str, served: Served, layer: Layer) -> Any:
    alone = resolve(served.base, *layers_with(layer, served, Revision(0, *content)))
    return alone.fields.get(field, ABSENT)
