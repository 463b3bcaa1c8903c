"""An impact asked for: its row, written in the transaction of the move or by itself, and the bell for a worker."""

from typing import Any
from uuid import UUID

import kombu.exceptions
import redis
from celery import current_app
from django.db import transaction
from django.db.models import Q, QuerySet

from features.engine import BUCKETS, replacement
from features.models import Feature, Impact, ImpactRow, Rollout
from features.published import Published, read_published
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.isolation import OPERATOR
from tenants.models import Tenant

KINDS = ("look", "look_withdraw", "publish", "current", "rollout", "withdraw")
WITHDRAWALS = ("look_withdraw", "withdraw")
BELL = "features.tasks.impacts"


def record_impact(
    feature: Feature,
    *,
    kind: str,
    before: int,
    to: int,
    stage: dict[str, Any] | None = None,
    rollout: Rollout | None = None,
    by: Actor,
) -> Impact:
    """Note a move for a worker to look at, within the operator's transaction that makes it and BEFORE it is written.

    What is served at this instant is what it compares with. `before` and `to` are versions; for a withdrawal the one
    withdrawn and its replacement. `stage` is whom a rollout is to include: {"share": of 10,000, "tenants": [ids],
    "unit": "tenant" or "user"}, None for everybody. One statement; rings for a worker on COMMIT.
    """
    impact = Impact(feature=feature, kind=kind, before=before, to=to, stage=stage, rollout=rollout, author=by.label)
    impact.save(using=OPERATOR, force_insert=True)
    transaction.on_commit(ring, using=OPERATOR)
    return impact


def ring() -> None:
    """Tell a worker to look. A lost bell costs a second or two: beat rings too."""
    try:
        current_app.send_task(BELL, ignore_result=True, retry=False, expires=60)
    except (redis.RedisError, kombu.exceptions.OperationalError, OSError):
        return


def look(
    feature: Feature,
    *,
    to: int,
    percent: float | None = None,
    tenants: list[str] | None = None,
    unit: str = "tenant",
    withdraw: int | None = None,
    by: Actor,
) -> Impact:
    """Ask whom it would reach to move everybody, or those whom a rollout would include, to a version; nothing moves.

    With `withdraw`, whom it would reach to withdraw that version with `to` for its replacement. Raises NotFound for a
    version that there is not, Invalid for what cannot be meant.
    """
    if withdraw is not None and (percent is not None or tenants is not None):
        wrong = Problem("/withdraw", "together", "cannot be asked together with percent or tenants")
        raise Invalid("A withdrawal reaches everybody on the version.", errors=[wrong])
    if withdraw == to:
        wrong = Problem("/to", "replacement", "is the version itself")
        raise Invalid("A version cannot replace itself.", errors=[wrong])
    with by.doing("impact.read", feature) as event:
        now = read_published(feature)
        before = now.current if withdraw is None else withdraw
        now.must_have(to, before)
        if withdraw is not None:
            _check_circle(now, withdraw, to)
        stage = None
        if percent is not None or tenants is not None:
            share = round((percent or 0) * BUCKETS / 100)
            stage = {"share": share, "tenants": _ids_of(tenants or []), "unit": unit}
        kind = "look" if withdraw is None else "look_withdraw"
        impact = record_impact(feature, kind=kind, before=before, to=to, stage=stage, by=by)
        event.detail = {"impact": str(impact.id), "from": before, "to": to}
    return impact


def _check_circle(now: Published, number: int, to: int) -> None:
    """Raise Conflict where the replacement leads back to the version itself: as withdrawing would."""
    try:
        replacement(to, {**now.replacements, number: to})
    except ValueError as circle:
        raise Conflict(f"Version {to} is itself replaced by version {number}.") from circle


def _ids_of(names: list[str]) -> list[str]:
    """The ids of the tenants with these slugs or ids. Raises Invalid naming those that there are not."""
    rows = Tenant.objects.using(OPERATOR).filter(Q(slug__in=names) | Q(id__in=filter(None, map(_as_id, names))))
    found = rows.values_list("id", "slug")
    known = {name: str(tenant_id) for tenant_id, slug in found for name in (slug, str(tenant_id))}
    problems = [
        Problem(f"/tenants/{place}", "tenant", "there is no organisation called so")
        for place, name in enumerate(names)
        if name.lower() not in known
    ]
    if problems:
        raise Invalid("Not all of these organisations exist.", errors=problems)
    return sorted({known[name.lower()] for name in names})


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def impacts_of(feature: Feature) -> QuerySet[Impact]:
    """The impacts of a feature that are kept, within the operator's transaction."""
    return Impact.objects.using(OPERATOR).select_related("feature").filter(feature=feature)


def rows_of(impact: Impact, outcome: str | None = None) -> QuerySet[ImpactRow]:
    """The rows of an impact, or those of one outcome, within the operator's transaction."""
    rows = ImpactRow.objects.using(OPERATOR).filter(impact=impact)
    return rows if outcome is None else rows.filter(outcome=outcome)


def find_impact(impact_id: UUID, by: Actor) -> Impact:
    """The impact with this id, with its feature. Raises Forbidden for who is no operator, and NotFound."""
    by.need("impact.read")
    with by.present():
        impact = Impact.objects.using(OPERATOR).select_related("feature").filter(pk=impact_id).first()
    if impact is None:
        raise NotFound
    return impact


def impact_of_rollout(rollout_id: UUID, by: Actor) -> Impact:
    """The latest impact of a rollout, with its feature. Raises Forbidden for who is no operator, and NotFound."""
    by.need("impact.read")
    with by.present():
        rows = Impact.objects.using(OPERATOR).select_related("feature").filter(rollout_id=rollout_id)
        impact = rows.order_by("-id").first()
    if impact is None:
        raise NotFound
    return impact
