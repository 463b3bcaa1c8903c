"""Rollouts watched: what each guard measures over the runs of the new version, and what follows from it by itself.

A guard looks at the runs accepted since the step in force began (or began anew, after a pause) and served the new
version; previews, cancelled ones and those whose output was cached apart. schema_failures: the share of those in which
an answer had not the output's form, even if it was repaired. failed_checks: the share that ended without an output
because of checks alone. cost_per_run: the mean, in micro-units. pins_away: of the subjects that were served the new
version in the step or turned from it, the share that has pinned another since; its sample is subjects, the others' is
runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import Error, connections
from django.db.models import Q
from django.db.models.functions import Now

from features.actions.rollouts import Seen, advance, pause, roll_back
from features.engine import Decision, GuardName, Measure, decide, inside
from features.models import GuardPoint, Pin, Rollout, Withdrawal
from features.resolve import clock
from features.rollouts import guards_of, stage_of, steps_of
from tenants.errors import Conflict, NotFound
from tenants.ids import floor_of
from tenants.isolation import OPERATOR, operator_tx
from tenants.system import system_actor

log = structlog.get_logger(__name__)

POINT_EVERY = timedelta(seconds=10)  # the closest that two kept points of a guard lie
POINTS = 100  # they lie further apart the longer a step lasts: 1/100 of its age, so a step of 90 days has about 1,200

_SERVED = """feature = %(feature)s AND version = %(to)s AND run >= %(since)s
    AND NOT preview AND NOT cached AND state <> 'cancelled'"""
_RUNS = f"""
SELECT count(*), count(*) FILTER (WHERE malformed), count(*) FILTER (WHERE error = 'checks'), coalesce(sum(cost), 0)
FROM runs_ledger WHERE {_SERVED}"""
_SUBJECTS = f"""
SELECT count(*) FROM (
    SELECT subject FROM runs_ledger WHERE {_SERVED} UNION SELECT unnest(%(away)s::uuid[])) s"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a step came to by an instant of the database's clock: its runs, and its guards' measurements."""

    at: datetime
    runs: int
    guards: Mapping[GuardName, Measure]


def watch_rollouts() -> list[Decision]:
    """Measure every running rollout and do what follows. Two at once, or one again, do nothing twice."""
    with operator_tx():
        rows = Rollout.objects.using(OPERATOR).select_related("feature").filter(state=Rollout.State.RUNNING)
        running = list(rows.order_by("id"))
    return [_watched(rollout) for rollout in running]


def measure(rollout: Rollout) -> Measured:
    """Measure the step in force; within the operator's transaction."""
    at = clock(OPERATOR)
    facts = _facts(rollout)
    runs, malformed, failed, cost = _one(_RUNS, facts)
    found: dict[GuardName, Measure] = {}
    for guard in guards_of(rollout):
        if guard.name == "pins_away":
            away = _pinned_away(rollout)
            found[guard.name] = _mean(len(away), _one(_SUBJECTS, {**facts, "away": away})[0], guard.min_runs)
        else:
            part = {"schema_failures": malformed, "failed_checks": failed, "cost_per_run": cost}[guard.name]
            found[guard.name] = _mean(part, runs, guard.min_runs)
    return Measured(at, runs, found)


def runs_of_step(rollout: Rollout) -> int:
    """How many runs the step in force has come to so far; within the operator's transaction."""
    runs: int = _one(_RUNS, _facts(rollout))[0]
    return runs


def _facts(rollout: Rollout) -> dict[str, Any]:
    return {"feature": rollout.feature_id, "to": rollout.to, "since": floor_of(rollout.began_at)}


def _watched(rollout: Rollout) -> Decision:
    """Look at one rollout. What a database refuses of one (say, for taking too long) does not keep others unwatched."""
    try:
        with operator_tx():
            measured = measure(rollout)
            stopped = _withdrawn(rollout)
        _keep(rollout, measured)
        decision = decide(
            steps_of(rollout)[rollout.step], guards_of(rollout), measured.guards, runs=measured.runs,
            began=rollout.began_at, now=measured.at, to=rollout.to, withdrawn=stopped,
        )  # fmt: skip
        _do(rollout, decision, measured)
    except (Conflict, NotFound) as late:  # somebody moved it in the meantime, or another watcher did
        log.info("rollout.moved_meanwhile", rollout=str(rollout.id), why=late.detail)
        return Decision("wait")
    except Error as wrong:
        log.warning("rollout.unwatched", rollout=str(rollout.id), error=type(wrong).__name__)
        return Decision("wait")
    return decision


def _do(rollout: Rollout, decision: Decision, measured: Measured) -> None:
    if decision.do == "wait":
        return
    by, seen = system_actor("guards"), Seen(rollout.step, rollout.began_at)
    if decision.do == "advance":
        advance(rollout, why=decision.why, by=by, seen=seen)
    else:
        act = pause if decision.do == "pause" else roll_back
        act(rollout, why=decision.why, by=by, seen=seen, detail=_detail(rollout, decision, measured))
    log.info("rollout.guarded", rollout=str(rollout.id), did=decision.do, why=decision.why)


def _detail(rollout: Rollout, decision: Decision, measured: Measured) -> dict[str, Any]:
    if decision.guard is None:
        return {}
    found = measured.guards[decision.guard]
    limit = rollout.guards[decision.guard]["max"]
    return {"guard": decision.guard, "value": found.value, "limit": limit, "sample": found.sample}


def _mean(part: int, sample: int, least: int) -> Measure:
    """A share or a mean, or no value under the guard's minimum sample."""
    return Measure(float(part) / sample if sample >= max(1, least) else None, sample)


def _pinned_away(rollout: Rollout) -> list[Any]:
    """The subjects inside that have pinned another version since the step began, and stay there."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    pins = Pin.objects.using(OPERATOR).filter(
        live, feature_id=rollout.feature_id, created_at__gte=rollout.began_at, valid_from__lte=Now()
    )
    rows = pins.exclude(base=rollout.to).values_list("tenant_id", "subject_id", "subject__key")
    stage, feature = stage_of(rollout), rollout.feature.key
    return [
        subject
        for tenant, subject, key in rows.iterator()
        if inside(stage, feature=feature, tenant=str(tenant), user=None if subject == tenant else key)
    ]


def _keep(rollout: Rollout, measured: Measured) -> None:
    """Keep a point of each guard; the newest is moved along until it lies far enough from the one before.

    Raises Conflict when the rollout has moved on since it was measured.
    """
    apart = max(POINT_EVERY, (measured.at - rollout.began_at) / POINTS)
    with operator_tx():
        rows = Rollout.objects.using(OPERATOR).select_for_update().filter(pk=rollout.pk, state=Rollout.State.RUNNING)
        if rows.filter(step=rollout.step, began_at=rollout.began_at).first() is None:
            raise Conflict("It has moved on since it was measured.")
        for name, found in measured.guards.items():
            points = GuardPoint.objects.using(OPERATOR).filter(rollout=rollout, guard=name, step=rollout.step)
            last, before = [*points.filter(at__gte=rollout.began_at).order_by("-at")[:2], None, None][:2]
            if last is not None and last.at >= measured.at:
                continue
            if last is None or before is None or last.at - before.at >= apart:
                last = GuardPoint(rollout=rollout, guard=name, step=rollout.step)
            last.at, last.value, last.sample = measured.at, found.value, found.sample
            last.save(using=OPERATOR)


def _withdrawn(rollout: Rollout) -> bool:
    rows = Withdrawal.objects.using(OPERATOR).filter(feature_id=rollout.feature_id, version=rollout.to, valid_to=None)
    return rows.exists()


def _one(statement: str, facts: Mapping[str, Any]) -> Any:
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute(statement, facts)
        return cursor.fetchone()
