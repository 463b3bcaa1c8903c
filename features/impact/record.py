"""An impact asked for: its row, written in the transaction of the move or by itself, and the bell for a worker."""

from typing import Any
from uuid import UUID

import kombu.exceptions
import redis
from celery import current_app
from django.db import connections, transaction

from features.engine import BUCKETS
from features.find import current_number
from features.models import Feature, Impact, Rollout, Version
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound, Problem
from tenants.isolation import OPERATOR

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
    "unit": "tenant" or "user"}, None for everybody. Two statements; rings for a worker on COMMIT.
    """
    with connections[OPERATOR].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0]
    impact = Impact(
        feature=feature, kind=kind, before=before, to=to, stage=stage, rollout=rollout, at=at, author=by.label
    )
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
        raise Invalid(
            "A withdrawal reaches everybody on the version.",
            errors=[Problem("/withdraw", "together", "cannot be asked together with percent or tenants")],
        )
    if withdraw is not None and withdraw == to:
        raise Invalid(
            "A version cannot replace itself.", errors=[Problem("/to", "replacement", "is the version itself")]
        )
    with by.doing("impact.read", feature) as event:
        before = withdraw if withdraw is not None else current_number(feature, OPERATOR)
        there = set(
            Version.objects.using(OPERATOR)
            .filter(feature=feature, number__in=[number for number in (to, before) if number is not None])
            .values_list("number", flat=True)
        )
        for number in (to, before):
            if number is None or number not in there:
                raise NotFound(f"{feature.key} has no version {number}.")
        kind = "look" if withdraw is None else "look_withdraw"
        stage = None if percent is None and tenants is None else _stage(percent or 0, tenants or [], unit)
        impact = record_impact(feature, kind=kind, before=before or 0, to=to, stage=stage, by=by)
        event.detail = {"impact": str(impact.id), "from": before, "to": to}
    return impact


def _stage(percent: float, tenants: list[str], unit: str) -> dict[str, Any]:
    return {"share": round(percent * BUCKETS / 100), "tenants": tenants, "unit": unit}


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
