"""Rollouts as operators see them: how far one is, what its guards measured over time, what happened, who is where.

Everything here reads on the operator's connection, within the actor's transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now

from features.engine import BUCKETS, Guard, Measure, StageRow, Step, included, inside, state_of
from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import OPERATOR
from tenants.models import Tenant
from tenants.workshop import customers

from .models import Availability, Feature, GuardPoint, Pin, Rollout, RolloutEvent
from .validity import valid_at

Where = Literal["to", "partly", "before", "pinned"]
WHERE: tuple[Where, ...] = ("to", "partly", "before", "pinned")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tenant is in a rollout. With unit user and some of its users inside, that is `partly`.

    version: what the tenant itself is on, its own holds and withdrawals apart (impact tells of those).
    pins: how many of its users stay on a version of their own choice.
    """

    tenant: UUID
    slug: str
    name: str
    where: Where
    version: int
    pins: int

    def as_json(self) -> dict[str, Any]:
        return {
            "tenant": str(self.tenant), "slug": self.slug, "name": self.name, "where": self.where,
            "version": self.version, "pins": self.pins,
        }  # fmt: skip


def open_rollout(feature: Feature, using: str = OPERATOR) -> Rollout | None:
    """The rollout of a feature that is running or paused, if there is one."""
    return Rollout.objects.using(using).filter(feature=feature, state__in=Rollout.OPEN).first()


def find_rollout(rollout_id: UUID, actor: Actor) -> Rollout:
    """Return a rollout with its feature. Raises Forbidden for everybody but operators, and NotFound."""
    actor.need("rollout.read")
    with actor.present():
        row = Rollout.objects.using(OPERATOR).select_related("feature").filter(pk=rollout_id).first()
    if row is None:
        raise NotFound("There is no such rollout.")
    return row


def rollouts_of(feature: Feature | None = None) -> QuerySet[Rollout]:
    """The rollouts of a feature, or all there were, with their features; in no order."""
    rows = Rollout.objects.using(OPERATOR).select_related("feature")
    return rows if feature is None else rows.filter(feature=feature)


def events_of(rollout: Rollout) -> QuerySet[RolloutEvent]:
    """What happened to a rollout; in no order."""
    return RolloutEvent.objects.using(OPERATOR).filter(rollout_id=rollout.pk)


def rollout_json(rollout: Rollout) -> dict[str, Any]:
    """A rollout as pages and the API show it, with the latest of its guards; two statements at most."""
    latest = _latest(rollout)
    return {
        "id": str(rollout.id),
        "feature": rollout.feature.key,
        "before": rollout.before,
        "to": rollout.to,
        "unit": rollout.unit,
        "state": rollout.state,
        "why": rollout.why,
        "message": rollout.message,
        "step": rollout.step,
        "steps": steps_json(rollout),
        "named": named_in(rollout),
        "share": share_of(rollout),
        "guards": [_guard_json(guard, latest.get(guard.name)) for guard in guards_of(rollout)],
        "began": rollout.began_at,
        "next_at": next_at(rollout),
        "author": rollout.author,
        "created": rollout.created_at,
        "ended": rollout.ended_at,
    }


def steps_json(rollout: Rollout) -> list[dict[str, Any]]:
    """A rollout's steps, each with whom it includes in all, and whether it was, is or is yet to come."""
    return [_step_json(rollout, number) for number in range(len(rollout.steps))]


def event_json(event: RolloutEvent) -> dict[str, Any]:
    """One thing that happened: `kind` is started, advanced, paused, resumed, rolled_back or done."""
    return {
        "id": str(event.id),
        "at": event.at,
        "kind": event.kind,
        "step": event.step,
        "actor": event.actor,
        "detail": event.detail,
    }


def guards_json(rollout: Rollout) -> list[dict[str, Any]]:
    """Each guard with its latest and all that it measured, the oldest first: {at, step, value, sample}."""
    points: dict[str, list[GuardPoint]] = {}
    for point in GuardPoint.objects.using(OPERATOR).filter(rollout_id=rollout.pk).order_by("at", "id"):
        points.setdefault(point.guard, []).append(point)
    told = []
    for guard in guards_of(rollout):
        rows = points.get(guard.name, [])
        latest = rows[-1] if rows and _of_now(rows[-1], rollout) else None
        drawn = [{"at": row.at, "step": row.step, "value": row.value, "sample": row.sample} for row in rows]
        told.append({**_guard_json(guard, latest), "points": drawn})
    return told


def steps_of(rollout: Rollout) -> tuple[Step, ...]:
    """The rollout's steps as the engine has them."""
    return tuple(Step.of_json(row) for row in rollout.steps)


def guards_of(rollout: Rollout) -> tuple[Guard, ...]:
    """The rollout's guards as the engine has them."""
    return tuple(Guard.of_json(name, row) for name, row in rollout.guards.items())


def named_in(*rollouts: Rollout, say: Literal["slug", "name"] = "slug") -> dict[str, str]:
    """The slugs, or names, of the tenants that steps name, by id; no statement where they name none."""
    ids = {tenant for rollout in rollouts for step in steps_of(rollout) for tenant in step.tenants}
    if not ids:
        return {}
    rows = Tenant.objects.using(OPERATOR).filter(id__in=ids).values_list("id", say)
    return {str(tenant_id): word for tenant_id, word in rows}


def stage_of(rollout: Rollout) -> StageRow:
    """Whom a rollout includes as it is: nobody once it was rolled back, everybody once it is done."""
    share, tenants = included(steps_of(rollout), rollout.step)
    if rollout.state == Rollout.State.ROLLED_BACK:
        share, tenants = 0, ()
    if rollout.state == Rollout.State.DONE:
        share = BUCKETS
    return StageRow(str(rollout.id), rollout.to, rollout.unit, share, frozenset(tenants))  # type: ignore[arg-type]


def share_of(rollout: Rollout) -> float:
    """How many per cent of the buckets a rollout includes as it is; tenants by name come on top."""
    return stage_of(rollout).share * 100 / BUCKETS


def next_at(rollout: Rollout) -> datetime | None:
    """The soonest instant at which the next step begins by itself; None while it is a person who must say so."""
    if rollout.state != Rollout.State.RUNNING:
        return None
    hold = steps_of(rollout)[rollout.step].hold
    return None if hold is None else rollout.began_at + timedelta(seconds=hold)


def tenants_of(rollout: Rollout) -> QuerySet[Tenant]:
    """The tenants that a rollout is about: those that have its feature, and were there before it ended."""
    rows = customers()
    if rollout.ended_at is not None:
        rows = rows.filter(created_at__lte=rollout.ended_at)
    if rollout.feature.listed_only:
        listed = Availability.objects.using(OPERATOR).filter(_valid(rollout), feature=rollout.feature)
        rows = rows.filter(id__in=listed.values("tenant_id"))
    return rows


def places_of(rollout: Rollout, tenants: Sequence[Tenant]) -> list[Place]:
    """Where these tenants are, or were when the rollout ended, in their order; two statements however many."""
    ids = [tenant.id for tenant in tenants]
    pins = _pins(rollout).filter(tenant_id__in=ids)
    own = _own(pins)
    users = dict(pins.exclude(subject_id=F("tenant_id")).values_list("tenant_id").annotate(Count("id")).order_by())
    stage = stage_of(rollout)
    return [_place(rollout, stage, tenant, own.get(tenant.id), users.get(tenant.id, 0)) for tenant in tenants]


def places_under(rollout: Rollout, places: Iterable[Place]) -> list[Place]:
    """Where the same tenants would be with the rollout in another step; without a statement."""
    stage, moved = stage_of(rollout), []
    for place in places:
        where = _where(rollout, stage, place.tenant, pinned=place.where == "pinned")
        version = rollout.to if where == "to" else rollout.before
        moved.append(replace(place, where=where, version=place.version if where == "pinned" else version))
    return moved


def place_counts(rollout: Rollout) -> dict[Where, int]:
    """How many tenants are where. It walks all of them, without reading more than their ids and their own pins."""
    own, stage = _own(_pins(rollout)), stage_of(rollout)
    counts: dict[Where, int] = dict.fromkeys(WHERE, 0)
    ids: Iterable[UUID] = tenants_of(rollout).order_by().values_list("id", flat=True).iterator()
    for tenant_id in ids:
        counts[_where(rollout, stage, tenant_id, pinned=tenant_id in own)] += 1
    return counts


def _place(rollout: Rollout, stage: StageRow, tenant: Tenant, pinned: int | None, pins: int) -> Place:
    where = _where(rollout, stage, tenant.id, pinned=pinned is not None)
    follows = rollout.to if where == "to" else rollout.before
    return Place(tenant.id, tenant.slug, tenant.name, where, follows if pinned is None else pinned, pins)


def _where(rollout: Rollout, stage: StageRow, tenant_id: UUID, *, pinned: bool) -> Where:
    if pinned:
        return "pinned"
    if inside(stage, feature=rollout.feature.key, tenant=str(tenant_id), user=None):
        return "to"
    return "partly" if stage.unit == "user" and stage.share else "before"


def _own(pins: QuerySet[Pin]) -> Mapping[UUID, int]:
    """The versions on which tenants stay as a whole."""
    return dict(pins.filter(subject_id=F("tenant_id")).values_list("tenant_id", "base"))


def _pins(rollout: Rollout) -> QuerySet[Pin]:
    return Pin.objects.using(OPERATOR).filter(_valid(rollout), feature_id=rollout.feature_id)


def _valid(rollout: Rollout) -> Q:
    """Valid now, or when the rollout ended, by the database's clock."""
    if rollout.ended_at is not None:
        return valid_at(rollout.ended_at)
    return Q(valid_from__lte=Now()) & (Q(valid_to=None) | Q(valid_to__gt=Now()))


def _step_json(rollout: Rollout, number: int) -> dict[str, Any]:
    """One step: as it was written, whom it includes in all, and whether it was, is or is yet to come."""
    share, tenants = included(steps_of(rollout), number)
    when = "now" if number == rollout.step else "past" if number < rollout.step else "next"
    if rollout.state == Rollout.State.ROLLED_BACK and when == "next":
        when = "never"
    return {
        **rollout.steps[number],
        "included": {"percent": share * 100 / BUCKETS, "tenants": list(tenants)},
        "when": "past" if rollout.state == Rollout.State.DONE else when,
    }


def _latest(rollout: Rollout) -> dict[str, GuardPoint]:
    """What each guard measured last in the step that is in force."""
    rows = GuardPoint.objects.using(OPERATOR).filter(rollout_id=rollout.pk).order_by("guard", "-at", "-id")
    return {row.guard: row for row in rows.distinct("guard") if _of_now(row, rollout)} if rollout.guards else {}


def _of_now(point: GuardPoint, rollout: Rollout) -> bool:
    """Whether a point was measured in the step that is in force, since it began (or began anew)."""
    return point.step == rollout.step and point.at >= rollout.began_at


def _guard_json(guard: Guard, latest: GuardPoint | None) -> dict[str, Any]:
    """A guard, what it measured last in the step that is in force, and what that says: waiting, within, breached."""
    measure = Measure(latest.value, latest.sample) if latest else Measure(None, 0)
    return {
        "guard": guard.name,
        "max": guard.max,
        "min_runs": guard.min_runs,
        "do": guard.do,
        "value": measure.value,
        "sample": measure.sample,
        "state": state_of(guard, measure),
        "at": latest.at if latest else None,
    }
