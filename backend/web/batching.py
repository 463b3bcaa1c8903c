"""Batches as pages show them: in lists, one as it goes, its items with what became of each, a file before it is one."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from backend.api.runs import one_by_one
from backend.listening import listening
from features.engine import Json
from features.runs.items import Form
from features.runs.looking import Looked
from features.runs.models import Batch, State
from features.runs.progress import REFUSED, Progress, estimate, read_results, state_of
from features.runs.receipts import output_contract
from features.runs.sheets import KEY, columns_of
from tenants.actor import Actor
from tenants.errors import AppError, Problem

from .bars import Part, laid_out
from .drawing import ADVICE, money
from .parts import BatchLine, BatchView, Column, ItemLine, LookedOver, StateLine
from .rendering import summary_line
from .schema_words import as_schema, label, properties
from .tables import csv_lines
from .telling import author_words

WORDS = {
    State.SUCCEEDED: gettext_lazy("Answered"),
    State.FAILED: gettext_lazy("Failed"),
    REFUSED: gettext_lazy("Not taken in"),
    State.CANCELLED: gettext_lazy("Cancelled"),
    State.RUNNING: gettext_lazy("Running"),
    State.QUEUED: gettext_lazy("Waiting"),
}
"""The states of items in the order in which pages have them: what has ended, then what has not."""
HOLDS = {
    "boolean": gettext_lazy("true or false"),
    "integer": gettext_lazy("a whole number"),
    "number": gettext_lazy("a number, such as 12.5"),
    "array": gettext_lazy("a list, as JSON"),
    "object": gettext_lazy("an object, as JSON"),
}
MINUTE, HOUR = 60, 3600


def counts_of(batch: Batch, now: Progress) -> dict[str, int]:
    """How many items are in each state."""
    return {
        State.SUCCEEDED: now.succeeded, State.FAILED: now.failed, REFUSED: batch.refused,
        State.CANCELLED: now.cancelled, State.RUNNING: now.running, State.QUEUED: now.queued,
    }  # fmt: skip


def line_of_batch(batch: Batch, now: Progress, names: Mapping[str, str], actor: Actor) -> BatchLine:
    """A batch in a list."""
    return BatchLine(
        id=str(batch.pk), feature_title=batch.feature.title, state=state_of(batch, now), items=batch.items,
        done=batch.items - now.left, failed=now.failed + batch.refused, parts=_parts(batch, now), cost=money(now.cost),
        created=batch.created_at, by=author_words(batch.author, names, actor),
    )  # fmt: skip


def view_of_batch(batch: Batch, now: Progress, names: Mapping[str, str], actor: Actor) -> BatchView:
    """A batch in full, within the actor's transaction."""
    receipt = batch.receipt
    return BatchView(
        id=str(batch.pk), feature=batch.feature.key, feature_title=batch.feature.title, state=state_of(batch, now),
        items=batch.items, done=batch.items - now.left, created=batch.created_at,
        by=author_words(batch.author, names, actor), parts=_parts(batch, now),
        states=[StateLine(key, str(WORDS[key]), n) for key, n in counts_of(batch, now).items() if n],
        cost=money(now.cost), left=_left(batch, now), waiting=now.queued, running=now.running, base=receipt["base"],
        tenant=receipt["tenant"], user=receipt["user"], digest=receipt["digest"],
        mine=batch.subject_id == actor.acting_for().id, stored=batch.store, cached=now.cached,
        finished=None if now.left else now.last or batch.created_at,
        may_cancel=now.left > 0 and batch.cancel_requested_at is None and "run.cancel" in actor.can,
    )  # fmt: skip


def item_lines(results: Sequence[Mapping[str, Any]], contract: Json) -> list[ItemLine]:
    """Items of a batch as its page lists them; `contract` is the input schema, for what fields are called."""
    titles = _titles(contract)
    return [_item_line(row, titles) for row in results]


def looked_over(name: str, looked: Looked, contract: Json) -> LookedOver:
    """A file that was looked over. Items stand where they do in the file: on a line, or in their place of a list."""
    titles = _titles(contract)
    first = [
        ItemLine(
            where=_("Line %(n)d") % {"n": item.line} if item.line else _("Item %(n)d") % {"n": item.place + 1},
            key=item.key, state=REFUSED, told="" if wrong.errors else wrong.detail,
            problems=problem_lines(wrong.errors, titles),
        )
        for item, wrong in looked.first
    ]  # fmt: skip
    return LookedOver(
        name=name, items=looked.items, good=looked.good, refused=looked.refused, first=first,
        about=money((looked.usual or 0) * looked.good), longest=money((looked.longest or 0) * looked.good),
        digest=looked.digest, once=uuid4().hex,
    )  # fmt: skip


def refusal_lines(error: AppError, contract: Json) -> list[str]:
    """What is wrong with a file as a whole, beside what the error says itself."""
    return problem_lines(error.errors, _titles(contract))


def columns(contract: Json) -> list[Column]:
    """The columns of a sheet for an input schema, in its order."""
    needed = set(as_schema(contract).get("required", ()))
    own = as_schema(as_schema(contract).get("properties"))
    return [
        Column(name, _holds(schema) if name in own else _("your own name for the item, if you like"), name in needed)
        for name, schema in columns_of(contract).items()
    ]


def example_line(contract: Json, samples: Sequence[Json]) -> str:
    """An item as a line of NDJSON has it: of the first sample, or where there is none, of what every item needs."""
    needed = as_schema(contract).get("required", ())
    sample = samples[0] if samples else {str(name): "…" for name in needed}
    return json.dumps({"input": sample, KEY: "1"}, ensure_ascii=False)


def sheet_of(contract: Json, samples: Sequence[Json]) -> Iterator[str]:
    """A sheet to fill in: the columns, and a row for each sample. Raises nothing."""
    names = list(columns_of(contract))
    rows = ([str(place) if name == KEY and KEY not in as_schema(sample) else _cell(as_schema(sample).get(name))
             for name in names] for place, sample in enumerate(samples, 1))  # fmt: skip
    return csv_lines(names, rows)


def form_of(head: bytes) -> Form:
    """How a file is to be read, by how it begins: as a JSON list, as NDJSON, and all else as a CSV sheet."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return "list" if first == b"[" else "lines" if first == b"{" else "sheet"


def output_names(batch: Batch, actor: Actor) -> list[str]:
    """The parts that a batch's outputs have by their schema."""
    return list(properties(as_schema(output_contract(batch, actor)), {}))


async def results_as_csv(
    batch: Batch, names: Sequence[str], actor: Actor, request: HttpRequest
) -> AsyncIterator[bytes]:
    """A batch's results as a sheet, some rows at a time: a column for each named part, and why there is no output.

    What no column holds, as after a version was withdrawn meanwhile, stands in `other` as JSON.
    """
    outputs = [f"output.{name}" for name in names]
    head = ["item", "key", "state", *outputs, "other", "problem", "cached", "cost_micro", "run"]
    yield "".join(csv_lines(head, ())).encode()
    with listening(actor, request) as listener:
        async for some in listener.hear(one_by_one(read_results(batch, actor))):
            yield "".join(csv_lines((), (_row(result, names) for result in some))).encode()


def _row(result: Mapping[str, Any], names: Sequence[str]) -> list[object]:
    output = result["output"]
    parts = output if isinstance(output, Mapping) else {}
    other = {name: part for name, part in parts.items() if name not in names} if parts else output
    error = result["error"] or {}
    problem = "; ".join(filter(None, [error.get("detail") or error.get("title"), *_told(error)]))
    return [
        result["place"] + 1, result["key"], result["state"], *(_cell(parts.get(name)) for name in names),
        _cell(other or None), problem, result["cached"], result["cost"], result["run"] or "",
    ]  # fmt: skip


def _cell(value: Json) -> object:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return value
    return json.dumps(value, ensure_ascii=False)


def _parts(batch: Batch, now: Progress) -> list[Part]:
    return laid_out(Part(str(key), str(WORDS[key]), n) for key, n in counts_of(batch, now).items())


def _left(batch: Batch, now: Progress) -> str:
    """ "About 2 min and 1.30 EUR are left"."""
    if not now.left:
        return ""
    left = estimate(batch, now)
    words = [
        _duration(left.seconds_left) if left.seconds_left is not None else "",
        money(left.cost_left) if left.cost_left is not None else "",
    ]
    told = _(" and ").join(filter(None, words))
    return _("about %(what)s left") % {"what": told} if told else ""


def _duration(seconds: int) -> str:
    if seconds < MINUTE:
        return _("%(n)d s") % {"n": max(seconds, 1)}
    if seconds < HOUR:
        return _("%(n)d min") % {"n": round(seconds / MINUTE)}
    return _("%(n)d h %(m)d min") % {"n": seconds // HOUR, "m": seconds % HOUR // MINUTE}


def _item_line(row: Mapping[str, Any], titles: Mapping[str, str]) -> ItemLine:
    error = row["error"] or {}
    problems = [Problem(p["pointer"], p["rule"], p["message"]) for p in error.get("problems", ())]
    told = summary_line(row["output"], 120) if row["state"] == State.SUCCEEDED else ""
    if row["state"] == REFUSED:
        told = "" if problems else str(error.get("detail", ""))
    elif row["state"] == State.FAILED:
        told = " ".join(
            filter(None, [f"{str(error.get('title', '')).rstrip('.')}.", str(ADVICE.get(error.get("type", ""), ""))])
        )
    return ItemLine(
        where=str(row["place"] + 1), key=row["key"], state=row["state"], told=told,
        problems=problem_lines(problems, titles) if row["state"] == REFUSED else (), run=str(row["run"] or ""),
    )  # fmt: skip


def problem_lines(problems: Sequence[Problem], titles: Mapping[str, str]) -> list[str]:
    """Problems of an item, each after what its field is called."""
    lines = []
    for problem in problems:
        name, _slash, rest = problem.pointer.removeprefix("/input").lstrip("/").partition("/")
        called = titles.get(name, name.replace("~1", "/").replace("~0", "~"))
        where = f"{called}/{rest}" if rest else called
        lines.append(f"{where}: {problem.message}" if where else problem.message)
    return lines


def _told(error: Mapping[str, Any]) -> list[str]:
    return problem_lines([Problem(p["pointer"], p["rule"], p["message"]) for p in error.get("problems", ())], {})


def _titles(contract: Json) -> dict[str, str]:
    """The names of an input's fields and what people call them."""
    root = as_schema(contract)
    return {name: label(name, part) for name, part in properties(root, as_schema(root.get("$defs"))).items()}


def _holds(schema: Mapping[str, Any]) -> str:
    if isinstance(schema.get("enum"), list):
        return _("one of: %(values)s") % {"values": ", ".join(map(str, schema["enum"]))}
    given = schema.get("type")
    types = {given} if isinstance(given, str) else set(given or ()) - {"null"}
    word = HOLDS.get(types.pop()) if len(types) == 1 else None
    most = schema.get("maxLength")
    if word is None and isinstance(most, int):
        return ngettext("text, at most %(n)d character", "text, at most %(n)d characters", most) % {"n": most}
    return str(word or _("text"))
