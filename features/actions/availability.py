"""Which tenants have a feature, and when it ends for everybody: the vendor's to say."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from features.availability import retires_json
from features.models import Availability, Feature
from features.resolve import clock
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.errors import Invalid, NotFound, Problem
from tenants.isolation import OPERATOR
from tenants.models import Tenant
from tenants.workshop import customers


def set_available(
    feature: Feature,
    *,
    listed_only: bool | None = None,
    tenants: Iterable[str] | None = None,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    by: Actor,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Serve a feature to everybody, or with `listed_only` to the tenants on its list alone; what is not given stays.

    The list is given whole (`tenants`, slugs), or changed (`add`, `remove`). To who is not on it the feature does not
    exist; what they had of it is kept, and counts again with the feature. Returns what `availability_of` does, with how
    many organisations gain and lose the feature. Raises Invalid naming slugs that nobody has.
    """
    with by.doing("feature.manage", feature, dry_run=dry_run) as event:
        bump_vendor(feature.id)
        feature = _locked(feature)
        had = _listed(feature)
        wanted = dict(had) if tenants is None else _by_slug(list(tenants), "/tenants")
        wanted |= _by_slug(list(add), "/add")
        for tenant_id in _by_slug(list(remove), "/remove"):
            wanted.pop(tenant_id, None)
        for tenant_id in had.keys() - wanted.keys():
            supersede(_rows(feature).filter(tenant_id=tenant_id), None)
        for tenant_id in wanted.keys() - had.keys():
            row = Availability(feature=feature, tenant_id=tenant_id, author=by.label)
            supersede(_rows(feature).filter(tenant_id=tenant_id), row)
        everybody = customers().count()
        before = len(had) if feature.listed_only else everybody
        if listed_only is not None:
            feature.listed_only = listed_only
            feature.save(using=OPERATOR, update_fields=["listed_only"])
        after = len(wanted) if feature.listed_only else everybody
        event.detail = {"listed_only": feature.listed_only, "listed": len(wanted), "before": before, "after": after}
        told = _told(feature, wanted)
    return {**told, "served_before": before, "served": after, "dry_run": dry_run}


def set_caching(feature: Feature, seconds: int | None, *, by: Actor, dry_run: bool = False) -> dict[str, int | None]:
    """Say how long an output of the feature answers equal runs: 0 never, None as long as the setting says."""
    with by.doing("feature.manage", feature, dry_run=dry_run) as event:
        bump_vendor(feature.id)
        feature = _locked(feature)
        event.detail = {"cache_seconds": [feature.cache_seconds, seconds]}
        feature.cache_seconds = seconds
        feature.save(using=OPERATOR, update_fields=["cache_seconds"])
    return _caching(feature)


def caching_of(feature: Feature, by: Actor) -> dict[str, int | None]:
    """How long an output of a feature answers equal runs, for operators: as said of it, and in effect."""
    by.need("version.read")
    with by.present():
        return _caching(_locked(feature))


def _caching(feature: Feature) -> dict[str, int | None]:
    seconds = feature.cache_seconds
    return {"seconds": seconds, "effective": settings.CACHE_SECONDS if seconds is None else seconds}


def availability_of(feature: Feature, by: Actor) -> dict[str, Any]:
    """Who has a feature, for operators: {feature, listed_only, tenants (slugs), retires}. Raises Forbidden."""
    by.need("version.read")
    with by.present():
        return _told(feature, _listed(feature))


def retire(feature: Feature, *, at: datetime, message: str = "", by: Actor, dry_run: bool = False) -> dict[str, Any]:
    """Announce that a feature ends at a moment yet to come: from then on nothing of it runs or is saved any more.

    Until then everybody is told of it with the feature. Runs that were taken in before are carried out. Saying it again
    moves the moment. Raises Invalid for a moment that has passed.
    """
    with by.doing("feature.manage", feature, dry_run=dry_run) as event:
        bump_vendor(feature.id)
        if at <= clock(OPERATOR):
            wrong = Problem("/at", "min", "must be in the future: people need notice")
            raise Invalid("A feature cannot be retired in the past.", errors=[wrong])
        told = _set_retirement(feature, at, message)
        event.detail = {"retires": at.isoformat(), "message": message}
    return {**told, "dry_run": dry_run}


def unretire(feature: Feature, *, by: Actor, dry_run: bool = False) -> dict[str, Any]:
    """Let a feature go on, or run again after all. Raises NotFound where it is not to be retired."""
    with by.doing("feature.manage", feature, dry_run=dry_run) as event:
        bump_vendor(feature.id)
        if _locked(feature).retires_at is None:
            raise NotFound(f"{feature.key} is not to be retired.")
        told = _set_retirement(feature, None, "")
        event.detail = {"retires": None}
    return {**told, "dry_run": dry_run}


def _set_retirement(feature: Feature, at: datetime | None, message: str) -> dict[str, Any]:
    row = _locked(feature)
    row.retires_at, row.retiring = at, message
    row.save(using=OPERATOR, update_fields=["retires_at", "retiring"])
    return _told(row, _listed(row))


def _locked(feature: Feature) -> Feature:
    """The feature as it is now: the stamp that was bumped holds its lock."""
    return Feature.objects.using(OPERATOR).get(pk=feature.pk)


def _rows(feature: Feature) -> Any:
    return Availability.objects.using(OPERATOR).filter(feature=feature)


def _listed(feature: Feature) -> dict[UUID, str]:
    rows = _rows(feature).filter(valid_to=None).values_list("tenant_id", "tenant__slug")
    return dict(rows.order_by("tenant__slug"))


def _by_slug(slugs: list[str], at: str) -> dict[UUID, str]:
    found = {slug: key for key, slug in Tenant.objects.using(OPERATOR).filter(slug__in=slugs).values_list("id", "slug")}
    unknown = [
        Problem(f"{at}/{i}", "tenant", f"there is no organisation {slug[:60]}")
        for i, slug in enumerate(slugs)
        if slug not in found
    ]
    if unknown:
        raise Invalid("Some of these organisations do not exist.", errors=unknown)
    return {key: slug for slug, key in found.items()}


def _told(feature: Feature, listed: dict[UUID, str]) -> dict[str, Any]:
    return {
        "feature": feature.key,
        "listed_only": feature.listed_only,
        "tenants": sorted(listed.values()),
        "retires": retires_json(feature),
    }
