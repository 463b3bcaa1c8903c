"""Who stays behind, of all features at once: for menus and lists, in one statement where everything is warm."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import connections

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import APP

from .models import Feature
from .reading import STAMPS_SQL, Known, Stamps, stamp_parameters
from .resolve import serve_known, serve_warm
from .served import Served

_NONE = UUID(int=0)
_STAMPS = f"SELECT f.id, {STAMPS_SQL}, clock_timestamp() FROM features_feature f".replace("%(feature)s", "f.id")


def served_everywhere(actor: Actor, features: Sequence[Feature]) -> dict[UUID, Served]:
    """What an actor is served of each feature that serves them; within their transaction."""
    who, found = actor.acting_for(), dict[UUID, Served]()
    with connections[APP].cursor() as cursor:
        cursor.execute(_STAMPS, stamp_parameters(actor.tenant_id, _NONE, who.id))
        stamps: dict[UUID, tuple[Stamps, datetime]] = {row[0]: (tuple(row[1]), row[2]) for row in cursor.fetchall()}
    for feature in features:
        known = Known(feature, *stamps[feature.id]) if feature.id in stamps else None
        served = serve_known(known, actor.tenant_id, who) if known else None
        try:
            found[feature.id] = served or serve_warm(feature, actor.tenant_id, who)
        except NotFound:  # it serves nothing, or not them
            continue
    return found


def staying_behind(actor: Actor, features: Sequence[Feature]) -> dict[UUID, Literal["held", "pin"]]:
    """The features on which an actor is held (by whomever's changes), or has a pin of their own that counts."""
    behind: dict[UUID, Literal["held", "pin"]] = {}
    for feature_id, served in served_everywhere(actor, features).items():
        choice = served.choice
        if choice.held is not None:
            behind[feature_id] = "held"
        elif choice.pin is not None and choice.pin.layer == "user":
            behind[feature_id] = "pin"
    return behind
