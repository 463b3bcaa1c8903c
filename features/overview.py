"""All features at once, as lists and menus show them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.subjects import Who, tenant_itself

from .find import no_feature
from .models import Feature
from .reading import Known, read_known
from .resolve import serve_as_known, serve_each, serve_known, serve_warm
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
            return read_known(self.actor.tenant_id, self.actor.acting_for().id)[0]

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

    def beside(self, who: Who) -> list[Served]:
        """What somebody else of the tenant is served of each feature; read with what the actor and the tenant are.

        Left out are features that serve them nothing.
        """
        tenant_id, mine = self.actor.tenant_id, self.actor.acting_for()
        with self.actor.present():
            if "known" in self.__dict__:
                theirs = read_known(tenant_id, who.id)[0]
            else:
                self.__dict__["known"], theirs = read_known(tenant_id, mine.id, who.id)
            ours = [one.of_tenant() for one in theirs]
            asked = ((mine, self.known), (tenant_itself(tenant_id), ours), (who, theirs))
            each = serve_each([(one, whose) for whose, known in asked for one in known], tenant_id)
        return [served for (_, whose), served in each.items() if whose == who.id]

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

    def _read_the_unknown(self, wanted: Feature) -> None:
        """Read at once what this process does not know of what the actor is served, of whatever feature.

        A page shows all of them in its menu, and of the one that is wanted often what the tenant is served too.
        """
        tenant_id, who, itself = self.actor.tenant_id, self.actor.acting_for(), tenant_itself(self.actor.tenant_id)
        asked = [(one, who) for one in self.known]
        asked += [] if who.is_tenant else [(self._by_id[wanted.id].of_tenant(), itself)]
        unknown = [(one, whose) for one, whose in asked if serve_known(one, tenant_id, whose) is None]
        with self.actor.present():
            each = serve_each(unknown, tenant_id)
        for (of, whose), served in each.items():
            self._served[of, "user" if whose == who.id else "tenant"] = served

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
        if known and not unsettled():
            kept = serve_known(known, tenant_id, who)
            if kept is not None:
                return kept  # without a transaction either
            self._read_the_unknown(feature)
            if (feature.id, layer) in self._served:
                return self._served[feature.id, layer]
        with self.actor.present():
            return serve_as_known(known, tenant_id, who) if known else serve_warm(feature, tenant_id, who)
