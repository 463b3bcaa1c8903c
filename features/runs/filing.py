"""Run a feature over the rows of a file, a bounded number at a time, so that stopping and starting again costs nothing.

Each row is accepted under an idempotency key made of the row: a rerun finds the runs that an interrupted one had
accepted, instead of paying for them again.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import sleep
from typing import Any
from uuid import UUID

from features.engine import Json, dumps
from features.models import Feature
from features.resolve import serve_warm
from tenants.actor import Actor
from tenants.errors import AppError, Conflict, Invalid

from .accept import accept
from .bells import ring
from .models import FINAL, Run, State
from .rows import Row

LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a row: succeeded with an output, failed with its run's error, or refused before it was one."""

    row: Row
    state: str
    output: Json = None
    error: str = ""
    run: UUID | None = None


def field_for_text(feature: Feature, by: Actor) -> str:
    """Which input a bare text goes to: the only required text, else the first text. Raises Invalid if there is none."""
    with by.present():
        schema: Any = serve_warm(feature, by.tenant_id, by.acting_for()).compiled.fields["input"]
    properties = schema.get("properties", {})
    texts: list[str] = [
        name for name, about in properties.items() if about.get("type") == "string" and "enum" not in about
    ]
    required = [name for name in texts if name in schema.get("required", [])]
    if not texts:
        raise Invalid(f"{feature.key} takes no text: give JSON lines with whole inputs.")
    return required[0] if len(required) == 1 else texts[0]


def run_rows(feature: Feature, rows: Iterable[Row], field: str, *, window: int, by: Actor) -> Iterator[Done]:
    """Yield what becomes of each row, as it ends; at most `window` rows are in flight."""
    flying: dict[UUID, Row] = {}
    for row in rows:
        if row.problem:
            yield Done(row, "refused", error=row.problem)
            continue
        question: Json = row.value if isinstance(row.value, dict) else {field: row.value}
        try:
            flying[_accept(feature, row, question, by)] = row
        except AppError as refused:
            yield Done(row, "refused", error=_words(refused))
        while len(flying) >= window:
            yield from _landed(flying, by)
    while flying:
        yield from _landed(flying, by)


def _accept(feature: Feature, row: Row, question: Json, by: Actor) -> UUID:
    """Take a row in; where an earlier try of the same row has failed, as a new run under the next key."""
    digest = hashlib.sha256(f"{feature.id}:{row.number}:{dumps(question)}".encode()).hexdigest()[:40]
    for attempt in range(100):
        accepted = accept(feature, question, idempotency_key=f"file-{digest}-{attempt}", by=by)
        if not accepted.replayed:
            ring()
            return accepted.run_id
        with by.present():
            state = Run.objects.values_list("state", flat=True).get(pk=accepted.run_id)
        if state not in (State.FAILED, State.CANCELLED):
            return accepted.run_id
    raise Conflict("This row has failed a hundred times.")


def _landed(flying: dict[UUID, Row], by: Actor) -> list[Done]:
    with by.present():
        ended = list(Run.objects.filter(pk__in=list(flying), state__in=FINAL))
    if not ended:
        sleep(LOOK_SECONDS)
    return [_done(run, flying.pop(run.pk)) for run in ended]


def _done(run: Run, row: Row) -> Done:
    error = "" if run.error is None else f"{run.error['type']}: {run.error['title']}"
    return Done(row, run.state, run.output, error, run.pk)


def _words(refused: AppError) -> str:
    told = [f"{problem.pointer.removeprefix('/input/') or 'it'} {problem.message}" for problem in refused.errors[:3]]
    return "; ".join(told) or refused.detail
