"""All features at once, as lists and menus show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.isolation import OPERATOR

from .models import CurrentVersion, Feature, Pin, Version


@dataclass(frozen=True, slots=True)
class Published:
    """A feature with its versions, newest first and without their behavior, and the number of the current one."""

    feature: Feature
    versions: Sequence[Version]
    current: int


def features_by_title(actor: Actor) -> list[Feature]:
    """Every feature that serves, by its title; within the actor's transaction."""
    return list(Feature.objects.using(actor.db).order_by("title", "key"))


def features_stayed_on(subject_id: UUID) -> set[UUID]:
    """The features on which a subject of the present tenant has a pin in force."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    rows = Pin.objects.filter(live, subject_id=subject_id, valid_from__lte=Now())
    return set(rows.values_list("feature_id", flat=True))


def published(actor: Actor) -> list[Published]:
    """What the vendor has published, for operators. Raises Forbidden for everybody else."""
    actor.need("version.read")
    with actor.present():
        versions: dict[UUID, list[Version]] = {}
        for version in Version.objects.using(OPERATOR).defer("behavior", "rules", "titles").order_by("-number"):
            versions.setdefault(version.feature_id, []).append(version)
        rows = CurrentVersion.objects.using(OPERATOR).filter(valid_to=None)
        current = dict(rows.values_list("feature_id", "version"))
        features = features_by_title(actor)
    return [Published(row, versions.get(row.id, []), current.get(row.id, 0)) for row in features]
