"""Look-ups that doors begin with: the thing, or the one NotFound that says the same of what is missing."""

from tenants.actor import Actor
from tenants.errors import NotFound

from .availability import features_for
from .models import CurrentVersion, Feature, Version
from .released import released


def find_feature(key: str, actor: Actor) -> Feature:
    """Return a feature by its key. Raises NotFound, in the same words for one that is not available to a tenant."""
    with actor.present():
        feature = features_for(actor).filter(key=key).first()
    if feature is None:
        raise no_feature(key)
    return feature


def no_feature(key: str) -> NotFound:
    """What is said of a feature that is not there, or not available to a tenant."""
    return NotFound(f"There is no feature {key[:64]}.")


def find_version(feature: Feature, number: int, actor: Actor) -> Version:
    """Return a version that this actor may know of: a tenant knows those released to it. Raises NotFound."""
    with actor.present():
        version = Version.objects.using(actor.db).filter(feature=feature, number=number).first()
        if version is None or (
            actor.tenant is not None and number not in released(feature, actor.tenant_id, actor.acting_for())
        ):
            raise NotFound(f"{feature.key} has no version {number}.")
    return version


def version_row(feature: Feature, number: int, actor: Actor) -> Version | None:
    """A version that the actor is served, or would be, whose release needs no second look; within its transaction."""
    return Version.objects.using(actor.db).filter(feature=feature, number=number).first()


def current_number(feature: Feature, using: str) -> int | None:
    """The feature's current version, or None before there is one."""
    rows = CurrentVersion.objects.using(using).filter(feature=feature, valid_to=None)
    return rows.values_list("version", flat=True).first()
