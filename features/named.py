"""Who names a model alias: versions, organisations' and users' overrides, and the snapshot pins that stay on a target.

Counts and names for operators. Overrides are read tenant by tenant, each in its own tenant's transaction, because the
operator's role cannot read them; nothing of what they say is answered but how many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from features.engine import Json
from tenants.isolation import OPERATOR, tenant_tx
from tenants.models import Tenant

from .models import CurrentVersion, Override, Pin, Version

MOST_TENANTS = 500  # whose overrides are read for one answer; it says how many there are in all
MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class Named:
    """versions: by feature's key, those that name the alias, and whether the current one is among them.

    overrides: how many organisations' and users' overrides name it, in the first `read` of `tenants` organisations that
    changed anything. pins: on each target of the alias, or on one. listed: the organisations of those pins.
    """

    alias: str
    versions: tuple[Mapping[str, Any], ...]
    overrides: Mapping[str, int]
    read: int
    tenants: int
    pins: tuple[Mapping[str, int], ...]
    listed: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "versions": list(self.versions),
            "overrides": {**self.overrides, "read": self.read, "tenants": self.tenants},
            "pins": list(self.pins),
            "pinned_tenants": list(self.listed),
        }


def named_by(alias: str, revision: int | None = None) -> Named:
    """Return who names an alias; of pins those on any of its targets, or those on one alone."""
    owners = Override.objects.using(OPERATOR).filter(valid_to=None).values_list("tenant_id", flat=True)
    tenants = list(owners.distinct().order_by("tenant_id"))
    overrides = {"by_tenants": 0, "by_users": 0}
    for tenant_id in tenants[:MOST_TENANTS]:
        ours, theirs = _overrides(tenant_id, alias)
        overrides["by_tenants"] += ours
        overrides["by_users"] += theirs
    pins = _pins(alias, revision)
    return Named(
        alias=alias,
        versions=tuple(_versions(alias)),
        overrides=overrides,
        read=min(len(tenants), MOST_TENANTS),
        tenants=len(tenants),
        pins=tuple(_by_revision(pins)),
        listed=tuple(_by_tenant(pins)),
    )


def _versions(alias: str) -> list[dict[str, Any]]:
    current = dict(CurrentVersion.objects.using(OPERATOR).filter(valid_to=None).values_list("feature__key", "version"))
    found: dict[str, list[int]] = {}
    rows = Version.objects.using(OPERATOR).values_list("feature__key", "number", "behavior")
    for key, number, behavior in rows.order_by("feature__key", "number").iterator():
        if _names(behavior, alias):
            found.setdefault(key, []).append(number)
    return [
        {"feature": key, "versions": numbers, "current": current.get(key) in numbers} for key, numbers in found.items()
    ]


def _names(fields: Mapping[str, Json], alias: str) -> bool:
    fallbacks = fields.get("model.fallbacks")
    return fields.get("model.name") == alias or (isinstance(fallbacks, list) and alias in fallbacks)


def _overrides(tenant_id: UUID, alias: str) -> tuple[int, int]:
    """How many live overrides of a tenant name an alias: its own (over all features), and its users'."""
    ours = theirs = 0
    with tenant_tx(tenant_id):
        rows = Override.objects.filter(valid_to=None, operations__contains='"model.')
        for subject_id, operations in rows.values_list("subject_id", "operations"):
            if _names({row["field"]: row["value"] for row in operations}, alias):
                ours, theirs = (ours + 1, theirs) if subject_id == tenant_id else (ours, theirs + 1)
    return ours, theirs


def _pins(alias: str, revision: int | None) -> Any:
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    rows = Pin.objects.using(OPERATOR).filter(live, kind=Pin.Kind.SNAPSHOT, targets__has_key=alias)
    rows = rows.annotate(target=KT(f"targets__{alias}"))
    return rows if revision is None else rows.filter(target=str(revision))


def _by_revision(pins: Any) -> list[dict[str, int]]:
    counted = pins.values("target").annotate(pins=Count("id"), in_tenants=Count("tenant_id", distinct=True))
    told = [{"revision": int(row["target"]), "pins": row["pins"], "tenants": row["in_tenants"]} for row in counted]
    return sorted(told, key=lambda row: row["revision"])


def _by_tenant(pins: Any) -> list[dict[str, Any]]:
    """The organisations with the most of these pins, and whether one is the organisation's own."""
    counted = pins.values("tenant_id").annotate(pins=Count("id"), own=Count("id", filter=Q(subject_id=F("tenant_id"))))
    rows = list(counted.order_by("-pins", "tenant_id")[:MOST_LISTED])
    slugs = dict(
        Tenant.objects.using(OPERATOR).filter(pk__in=[row["tenant_id"] for row in rows]).values_list("id", "slug")
    )
    return [{"tenant": slugs[row["tenant_id"]], "pins": row["pins"], "own": row["own"] > 0} for row in rows]
