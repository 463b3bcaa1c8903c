"""Which features there are for somebody, and whether one still runs: listed tenants, and retirement."""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from tenants.actor import Actor
from tenants.errors import Conflict
from tenants.isolation import APP

from .models import Availability, Feature


def features_for(actor: Actor) -> QuerySet[Feature]:
    """The features that exist for an actor: for a tenant those served to everybody, and those it is listed for."""
    if actor.tenant is None:
        return Feature.objects.using(actor.db).all()
    listed = Availability.objects.filter(feature=OuterRef("pk"), tenant_id=actor.tenant.id, valid_to=None)
    return Feature.objects.using(APP).filter(Q(listed_only=False) | Exists(listed))


def refuse_retired(feature: Feature, at: datetime) -> None:
    """Raise Conflict once a feature is retired: nothing runs or is saved any more, everything stays to be read."""
    if feature.retires_at is None or at < feature.retires_at:
        return
    told = f"{feature.title} was retired on {feature.retires_at:%Y-%m-%d at %H:%M} UTC."
    raise Conflict(f"{told} {feature.retiring}".strip(), retired=feature.retires_at.isoformat().replace("+00:00", "Z"))


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of these moments, of which some may never come."""
    return min((moment for moment in moments if moment is not None), default=None)


def retires_json(feature: Feature) -> dict[str, object] | None:
    """What is said of a feature that is to be retired or was: when, and the vendor's words. None for any other."""
    return None if feature.retires_at is None else {"at": feature.retires_at, "message": feature.retiring}
