"""All features at once, as lists and menus show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.isolation import OPERATOR

from .availability import features_for
from .models import CurrentVersion, Feature, Rollout, Version, Withdrawal


@dataclass(frozen=True, slots=True)
class Published:
    """A feature with its versions, newest first and without their behavior, and the number of the current one.

    `withdrawn` are the withdrawals in force, by version; `rollout` is the one that has not ended.
    """

    feature: Feature
    versions: Sequence[Version]
    current: int
    withdrawn: Mapping[int, Withdrawal]
    rollout: Rollout | None


def features_by_title(actor: Actor) -> list[Feature]:
    """Every feature that there is for an actor, by its title; within the actor's transaction."""
    return list(features_for(actor).order_by("title", "key"))


def published(actor: Actor, feature: Feature | None = None) -> list[Published]:
    """What the vendor has published, all of it or one feature's, for operators. Raises Forbidden for others."""
    actor.need("version.read")
    only = Q() if feature is None else Q(feature=feature)
    with actor.present():
        versions: dict[UUID, list[Version]] = {}
        light = Version.objects.using(OPERATOR).filter(only).defer("behavior", "rules", "titles", "samples")
        for version in light.order_by("-number"):
            versions.setdefault(version.feature_id, []).append(version)
        rows = CurrentVersion.objects.using(OPERATOR).filter(only, valid_to=None)
        current = dict(rows.values_list("feature_id", "version"))
        live = Q(valid_to=None) | Q(valid_to__gt=Now())
        withdrawn: dict[UUID, dict[int, Withdrawal]] = {}
        for row in Withdrawal.objects.using(OPERATOR).filter(only, live, valid_from__lte=Now()):
            withdrawn.setdefault(row.feature_id, {})[row.version] = row
        open_now = Rollout.objects.using(OPERATOR).filter(only, state__in=Rollout.OPEN)
        rollouts = {row.feature_id: row for row in open_now}
        features = features_by_title(actor) if feature is None else [feature]
    return [
        Published(
            feature=one,
            versions=versions.get(one.id, []),
            current=current.get(one.id, 0),
            withdrawn=withdrawn.get(one.id, {}),
            rollout=rollouts.get(one.id),
        )
        for one in features
    ]
