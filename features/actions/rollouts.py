"""Moving a feature to a version step by step: start, advance, pause, resume, roll back. Pins are never moved by it.

Whoever changes whom a rollout includes first takes the lock of the feature's stamp, then the rollout's row.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from features.engine import BUCKETS, Json, included, parse_guards, parse_steps, tenants_named
from features.impact import record_impact
from features.models import CurrentVersion, Feature, Rollout, RolloutEvent, Stage, Withdrawal
from features.published import Published, published_to_move
from features.resolve import clock
from features.rollouts import steps_of
from features.told import tell_of
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.approvals import ask_another
from tenants.errors import Conflict, Invalid, Malformed, NotFound, Problem
from tenants.isolation import OPERATOR
from tenants.workshop import customers

MOST_WHY = 500
MOVED = "It has moved on in the meantime: look at it again."


@dataclass(frozen=True, slots=True)
class Seen:
    """The step that a decision was made about. A rollout that has moved on since is left alone (Conflict)."""

    step: int
    began: datetime


def start_rollout(
    feature: Feature,
    *,
    to: int,
    steps: Json,
    guards: Json = None,
    unit: str = Rollout.Unit.TENANT,
    message: str = "",
    by: Actor,
    dry_run: bool = False,
) -> Rollout:
    """Begin to move a feature to a version; the first step is in force at once, and one of 100 % ends it at once.

    steps: [{"percent": 5} or {"tenants": [slugs or ids]}, with "hold": seconds or "2d", "min_runs": n]; a last step of
    100 % is added where there is none. guards: {name: {"max", "min_runs", "do": "pause" or "roll_back"}}.
    Raises Malformed or Invalid naming everything that is wrong, and Conflict while another of the feature is under way.
    """
    if not dry_run:
        given = {"to": to, "steps": steps, "guards": guards, "unit": unit, "message": message}
        ask_another("rollout", "rollout.manage", feature.key, given, by=by)
    rollout = Rollout(feature=feature, to=to, unit=unit, message=message, author=by.label)
    with by.doing("rollout.manage", rollout, dry_run=dry_run) as event:
        now = published_to_move(feature)
        refuse_meanwhile(now)
        rollout.before = now.current
        plan, wrong = parse_steps(steps, _ids_of(tenants_named(steps)))
        limits, wrong_guards = parse_guards({} if guards is None else guards)
        wrong = [*_unfit(rollout, now), *wrong, *wrong_guards]
        unknown = [problem for problem in wrong if problem.rule == "unknown"]
        if unknown:
            raise Malformed("The rollout has parts that are not known here.", errors=unknown)
        if wrong:
            raise Invalid("This rollout cannot be started.", errors=wrong)
        rollout.steps = [step.as_json() for step in plan]
        rollout.guards = {guard.name: guard.as_json() for guard in limits}
        rollout.began_at = clock(OPERATOR)
        rollout.save(using=OPERATOR, force_insert=True)
        _note(rollout, "started", by, {"to": to, "before": rollout.before, "why": message})
        _enter(rollout, 0, by)
        event.detail = {"feature": feature.key, "what": "start", "from": rollout.before, "to": to}
    return rollout


def advance(rollout: Rollout, *, why: str = "", by: Actor, seen: Seen | None = None) -> Rollout:
    """Begin the next step now. The one of 100 % moves the feature's current version, and the rollout is done.

    Raises Conflict when it is not running, or its version was withdrawn.
    """
    with _moving(rollout, "advance", (Rollout.State.RUNNING,), by, seen) as row:
        _refuse_withdrawn(row)
        _enter(row, row.step + 1, by, why)
    return row


def pause(
    rollout: Rollout, *, why: str = "", by: Actor, seen: Seen | None = None, detail: Mapping[str, Any] | None = None
) -> Rollout:
    """Let it stay at its step until somebody resumes: nobody is moved by that. Raises Conflict unless it is running."""
    with _moving(rollout, "pause", (Rollout.State.RUNNING,), by, seen) as row:
        row.state, row.why = Rollout.State.PAUSED, why[:MOST_WHY]
        row.save(using=OPERATOR, update_fields=["state", "why"])
        _note(row, "paused", by, {"why": row.why, **(detail or {})})
    return row


def resume(rollout: Rollout, *, why: str = "", by: Actor) -> Rollout:
    """Go on after a pause. The step begins anew: its hold and its guards' samples. Raises Conflict unless paused."""
    with _moving(rollout, "resume", (Rollout.State.PAUSED,), by, None) as row:
        _refuse_withdrawn(row)
        row.state, row.why, row.began_at = Rollout.State.RUNNING, why[:MOST_WHY], clock(OPERATOR)
        row.save(using=OPERATOR, update_fields=["state", "why", "began_at"])
        _note(row, "resumed", by, {"why": row.why})
    return row


def roll_back(
    rollout: Rollout, *, why: str = "", by: Actor, seen: Seen | None = None, detail: Mapping[str, Any] | None = None,
    locked: bool = False,
) -> Rollout:  # fmt: skip
    """End it where it is: the current version had not moved, so everybody is back where they were. Raises Conflict.

    `locked` says that the caller holds the lock of the feature's stamp, and has read the rollout under it.
    """
    with _moving(rollout, "roll_back", Rollout.OPEN, by, seen, locked=locked) as row:
        row.state, row.why = Rollout.State.ROLLED_BACK, why[:MOST_WHY]
        row.ended_at = supersede(_stages(row), None)
        row.save(using=OPERATOR, update_fields=["state", "why", "ended_at"])
        _note(row, "rolled_back", by, {"why": row.why, **(detail or {})})
    return row


def refuse_meanwhile(now: Published) -> None:
    """Raise Conflict while a rollout of a feature is under way; what is published is read under the stamp's lock."""
    feature, rollout = now.feature, now.rollout
    if rollout is not None:
        raise Conflict(
            f"{feature.key} is being rolled out to version {rollout.to} ({rollout.state}, step {rollout.step + 1} of "
            f"{len(rollout.steps)}): its current version moves when that is done or rolled back. "
            "Publishing a version without making it current is possible meanwhile.",
            rollout=str(rollout.id),
        )


@contextmanager
def _moving(
    rollout: Rollout, what: str, states: tuple[Rollout.State, ...], by: Actor, seen: Seen | None, *,
    locked: bool = False,
) -> Iterator[Rollout]:  # fmt: skip
    """Lock the feature's stamp and the rollout, and yield it as it is now. Raises Conflict if that is not possible."""
    with by.doing("rollout.manage", rollout) as event:
        row = rollout if locked else _locked(rollout)
        if row.state not in states:
            raise Conflict(_cannot(what, row))
        if seen is not None and seen != Seen(row.step, row.began_at):
            raise Conflict(MOVED)
        event.detail = {"feature": row.feature.key, "what": what, "from": row.before, "to": row.to}
        yield row
        event.detail |= {"state": row.state, "step": row.step} | ({"why": row.why} if row.why else {})


def _locked(rollout: Rollout) -> Rollout:
    bump_vendor(rollout.feature_id)
    rows = Rollout.objects.using(OPERATOR).select_related("feature").select_for_update(of=("self",))
    row = rows.filter(pk=rollout.pk).first()
    if row is None:
        raise NotFound("There is no such rollout.")
    return row


def _cannot(what: str, row: Rollout) -> str:
    told = {Rollout.State.DONE: "is done", Rollout.State.ROLLED_BACK: "was rolled back"}
    if row.state in told:
        return f"This rollout {told[Rollout.State(row.state)]}: there is nothing to {what.replace('_', ' ')}."
    if row.state == Rollout.State.PAUSED and what == "pause":
        return "This rollout is paused already."
    if row.state == Rollout.State.PAUSED:
        return f"This rollout is paused: resume it before you {what.replace('_', ' ')} it, or roll it back."
    return "This rollout is running: there is nothing to resume."


def _enter(row: Rollout, step: int, by: Actor, why: str = "") -> None:
    """Put a step in force, and have its impact looked at: a Stage while it lasts, at 100 % the pointer instead."""
    share, tenants = included(steps_of(row), step)
    whom = {"share": share, "tenants": list(tenants), "unit": row.unit} if share < BUCKETS else None
    record_impact(row.feature, kind="rollout", before=row.before, to=row.to, stage=whom, rollout=row, by=by)
    row.step, row.why = step, why[:MOST_WHY]
    detail = {"why": row.why, "share": share, "tenants": list(tenants)}
    if share < BUCKETS:
        stage = Stage(feature=row.feature, rollout=row, version=row.to, unit=row.unit, share=share)
        stage.tenants = list(tenants)
        row.began_at = supersede(_stages(row), stage)
        if step:
            _note(row, "advanced", by, detail)
    else:  # the pointer first: there is no instant at which somebody who is inside would be taken back
        pointer = CurrentVersion(feature=row.feature, version=row.to, author=by.label)
        row.began_at = supersede(CurrentVersion.objects.using(OPERATOR).filter(feature=row.feature), pointer)
        row.ended_at = max(row.began_at, supersede(_stages(row), None))
        row.state = Rollout.State.DONE
        tell_of(row.feature, "version.current", version=row.to)
        _note(row, "done", by, detail)
    row.save(using=OPERATOR, update_fields=["step", "why", "began_at", "state", "ended_at"])


def _stages(row: Rollout) -> Any:
    return Stage.objects.using(OPERATOR).filter(feature_id=row.feature_id)


def _note(row: Rollout, kind: str, by: Actor, detail: Mapping[str, Any]) -> None:
    told = {name: value for name, value in detail.items() if value not in ("", None)}
    RolloutEvent(rollout=row, kind=kind, step=row.step, actor=by.label, detail=told).save(using=OPERATOR)


def _unfit(rollout: Rollout, now: Published) -> Iterator[Problem]:
    """Why a version cannot be rolled out to."""
    feature, to = rollout.feature, rollout.to
    if not now.has(to):
        yield Problem("/to", "version", f"{feature.key} has no version {to}")
    elif to == rollout.before:
        yield Problem("/to", "current", f"version {to} is current already: everybody follows it")
    elif to in now.withdrawn:
        yield Problem("/to", "withdrawn", f"version {to} is withdrawn: lift the withdrawal first")
    if rollout.unit not in Rollout.Unit.values:
        yield Problem("/unit", "enum", f"must be one of: {', '.join(Rollout.Unit.values)}")
    if len(rollout.message) > MOST_WHY:
        yield Problem("/message", "max_length", f"must have at most {MOST_WHY} characters")


def _refuse_withdrawn(row: Rollout) -> None:
    rows = Withdrawal.objects.using(OPERATOR).filter(feature_id=row.feature_id, version=row.to, valid_to=None)
    if rows.exists():
        raise Conflict(f"Version {row.to} is withdrawn: lift the withdrawal first, or roll back.")


def _ids_of(names: set[str]) -> dict[str, str]:
    """The ids of the tenants that are called so, by slug or id."""
    ids = {name: found for name in names if (found := _as_id(name)) is not None}
    rows = customers().filter(Q(slug__in=names - ids.keys()) | Q(id__in=ids.values()))
    known = dict(rows.values_list("id", "slug"))
    by_slug = {slug: str(tenant_id) for tenant_id, slug in known.items()}
    return by_slug | {name: str(found) for name, found in ids.items() if found in known}


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
