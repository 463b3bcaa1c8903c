"""Carrying impacts out: claimed by a lease, committed in batches that say how far they came, resumed by the next.

An impact whose worker died is claimed again when its lease has run out, and goes on after the last tenant committed.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.db.models.functions import Now

from features.models import Impact, ImpactRow
from tenants.isolation import OPERATOR, operator_tx

from .outcome import OUTCOMES
from .walk import Tally, Walk

log = structlog.get_logger(__name__)

BATCH_SECONDS = 0.5  # how much work is lost with a worker, and how fresh the progress is
KEPT, KEPT_DAYS = 20, 90  # how many impacts of a feature are kept, and how long
ROWS = 1_000  # that are in memory at a time
MOVING = ("tenants", "members", "users")

_CLAIM = """
UPDATE features_impact SET state = 'running', claimed_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = (SELECT id FROM features_impact
            WHERE state IN ('queued', 'running') AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id"""
_RENEW = """
UPDATE features_impact SET claimed_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = %(id)s AND claimed_until = %(mine)s AND state = 'running' RETURNING claimed_until"""
_OLD = """
SELECT id FROM (SELECT id, created_at, row_number() OVER (PARTITION BY feature_id ORDER BY id DESC) AS place
                FROM features_impact WHERE state IN ('done', 'failed')) f
WHERE place > %(kept)s OR created_at < now() - make_interval(days => %(days)s)"""

_one = threading.Lock()  # of a process, so that its other threads drive runs meanwhile


def work_through(stopping: Callable[[], bool] = lambda: False) -> int:
    """Carry out the impacts that wait, one after the other, unless this process does already. Returns how many."""
    if not _one.acquire(blocking=False):
        return 0
    try:
        count = 0
        while not stopping() and (impact := claim()):
            count += 1
            carry_out(impact, stopping)
        if count:
            tidy()
        return count
    finally:
        _one.release()


def claim() -> Impact | None:
    """Claim the impact that waits longest, one whose worker has died among them; None when there is none."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": settings.LEASE_SECONDS})
        row = cursor.fetchone()
        return Impact.objects.using(OPERATOR).select_related("feature").get(pk=row[0]) if row else None


def carry_out(impact: Impact, stopping: Callable[[], bool] = lambda: False) -> None:
    """Take a claimed impact to its end, or to where this process is `stopping`."""
    try:
        _Work(impact).go(stopping)
    except _Lost:
        log.warning("impact.lost", impact=str(impact.id))
    except (DatabaseError, InterfaceError) as error:  # it is claimed again when the lease has run out
        log.warning("impact.interrupted", impact=str(impact.id), error=type(error).__name__)
    except Exception as error:
        log.exception("impact.failed", impact=str(impact.id))
        with operator_tx():
            rows = Impact.objects.using(OPERATOR).filter(pk=impact.pk, state=Impact.State.RUNNING)
            rows.update(state=Impact.State.FAILED, why=type(error).__name__, claimed_until=None, finished_at=Now())


def tidy() -> int:
    """Delete what nobody will ask for: all but the latest impacts of each feature, and old ones. Returns how many."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_OLD, {"kept": KEPT, "days": KEPT_DAYS})
        old = [row[0] for row in cursor.fetchall()]
        if old:
            Impact.objects.using(OPERATOR).filter(pk__in=old).delete()  # with their rows
        return len(old)


class _Lost(Exception):
    """Another worker has claimed the impact: this one's lease had run out."""


class _Work:
    """One impact being carried out: what was counted so far, and the rows that the next COMMIT keeps."""

    def __init__(self, impact: Impact) -> None:
        self.impact = impact
        self.outcomes = Counter[str](impact.counts.get("outcomes", {}))
        self.moving = Counter[str](impact.counts.get("moving", {}))
        self.overruled = int(impact.counts.get("overruled", 0))
        self.rows: list[ImpactRow] = []

    def go(self, stopping: Callable[[], bool]) -> None:
        walk = Walk(self.impact, self.impact.feature)
        visited = walk.visited(self.impact.last_tenant)
        if not self.impact.tenants_all:
            self._begin(walk, len(visited))
        place = 0
        while place < len(visited):
            if stopping():
                return self._commit(claimed_until=None)
            with operator_tx():
                self._renew()
                place = self._batch(walk, visited, place)
                self._commit()
        return self._commit(state=Impact.State.DONE, claimed_until=None, finished_at=Now())

    def _batch(self, walk: Walk, visited: list[UUID], place: int) -> int:
        """Look at tenants from one place on for a while, at one at least. Returns the place that it came to."""
        until = time.monotonic() + BATCH_SECONDS
        while True:
            for tally in walk.tenant(visited[place]):
                self._take(tally)
            self.impact.last_tenant = visited[place]
            self.impact.tenants_done += 1
            place += 1
            if place == len(visited) or time.monotonic() >= until:
                return place

    def _begin(self, walk: Walk, visited: int) -> None:
        """Count those who have nothing of their own, at tenants where nobody has."""
        with operator_tx():
            self._renew()
            others, moving = walk.others()
            self.moving += moving
            self.impact.tenants_done, self.impact.tenants_all = others, others + visited
            self._commit()

    def _take(self, tally: Tally) -> None:
        self.rows += tally.rows
        self.moving += tally.moving
        for row in tally.rows:
            self.outcomes[row.outcome] += 1
            self.overruled += row.outcome == "pinned" and row.before != row.after
        if len(self.rows) >= ROWS:
            self._keep()

    def _keep(self) -> None:
        ImpactRow.objects.using(OPERATOR).bulk_create(self.rows)
        self.rows = []

    def _renew(self) -> None:
        """Lengthen the lease, and hold the row until COMMIT. Raises _Lost where it is no longer ours."""
        mine = {"id": self.impact.id, "mine": self.impact.claimed_until, "lease": settings.LEASE_SECONDS}
        with connections[OPERATOR].cursor() as cursor:
            cursor.execute(_RENEW, mine)
            row = cursor.fetchone()
        if row is None:
            raise _Lost
        self.impact.claimed_until = row[0]

    def _commit(self, **more: Any) -> None:
        """Write how far it came, with the rows. Raises _Lost where the claim is no longer ours."""
        with operator_tx():
            self._keep()
            mine = Impact.objects.using(OPERATOR).filter(pk=self.impact.pk, claimed_until=self.impact.claimed_until)
            if not mine.update(
                counts={
                    "outcomes": {outcome: self.outcomes[outcome] for outcome in OUTCOMES},
                    "moving": {kind: self.moving[kind] for kind in MOVING},
                    "overruled": self.overruled,
                },
                tenants_done=self.impact.tenants_done,
                tenants_all=self.impact.tenants_all,
                last_tenant=self.impact.last_tenant,
                **more,
            ):
                raise _Lost
