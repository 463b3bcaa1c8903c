"""All features at once, as lists and menus show them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import OPERATOR
from tenants.subjects import tenant_itself

from .availability import features_for
from .find import no_feature
from .models import CurrentVersion, Feature, Rollout, Version, Withdrawal
from .reading import Known, read_known
from .resolve import serve_as_known, serve_known, serve_warm
from .served import Served
from .validity import unsettled

Layer = Literal["user", "tenant"]


@dataclass(frozen=True)
class Overview:
    """Every feature that there is for an actor in a tenant, and what they are served of it: read once.

    All of it is as of one moment, so it suits a request that only looks: make a new one after a save.
    """

    actor: Actor

    @cached_property
    def known(self) -> Sequence[Known]:
        """The features by title, with the actor's stamps."""
        with self.actor.present():
            return read_known(self.actor.tenant_id, self.actor.acting_for().id)

    @property
    def features(self) -> list[Feature]:
        return [one.feature for one in self.known]

    def feature(self, key: str) -> Feature:
        """A feature by its key. Raises NotFound, in the same words for one that is not available to the tenant."""
        found = next((one.feature for one in self.known if one.feature.key == key), None)
        if found is None:
            raise no_feature(key)
        return found

    def served(self, feature: Feature, layer: Layer = "user") -> Served:
        """What the actor, or their tenant by itself, is served of a feature. Raises NotFound where that is nothing.

        In a transaction that has written what behavior is chosen by, it is read there and then.
        """
        if unsettled():
            return self._serve(feature, layer)
        if (feature.id, layer) not in self._served:
            self._served[feature.id, layer] = self._serve(feature, layer)
        return self._served[feature.id, layer]

    def served_each(self) -> dict[UUID, Served]:
        """What the actor is served of each feature, by its id, without those that serve them nothing."""
        found: dict[UUID, Served] = {}
        for feature in self.features:
            with suppress(NotFound):
                found[feature.id] = self.served(feature)
        return found

    def behind(self) -> dict[UUID, Literal["held", "pin"]]:
        """The features on which the actor is held (by whomever's changes), or has a pin of their own that counts."""
        found: dict[UUID, Literal["held", "pin"]] = {}
        for feature_id, served in self.served_each().items():
            choice = served.choice
            if choice.held is not None:
                found[feature_id] = "held"
            elif choice.pin is not None and choice.pin.layer == "user":
                found[feature_id] = "pin"
        return found

    @cached_property
    def _by_id(self) -> dict[UUID, Known]:
        return {one.feature.id: one for one in self.known}

    @cached_property
    def _served(self) -> dict[tuple[UUID, Layer], Served]:
        return {}

    def _serve(self, feature: Feature, layer: Layer) -> Served:
        tenant_id = self.actor.tenant_id
        who = tenant_itself(tenant_id) if layer == "tenant" else self.actor.acting_for()
        known = self._by_id.get(feature.id)
        if known is not None and layer == "tenant":
            known = known.of_tenant()
        kept = serve_known(known, tenant_id, who) if known and not unsettled() else None
        if kept is not None:
            return kept  # without a transaction either
        with self.actor.present():
            return serve_as_known(known, tenant_id, who) if known else serve_warm(feature, tenant_id, who)


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
        features = list(features_for(actor).order_by("title", "key")) if feature is None else [feature]
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
