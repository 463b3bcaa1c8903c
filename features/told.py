"""What webhooks are told of the vendor's changes to a feature: those of whoever has it, and no others."""

from tenants.isolation import OPERATOR
from tenants.webhooks import tell_all

from .models import Availability, Feature


def tell_of(feature: Feature, event: str, **data: int) -> None:
    """Tell of a change to a feature; within the operator's transaction."""
    listed_only = Feature.objects.using(OPERATOR).filter(pk=feature.pk, listed_only=True).exists()  # as it is by now
    listed = Availability.objects.using(OPERATOR).filter(feature=feature, valid_to=None)
    only = list(listed.values_list("tenant_id", flat=True)) if listed_only else None
    tell_all(event, {"feature": feature.key, **data}, tenants=only)
