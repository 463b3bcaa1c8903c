"""How far a batch has come, what is left of it, and its results in the order of its items."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID

from django.db import connections
from django.utils import timezone

from tenants.actor import Actor
from tenants.ids import floor_of, moment_of
from tenants.isolation import APP

from .models import Batch, RefusedItem, Run

PAGE = 500  # results that are read at once
REFUSED = "refused"  # the state of an item that is no run
RECENT = 100  # runs by which is estimated what none of the batch's own tells yet

# Runs are partitioned by id, and a batch's are made within the hour after its own id.
_SPAN = "r.tenant_id = %(tenant)s AND r.id >= %(oldest)s AND r.id < %(newest)s AND r.batch = ANY(%(batches)s::uuid[])"
_COUNT = f"""
SELECT r.batch, r.state, count(*), count(*) FILTER (WHERE r.cached), coalesce(sum(r.cost), 0), min(r.started_at),
       max(r.finished_at), coalesce(sum((r.usage->>'input_tokens')::bigint), 0),
       coalesce(sum((r.usage->>'cached_input_tokens')::bigint), 0),
       coalesce(sum((r.usage->>'output_tokens')::bigint), 0)
FROM runs_run r WHERE {_SPAN} GROUP BY r.batch, r.state"""
_SUMS = {"cached": 3, "cost": 4, "input_tokens": 7, "cached_input_tokens": 8, "output_tokens": 9}
_RECENT = """
SELECT avg(cost)::bigint FROM (
    SELECT cost FROM runs_run WHERE tenant_id = %s AND feature_id = %s AND state = 'succeeded' AND NOT cached
    ORDER BY id DESC LIMIT %s) r"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many runs of a batch are in each state, what they cost in micro-units, and from when to when they ran."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    cached: int = 0
    cost: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    began: datetime | None = None
    last: datetime | None = None

    @property
    def left(self) -> int:
        return self.queued + self.running


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a batch by what its runs took so far, or where none has ended by the feature's latest runs.

    Micro-units and seconds; None where nothing tells it.
    """

    cost_left: int | None
    seconds_left: int | None


def span_of(*batches: Batch) -> dict[str, Any]:
    """The parameters of `_SPAN`: batches of one tenant, at least one, and between which ids their runs are."""
    made = [moment_of(batch.pk) for batch in batches]
    return {
        "tenant": batches[0].tenant_id, "batches": [batch.pk for batch in batches],
        "oldest": floor_of(min(made) - timedelta(minutes=1)), "newest": floor_of(max(made) + timedelta(hours=1)),
    }  # fmt: skip


def count(batch: Batch) -> Progress:
    """Count a batch's runs, within the tenant's transaction; those of one that has ended are kept with it."""
    return count_each([batch])[batch.pk]


def count_each(batches: Sequence[Batch]) -> dict[UUID, Progress]:
    """The same of several batches of one tenant, by id, all that have not ended in one statement."""
    rows: dict[UUID, list[Any]] = {batch.pk: [] for batch in batches if batch.totals is None}
    if rows:
        with connections[APP].cursor() as cursor:
            cursor.execute(_COUNT, span_of(*(batch for batch in batches if batch.pk in rows)))
            for row in cursor.fetchall():
                rows[row[0]].append(row)
    return {
        batch.pk: _progress(rows[batch.pk])
        if batch.totals is None
        else Progress(**batch.totals, last=batch.finished_at)
        for batch in batches
    }


def _progress(rows: Sequence[Any]) -> Progress:
    began, last = [row[5] for row in rows if row[5]], [row[6] for row in rows if row[6]]
    sums = {name: sum(int(row[column]) for row in rows) for name, column in _SUMS.items()}
    states = {row[1]: row[2] for row in rows}
    return Progress(**states, **sums, began=min(began, default=None), last=max(last, default=None))


def state_of(batch: Batch, now: Progress) -> Literal["running", "cancelling", "finished", "cancelled"]:
    """How a batch stands."""
    if now.left:
        return "running" if batch.cancel_requested_at is None else "cancelling"
    return "finished" if batch.cancel_requested_at is None else "cancelled"


def estimate(batch: Batch, now: Progress) -> Estimate:
    """What a batch will still cost and take, within the tenant's transaction."""
    done = now.succeeded + now.failed
    if done and now.began:
        seconds = (timezone.now() - now.began).total_seconds()
        return Estimate(round(now.cost / done * now.left), round(seconds / done * now.left))
    cost = usual_cost(batch.tenant_id, batch.feature_id)
    return Estimate(None if cost is None else cost * now.left, None)


def usual_cost(tenant_id: UUID, feature_id: UUID) -> int | None:
    """What a run of a feature costs by the tenant's latest that asked a model, within its transaction; None without."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_RECENT, [tenant_id, feature_id, RECENT])
        (cost,) = cursor.fetchone()
    return None if cost is None else int(cost)


def read_results(batch: Batch, by: Actor, after: int = -1) -> Iterator[list[dict[str, Any]]]:
    """Yield a batch's results in the order of its items, some at a time, each time in a transaction of its own.

    An item: {"place", "key", "run", "state", "output", "error", "cached", "cost"}; what was not taken in is in the
    state `refused`, and has no run. Begins after the place `after`.
    """
    while after < batch.items - 1:
        with by.present():
            found = some_results(batch, after, most=PAGE)
        if not found:
            return  # their time is over: retention has deleted them
        yield found
        after = found[-1]["place"]


def some_results(batch: Batch, after: int = -1, *, states: Collection[str] = (), most: int) -> list[dict[str, Any]]:
    """The next results after a place, as `read_results` yields them; of these states alone where any is named.

    Within the tenant's transaction.
    """
    span = span_of(batch)
    runs = Run.objects.filter(
        tenant_id=batch.tenant_id, batch=batch.pk, id__gte=span["oldest"], id__lt=span["newest"], place__gt=after
    ).order_by("place")
    refused = RefusedItem.objects.filter(tenant_id=batch.tenant_id, batch=batch.pk, place__gt=after).order_by("place")
    if states:
        runs, refused = runs.filter(state__in=states), refused if REFUSED in states else refused.none()
    found = [
        *(
            _result(row.place, row.item_key, row.pk, row.state, row.output, row.error, row.cached, row.cost)
            for row in runs.defer("input", "receipt")[:most]
        ),
        *(_result(row.place, row.item_key, None, REFUSED, None, row.error, False, 0) for row in refused[:most]),
    ]
    return sorted(found, key=itemgetter("place"))[:most]


def _result(
    place: int | None, key: str, run: UUID | None, state: str, output: Any, error: Any, cached: bool, cost: int
) -> dict[str, Any]:
    return {
        "place": place, "key": key, "run": run, "state": state, "output": output, "error": error, "cached": cached,
        "cost": cost,
    }  # fmt: skip
