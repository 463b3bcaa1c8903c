"""Rows → choose → engine → what a subject is served: the one bridge from the database to the engine, and its caches.

Everything that serves, explains, previews or goes back in time calls `serve`. It runs inside the actor's transaction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any
from uuid import UUID

from django.db import connections

from features.engine import (
    Base,
    Choice,
    Compiled,
    Effective,
    PinRow,
    Revision,
    Situation,
    choose,
    compile_layers,
    from_rows,
    parse_rules,
)
from features.engine import Policy as PolicyValue
from tenants.errors import Conflict, NotFound
from tenants.isolation import APP, NOBODY
from tenants.subjects import Who, tenant_itself

from .models import (
    EVERY_FEATURE,
    MODELS,
    CurrentVersion,
    Feature,
    ModelAlias,
    ModelTarget,
    Override,
    Pin,
    Policy,
    Version,
)
from .receipt import Receipt
from .validity import valid_at

Stamps = tuple[int, ...]
YET_TO_COME = "That moment is yet to come: behavior can be asked for as of now or the past."

# One round trip reads every stamp that the choice for a subject depends on. `serve` caches under them, and a run is
# inserted only while they are still the same (runs/accept.py), so that no process ever serves what was changed.
STAMPS_SQL = """ARRAY[
    coalesce((SELECT value FROM features_vendorstamp WHERE scope = %(feature)s), 0),
    coalesce((SELECT value FROM features_vendorstamp WHERE scope = %(models)s), 0),
    coalesce((SELECT value FROM features_stamp
              WHERE tenant_id = %(tenant)s AND feature = %(every)s AND subject = %(tenant)s), 0),
    coalesce((SELECT value FROM features_stamp
              WHERE tenant_id = %(tenant)s AND feature = %(feature)s AND subject = %(tenant)s), 0),
    coalesce((SELECT value FROM features_stamp
              WHERE tenant_id = %(tenant)s AND feature = %(feature)s AND subject = %(subject)s), 0)]::bigint[]"""


@dataclass(frozen=True, slots=True)
class Served:
    """What one subject is served of one feature: the choice, the merged and compiled behavior, targets and receipt."""

    feature: Feature
    who: Who
    choice: Choice
    base: Base
    tenant: Revision | None
    user: Revision | None
    effective: Effective
    compiled: Compiled
    targets: Mapping[str, ModelTarget]
    receipt: Receipt
    at: datetime
    stamps: Stamps

    @property
    def digest(self) -> str:
        return self.effective.digest


def stamp_parameters(tenant_id: UUID, feature_id: UUID, subject_id: UUID) -> dict[str, UUID]:
    """The parameters of STAMPS_SQL."""
    return {
        "tenant": tenant_id,
        "feature": feature_id,
        "subject": subject_id,
        "models": MODELS,
        "every": EVERY_FEATURE,
    }


def clock(using: str = APP) -> datetime:
    """The database's clock: the only one that behavior is chosen by."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def serve(feature: Feature, tenant_id: UUID, who: Who, at: datetime | None = None) -> Served:
    """Return what a subject is served now, or was served at a past moment, read from the rows.

    Raises NotFound when the feature served nothing at that moment, and Conflict for a moment that is yet to come.
    """
    stamps, now = _stamps(tenant_id, feature.id, who.id)
    if at is not None and at > now:
        raise Conflict(YET_TO_COME)
    moment = now if at is None else at
    choice = choose(situation(feature, tenant_id, who, moment), moment)
    return serve_choice(feature, tenant_id, who, choice, moment, stamps)


def serve_warm(feature: Feature, tenant_id: UUID, who: Who) -> Served:
    """As `serve` for now, in one statement where this process has served the subject under the same stamps.

    Never called where the transaction has bumped a stamp: rolled back, the same stamp would come to mean another thing.
    """
    stamps, now = _stamps(tenant_id, feature.id, who.id)
    key = (feature.id, tenant_id, who.id)
    cached = _choices.get(key, stamps, now)
    if cached is not None:
        return replace(cached, at=now)
    choice = choose(situation(feature, tenant_id, who, now), now)
    served = serve_choice(feature, tenant_id, who, choice, now, stamps)
    _choices.put(key, served)
    return served


def serve_vendor(feature: Feature, at: datetime | None = None) -> Served:
    """What the vendor's current version is by itself, for operators, who are in no tenant. Raises NotFound."""
    now = clock()
    if at is not None and at > now:
        raise Conflict(YET_TO_COME)
    moment = now if at is None else at
    current = CurrentVersion.objects.filter(valid_at(moment), feature=feature).first()
    if current is None:
        raise NotFound(f"{feature.key} served nothing at that moment.")
    choice = Choice(base=current.version, tenant=None, user=None, pin=None, fresh_until=None, users_may_override=True)
    return serve_choice(feature, NOBODY, tenant_itself(NOBODY), choice, moment, ())


def serve_choice(feature: Feature, tenant_id: UUID, who: Who, choice: Choice, at: datetime, stamps: Stamps) -> Served:
    """Resolve and compile a choice, whoever made it: the pointers, a pin that is only being considered, a receipt."""
    base = base_of(feature.id, choice.base)
    tenant = _revision(feature.id, tenant_id, choice.tenant)
    user = None if who.is_tenant else _revision(feature.id, who.id, choice.user)
    effective, compiled = _compiled(
        feature.id,
        choice.base,
        (tenant_id, tenant.number) if tenant else None,
        (who.id, user.number) if user else None,
        choice.users_may_override,
    )
    pinned = choice.pin.targets if choice.pin is not None and choice.pin.kind == "snapshot" else {}
    targets, substituted = _targets([compiled.model, *compiled.fallbacks], pinned, at)
    receipt = Receipt(
        digest=effective.digest,
        base=choice.base,
        tenant=choice.tenant,
        user=choice.user if choice.users_may_override else None,
        pin=_pin_json(choice.pin),
        model_target=target_json(targets.get(compiled.model)),
        substituted=substituted,
    )
    return Served(
        feature=feature, who=who, choice=choice, base=base, tenant=tenant, user=user, effective=effective,
        compiled=compiled, targets=targets, receipt=receipt, at=at, stamps=stamps,
    )  # fmt: skip


def situation(feature: Feature, tenant_id: UUID, who: Who, at: datetime) -> Situation:
    """Read the rows valid at a moment that decide what a subject is served. Raises NotFound before there was any."""
    valid = valid_at(at)
    current = CurrentVersion.objects.filter(valid, feature=feature).first()
    if current is None:
        raise NotFound(f"{feature.key} served nothing at that moment.")
    policy = Policy.objects.filter(valid, tenant_id=tenant_id).first()
    subjects = {tenant_id, who.id}
    pins = {row.subject_id: row for row in Pin.objects.filter(valid, feature=feature, subject_id__in=subjects)}
    newest = dict(
        Override.objects.filter(valid, feature=feature, subject_id__in=subjects).values_list("subject_id", "number")
    )
    rows: list[Any] = [current, *pins.values(), *([policy] if policy else [])]
    ends = [row.valid_to for row in rows if row.valid_to is not None]
    own_pin = None if who.is_tenant else pins.get(who.id)
    return Situation(
        current=current.version,
        tenant_pin=pin_row(pins.get(tenant_id), "tenant"),
        user_pin=pin_row(own_pin, "user"),
        tenant_newest=newest.get(tenant_id),
        user_newest=None if who.is_tenant else newest.get(who.id),
        policy=policy_value(policy),
        changes_at=min(ends, default=None),
    )


def policy_value(policy: Policy | None) -> PolicyValue:
    """What the engine makes of a tenant's policy row; a tenant without one lets its users pin and override."""
    if policy is None:
        return PolicyValue(users_may_pin=True, users_may_override=True)
    may_pin: bool | int = policy.users_may_pin == "yes"
    if policy.users_may_pin.isdigit():
        may_pin = int(policy.users_may_pin)
    return PolicyValue(users_may_pin=may_pin, users_may_override=policy.users_may_override)


@lru_cache(maxsize=4096)
def base_of(feature_id: UUID, number: int) -> Base:
    """Return a published version as the engine's base layer, kept since it never changes. Raises NotFound."""
    version = Version.objects.filter(feature_id=feature_id, number=number).first()
    if version is None:
        raise NotFound(f"There is no version {number}.")
    return Base(number, version.behavior, parse_rules(version.rules, layer="base"))


@lru_cache(maxsize=2048)
def _compiled(
    feature_id: UUID,
    base: int,
    tenant: tuple[UUID, int] | None,
    user: tuple[UUID, int] | None,
    users_may_override: bool,
) -> tuple[Effective, Compiled]:
    """Merge and compile once per combination of immutable numbers; whoever has no layer of their own shares it.

    `tenant` and `user` are (subject, revision). The rows are kept by `_revision`, in the tenant's own transaction.
    """
    ours = None if tenant is None else _kept_revision(feature_id, *tenant)
    theirs = None if user is None else _kept_revision(feature_id, *user)
    return compile_layers(base_of(feature_id, base), ours, theirs, users_may_override=users_may_override)


def target_json(target: ModelTarget | None) -> dict[str, Any] | None:
    """How a receipt names a model target."""
    if target is None:
        return None
    return {"alias": target.alias, "revision": target.revision, "provider": target.provider, "model": target.model}


def released(feature: Feature) -> set[int]:
    """The versions released to tenants: those that were ever current. To others they do not exist."""
    return set(CurrentVersion.objects.filter(feature=feature).values_list("version", flat=True))


def _stamps(tenant_id: UUID, feature_id: UUID, subject_id: UUID) -> tuple[Stamps, datetime]:
    with connections[APP].cursor() as cursor:
        cursor.execute(f"SELECT {STAMPS_SQL}, clock_timestamp()", stamp_parameters(tenant_id, feature_id, subject_id))
        values, now = cursor.fetchone()
    return tuple(values), now


def revision_row(feature_id: UUID, subject_id: UUID, number: int) -> Override:
    """One revision of an override in the present tenant. Raises NotFound."""
    row = Override.objects.filter(feature_id=feature_id, subject_id=subject_id, number=number).first()
    if row is None:
        raise NotFound(f"There is no revision {number}.")
    return row


def as_revision(row: Override) -> Revision:
    """An override's row as the engine's layer."""
    return Revision(row.number, from_rows(row.operations), parse_rules(row.rules, layer="tenant"))


@lru_cache(maxsize=8192)
def _kept_revision(feature_id: UUID, subject_id: UUID, number: int) -> Revision:
    return as_revision(revision_row(feature_id, subject_id, number))


def _revision(feature_id: UUID, subject_id: UUID, number: int | None) -> Revision | None:
    return None if number is None else _kept_revision(feature_id, subject_id, number)


def _targets(aliases: Iterable[str], pinned: Mapping[str, int], at: datetime) -> tuple[dict[str, ModelTarget], bool]:
    wanted = set(aliases)
    found = {
        row.alias: row.target
        for row in ModelAlias.objects.select_related("target").filter(valid_at(at), alias__in=wanted)
    }
    substituted = False
    for alias, revision in pinned.items():
        if alias in wanted and found.get(alias) is not None and found[alias].revision != revision:
            kept = ModelTarget.objects.filter(alias=alias, revision=revision).first()
            found[alias], substituted = (kept, substituted) if kept else (found[alias], True)
    return found, substituted


def pin_row(row: Pin | None, layer: Any) -> PinRow | None:
    """A pin's row as the engine's value; None for none."""
    if row is None:
        return None
    return PinRow(
        layer=layer,
        kind="snapshot" if row.kind == Pin.Kind.SNAPSHOT else "base",
        base=row.base,
        tenant_revision=row.tenant_revision,
        user_revision=row.user_revision,
        targets=row.targets,
        created=row.created_at,
        until=row.until,
        id=str(row.id),
    )


def _pin_json(pin: PinRow | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {
        "id": pin.id,
        "layer": pin.layer,
        "kind": pin.kind,
        "until": pin.until.isoformat().replace("+00:00", "Z") if pin.until else None,
    }


class _Choices:
    """What was served to whom, kept per process while the stamps stand and nothing that it read has ended."""

    def __init__(self, size: int) -> None:
        self._size, self._kept, self._lock = size, dict[tuple[UUID, UUID, UUID], Served](), Lock()

    def get(self, key: tuple[UUID, UUID, UUID], stamps: Stamps, now: datetime) -> Served | None:
        served = self._kept.get(key)
        if served is None or served.stamps != stamps:
            return None
        ends = served.choice.fresh_until
        return served if ends is None or now < ends else None

    def put(self, key: tuple[UUID, UUID, UUID], served: Served) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = served
            if len(self._kept) > self._size:
                self._kept.pop(next(iter(self._kept)))

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_choices = _Choices(20_000)


def forget() -> None:
    """Empty this process's caches: for tests, which empty the database under it."""
    _choices.clear()
    base_of.cache_clear()
    _kept_revision.cache_clear()
    _compiled.cache_clear()
