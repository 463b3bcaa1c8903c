"""Looking for one's own runs, or another's: by feature, state, rating, time, and by words of inputs and outputs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import BooleanField, F, Func, JSONField, Q, QuerySet, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from features.engine import dumps
from features.models import Feature
from tenants.actor import Actor
from tenants.ids import floor_of
from tenants.subjects import Who

from .listing import runs_listed
from .models import Run

LOOKED_THROUGH = 2_000  # of one's newest runs, when words are looked for: nothing indexes what people wrote
LONGEST = 200  # characters that are looked for

Rating = Literal["good", "bad", "corrected", "none"]
RATINGS: tuple[Rating, ...] = ("good", "bad", "corrected", "none")


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for; what is empty does not narrow. `since` is inclusive, `until` exclusive.

    `who`: another's runs instead of one's own.
    """

    feature: Feature | None = None
    state: str = ""
    rating: Rating | Literal[""] = ""
    words: str = ""
    since: datetime | None = None
    until: datetime | None = None
    who: Who | None = None


def sought_runs(
    actor: Actor, sought: Sought, *, before: UUID | None = None, most: int, among: QuerySet[Run] | None = None
) -> list[Run]:
    """The newest runs that are as sought, before a given one if told; or those `among` others. Without outputs.

    Words are looked for in the texts of inputs and outputs, whatever their case, among the LOOKED_THROUGH newest runs
    that are otherwise as sought. Within the actor's transaction. Raises Forbidden, as `runs_listed`.
    """
    every = runs_listed(actor, sought.who) if among is None else among
    rows = _narrowed(every, sought)
    if before is not None:
        rows = rows.filter(id__lt=before)
    if sought.words.strip():
        newest = _narrowed(every, sought).order_by("-id").values("id")[:LOOKED_THROUGH]
        path = _path(sought.words.strip()[:LONGEST])
        rows = rows.filter(id__in=newest).filter(Q(_says("input", path)) | Q(_says("output", path)))
    return list(rows.select_related("feature").defer("output").order_by("-id")[:most])


def _narrowed(rows: QuerySet[Run], sought: Sought) -> QuerySet[Run]:
    if sought.feature is not None:
        rows = rows.filter(feature=sought.feature)
    if sought.state:
        rows = rows.filter(state=sought.state)
    if sought.since is not None:
        rows = rows.filter(id__gte=floor_of(sought.since), created_at__gte=sought.since)
    if sought.until is not None:
        rows = rows.filter(id__lt=floor_of(sought.until))
    return _rated(rows, sought.rating) if sought.rating else rows


def _rated(rows: QuerySet[Run], rating: str) -> QuerySet[Run]:
    feedback = Cast("feedback", JSONField())
    rows = rows.annotate(verdict=KeyTextTransform("verdict", feedback), corrected=KeyTransform("correction", feedback))
    match rating:
        case "none":
            return rows.filter(verdict__isnull=True)
        case "corrected":
            return rows.filter(corrected__isnull=False)
    return rows.filter(verdict=rating, corrected__isnull=True)


def _says(part: str, path: str) -> Func:
    """Whether a text anywhere in a JSON value matches a path; names of properties are no texts."""
    exists = "jsonb_path_exists((%(expressions)s)::jsonpath)"
    return Func(F(part), Value(path), template=exists, arg_joiner=")::jsonb, (", output_field=BooleanField())


def _path(words: str) -> str:
    """The texts that contain some words, taken literally (q) and whatever their case (i); a JSON string is a path's."""
    return f'$.** ? (@.type() == "string" && @ like_regex {dumps(words)} flag "iq")'
