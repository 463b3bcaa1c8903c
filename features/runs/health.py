"""How the machinery is: what waits, who works, what was lost. For operators; no tenant and no content in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from tenants.ids import floor_of
from tenants.isolation import OPERATOR, operator_tx
from tenants.workshop import WORKSHOP

from .metrics import lanes
from .models import Attempt, Ledger, Queued, Worker

LATELY = timedelta(hours=1)
SILENT = timedelta(seconds=60)  # after which a worker that has said nothing is shown as gone


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane of the queue: interactive, batch or quarantine. `oldest` is how many seconds its oldest run waits."""

    name: str
    waiting: int
    running: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker process, how many of its slots are in use, and when it last said that it is there."""

    name: str
    slots: int
    busy: int
    started: datetime
    seen: datetime
    silent: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The last hour: `ended` runs, how many of them `failed`, and calls that were `lost` with their worker."""

    lanes: Sequence[Lane]
    workers: Sequence[Seen]
    ended: int
    failed: int
    lost: int


def health() -> Health:
    """Look at the queue, the workers, and the last hour."""
    now = timezone.now()
    since = now - LATELY
    with operator_tx():
        ended = Ledger.objects.using(OPERATOR).filter(run__gte=floor_of(since - LATELY), at__gte=since)
        ended = ended.exclude(tenant_id=WORKSHOP)  # canaries, and what operators try
        counts = ended.aggregate(all=Count("run"), failed=Count("run", filter=Q(state="failed")))
        recent = Attempt.objects.using(OPERATOR).filter(run__gte=floor_of(since - LATELY), finished_at__gte=since)
        lost = recent.filter(outcome="lost").count()
        busy = dict(
            Queued.objects.using(OPERATOR).filter(token__isnull=False).values_list("process").annotate(Count("id"))
        )
        rows = list(Worker.objects.using(OPERATOR).order_by("name"))
    workers = [
        Seen(row.name, row.slots, busy.get(row.id, 0), row.started_at, row.seen_at, row.seen_at < now - SILENT)
        for row in rows
    ]
    return Health([Lane(*lane) for lane in lanes()], workers, counts["all"], counts["failed"], lost)
