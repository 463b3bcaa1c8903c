"""Who names a model alias: versions, organisations' and users' overrides, and the snapshot pins that stay on a target.

Counts and names for operators, in four statements whatever there is. The operator's role cannot read what overrides
say; the aliases that one names stand beside its texts, in a column of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from features.engine import Json, Operation
from tenants.isolation import OPERATOR

from .models import CurrentVersion, Override, Pin, Version

MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class Named:
    """versions: by feature's key, those that name the alias, and whether the current one is among them.

    overrides: how many of organisations and of users name it, and in how many organisations. pins: on each target of
    the alias, or on one. listed: the organisations of those pins.
    """

    alias: str
    versions: tuple[Mapping[str, Any], ...]
    overrides: Mapping[str, int]
    pins: tuple[Mapping[str, int], ...]
    listed: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "versions": list(self.versions),
            "overrides": self.overrides,
            "pins": list(self.pins),
            "pinned_tenants": list(self.listed),
        }


def named_by(alias: str, revision: int | None = None) -> Named:
    """Return who names an alias; of pins those on any of its targets, or those on one alone."""
    pins = _pins(alias, revision)
    return Named(
        alias=alias,
        versions=tuple(_versions(alias)),
        overrides=_overrides(alias),
        pins=tuple(_by_revision(pins)),
        listed=tuple(_by_tenant(pins)),
    )


def aliases_in(operations: Iterable[Operation]) -> list[str]:
    """The aliases that an override's operations name, each once and sorted."""
    return sorted(_aliases({operation.field: operation.value for operation in operations}))


def _aliases(fields: Mapping[str, Json]) -> set[str]:
    fallbacks = fields.get("model.fallbacks")
    named = [fields.get("model.name"), *(fallbacks if isinstance(fallbacks, list) else ())]
    return {alias for alias in named if isinstance(alias, str)}


def _versions(alias: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    pointer = CurrentVersion.objects.filter(feature=OuterRef("feature"), version=OuterRef("number"), valid_to=None)
    rows = Version.objects.using(OPERATOR).annotate(current=Exists(pointer)).order_by("feature__key", "number")
    for key, number, current, behavior in rows.values_list("feature__key", "number", "current", "behavior").iterator():
        if alias in _aliases(behavior):
            row = found.setdefault(key, {"feature": key, "versions": [], "current": False})
            row["versions"].append(number)
            row["current"] |= current
    return list(found.values())


def _overrides(alias: str) -> dict[str, int]:
    """How many live overrides name an alias: organisations' own (over all features), their users', and of how many."""
    rows = Override.objects.using(OPERATOR).filter(~Q(aliases=[]), valid_to=None, aliases__contains=[alias])
    own = Q(subject_id=F("tenant_id"))
    return rows.aggregate(
        by_tenants=Count("id", filter=own), by_users=Count("id", filter=~own), tenants=Count("tenant_id", distinct=True)
    )


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
    own = Count("id", filter=Q(subject_id=F("tenant_id")))
    counted = pins.values("tenant_id", "tenant__slug").annotate(pins=Count("id"), own=own)
    rows = counted.order_by("-pins", "tenant_id")[:MOST_LISTED]
    return [{"tenant": row["tenant__slug"], "pins": row["pins"], "own": row["own"] > 0} for row in rows]
