"""Rows → choose → engine → what a subject is served: the one bridge from the database to the engine, and its caches.

Everything that serves, explains, previews or goes back in time calls `serve`. It runs inside the actor's transaction.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connections

from features.engine import (
    Choice,
    Compiled,
    Effective,
    Held,
    Holds,
    Json,
    PinRow,
    Revision,
    Situation,
    choose,
    compile_behavior,
    compile_layers,
    held_by,
    replacement,
)
from tenants.errors import Conflict, NotFound
from tenants.isolation import APP, NOBODY
from tenants.subjects import Who, tenant_itself

from .contents import (
    NONE_READ,
    KnownRevisions,
    base_of,
    forget_contents,
    keep_revisions,
    kept_revision,
    read_versions,
    revision_of,
    seen_in,
)
from .kept import Behaviors, Choices
from .models import CurrentVersion, Feature, ModelAlias, ModelTarget, Withdrawal
from .reading import Known, Reading, Stamps, read, read_each, read_stamps
from .receipt import Receipt
from .served import Served
from .validity import unsettled, valid_at

YET_TO_COME = "That moment is yet to come: behavior can be asked for as of now or the past."


def clock(using: str = APP) -> datetime:
    """The database's clock: the only one that behavior is chosen by."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def serve(feature: Feature, tenant_id: UUID, who: Who, at: datetime | None = None) -> Served:
    """Return what a subject is served now, or was served at a past moment, read from the rows.

    Raises NotFound when the feature served nothing at that moment, and Conflict for a moment that is yet to come.
    """
    found = read(feature, tenant_id, who, at)
    if found.at > found.now:
        raise Conflict(YET_TO_COME)
    return serve_as_read(found)


def serve_as_read(found: Reading) -> Served:
    """As `serve`, by what the caller has read already. Raises NotFound when the feature served nothing then."""
    situation = _situation_of(found)
    read_versions(_versions_named(found))
    return serve_reading(found, choose(situation, found.at, _holds(found)))


def serve_reading(found: Reading, choice: Choice) -> Served:
    """Resolve and compile a choice, whoever made it, with what came along in a reading of the same subject."""
    return serve_choice(
        found.feature, found.tenant_id, found.who, choice, found.at, found.stamps,
        aliases=found.aliases, known=found.revisions,
    )  # fmt: skip


def serve_warm(feature: Feature, tenant_id: UUID, who: Who) -> Served:
    """As `serve` for now, in one statement where this process has served the subject under the same stamps.

    In a transaction that has bumped a stamp nothing is taken or kept: rolled back, it would come to mean another thing.
    """
    if not unsettled() and serve_cached(feature.id, tenant_id, who) is not None:
        stamps, now = read_stamps(tenant_id, feature.id, who.id)
        return serve_as_known(Known(feature, stamps, now), tenant_id, who)
    return _serve_anew(feature, tenant_id, who)  # which reads the stamps along


def serve_as_known(known: Known, tenant_id: UUID, who: Who) -> Served:
    """As `serve_warm`, by stamps that were read already: without a statement where they are those of before."""
    return _kept(known, tenant_id, who) or _serve_anew(known.feature, tenant_id, who)


def _kept(known: Known, tenant_id: UUID, who: Who) -> Served | None:
    return None if unsettled() else serve_known(known, tenant_id, who)


def serve_each(pairs: Iterable[tuple[Known, Who]], tenant_id: UUID) -> dict[tuple[UUID, UUID], Served]:
    """As `serve_as_known` of many subjects and features of a tenant, by the ids of both, in their order.

    What this process does not know of them it reads in one statement, and the versions in another. Left out are those
    that serve this tenant nothing.
    """
    asked = list(pairs)
    kept = {(one.feature.id, who.id): _kept(one, tenant_id, who) for one, who in asked}
    readings = read_each([(one.feature, who) for one, who in asked if not kept[one.feature.id, who.id]], tenant_id)
    read_versions(place for found in readings for place in _versions_named(found))
    for found in readings:
        with suppress(NotFound):
            kept[found.feature.id, found.who.id] = _keep(found)
    return {place: served for place, served in kept.items() if served is not None}


def serve_known(known: Known, tenant_id: UUID, who: Who) -> Served | None:
    """As `serve_warm`, without any statement, by what the request has read already; None where it must be read."""
    cached = _choices.get(known.feature.id, tenant_id, who, known.stamps, known.now)
    return None if cached is None else replace(cached, at=known.now, who=who, stamps=known.stamps)


def serve_cached(feature_id: UUID, tenant_id: UUID, who: Who) -> Served | None:
    """What this process last served a subject, unverified: for whoever then writes under its stamps, or asks again."""
    return _choices.last(feature_id, tenant_id, who)


def choice_now(
    feature: Feature,
    tenant_id: UUID,
    who: Who,
    at: datetime | None = None,
    change: Callable[[Situation], Situation] = lambda situation: situation,
) -> Choice:
    """What a subject would be on if the rows were changed so: for impact, previews and unpinning. Raises NotFound."""
    found = read(feature, tenant_id, who, at)
    return choose(change(_situation_of(found)), found.at, _holds(found))


def holds_for(feature_id: UUID, tenant_id: UUID, who_id: UUID, known: KnownRevisions = NONE_READ) -> Holds:
    """Who stays off which version, for a subject of the present tenant, by their revisions' numbers.

    `known` are revisions that the caller has read, by subject and number.
    """

    def held(base: int, tenant: int | None, user: int | None) -> Held | None:
        if tenant is None and user is None:
            return None
        if unsettled():
            ours, theirs = (
                revision_of(feature_id, tenant_id, tenant, known),
                revision_of(feature_id, who_id, user, known),
            )
            return held_by(base_of(feature_id, base), ours, theirs, bases=lambda number: base_of(feature_id, number))
        return _held(feature_id, base, _named(tenant_id, tenant), _named(who_id, user))

    return held


def _serve_anew(feature: Feature, tenant_id: UUID, who: Who) -> Served:
    return _keep(read(feature, tenant_id, who))


def _keep(found: Reading) -> Served:
    served = serve_as_read(found)
    if not unsettled():
        _choices.put(found.feature.id, found.tenant_id, served, _by_subject(found))
    return served


def _situation_of(found: Reading) -> Situation:
    if found.situation is None:
        raise NotFound(f"{found.feature.key} served nothing at that moment.")
    if not found.available:  # the very words of a feature that is not there
        raise NotFound(f"There is no feature {found.feature.key[:64]}.")
    return found.situation


def _holds(found: Reading) -> Holds:
    keep_revisions(found.feature.id, found.revisions)
    return holds_for(found.feature.id, found.tenant_id, found.who.id, found.revisions)


def _versions_named(found: Reading) -> set[tuple[UUID, int]]:
    """The versions that a subject may be on, and those that somebody saw when they changed what they stand on."""
    situation = found.situation
    if situation is None:
        return set()
    pins = (pin.base for pin in (situation.tenant_pin, situation.user_pin) if pin)
    stage = [situation.stage.version] if situation.stage else []
    numbers = {situation.current, *pins, *stage, *situation.withdrawn.values(), *seen_in(found.revisions)}
    return {(found.feature.id, number) for number in numbers}


def _by_subject(found: Reading) -> bool:
    """Whether subjects without anything of their own can differ from each other: in a rollout by users."""
    stage = found.situation.stage if found.situation else None
    return stage is not None and stage.unit == "user"


def _named(subject_id: UUID, number: int | None) -> tuple[UUID, int] | None:
    return None if number is None else (subject_id, number)


@lru_cache(maxsize=16_384)
def _held(feature_id: UUID, base: int, tenant: tuple[UUID, int] | None, user: tuple[UUID, int] | None) -> Held | None:
    ours = None if tenant is None else kept_revision(feature_id, *tenant)
    theirs = None if user is None else kept_revision(feature_id, *user)
    return held_by(base_of(feature_id, base), ours, theirs, bases=lambda number: base_of(feature_id, number))


def serve_vendor(feature: Feature, at: datetime | None = None) -> Served:
    """What the vendor's current version is by itself, for operators, who are in no tenant. Raises NotFound."""
    now = clock()
    if at is not None and at > now:
        raise Conflict(YET_TO_COME)
    moment = now if at is None else at
    current = CurrentVersion.objects.filter(valid_at(moment), feature=feature).first()
    if current is None:
        raise NotFound(f"{feature.key} served nothing at that moment.")
    stopped = Withdrawal.objects.filter(valid_at(moment), feature=feature).values_list("version", "replacement")
    base = replacement(current.version, dict(stopped))
    choice = Choice(
        base=base, tenant=None, user=None, pin=None, fresh_until=None, users_may_override=True, wanted=current.version,
        withdrawn=current.version if base != current.version else None,
    )  # fmt: skip
    return serve_choice(feature, NOBODY, tenant_itself(NOBODY), choice, moment, ())


def serve_choice(
    feature: Feature, tenant_id: UUID, who: Who, choice: Choice, at: datetime, stamps: Stamps, *,
    tenant: Revision | None = None, user: Revision | None = None, aliases: Mapping[str, ModelTarget] | None = None,
    known: KnownRevisions = NONE_READ,
) -> Served:  # fmt: skip
    """Resolve and compile a choice, whoever made it: the pointers, a pin that is only being considered, a receipt.

    `tenant` and `user` stand in for the revisions that the choice names (what is only proposed); `aliases` are the
    targets valid at the moment, `known` revisions by subject and number, where the caller has read them.
    """
    base = base_of(feature.id, choice.base)
    proposed = tenant is not None or user is not None
    tenant = tenant or revision_of(feature.id, tenant_id, choice.tenant, known)
    user = user or (None if who.is_tenant else revision_of(feature.id, who.id, choice.user, known))
    if proposed or unsettled():  # what is only proposed, or may yet be rolled back, is kept by nobody
        effective, compiled = compile_layers(
            base, tenant, user, users_may_override=choice.users_may_override, compiler=_interned
        )
    else:
        effective, compiled = _compiled(
            feature.id,
            choice.base,
            (tenant_id, tenant.number) if tenant else None,
            (who.id, user.number) if user else None,
            choice.users_may_override,
        )
    pinned = choice.pin.targets if choice.pin is not None and choice.pin.kind == "snapshot" else {}
    targets, substituted = _targets([compiled.model, *compiled.fallbacks], pinned, at, aliases)
    receipt = Receipt(
        digest=effective.digest,
        base=choice.base,
        tenant=choice.tenant,
        user=choice.user if choice.users_may_override else None,
        pin=_pin_json(choice.pin),
        held={"by": choice.held.by, "fields": list(choice.held.fields), "wanted": choice.wanted}
        if choice.held
        else None,
        rollout={"id": choice.rollout.rollout, "to": choice.rollout.version} if choice.rollout else None,
        withdrawn={"version": choice.withdrawn, "replacement": choice.base} if choice.withdrawn is not None else None,
        model_target=target_json(targets.get(compiled.model)),
        substituted=substituted,
    )
    return Served(
        feature=feature, who=who, choice=choice, base=base, tenant=tenant, user=user, effective=effective,
        compiled=compiled, targets=targets, receipt=receipt, at=at, stamps=stamps,
    )  # fmt: skip


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
    ours = None if tenant is None else kept_revision(feature_id, *tenant)
    theirs = None if user is None else kept_revision(feature_id, *user)
    return compile_layers(
        base_of(feature_id, base), ours, theirs, users_may_override=users_may_override, compiler=_interned
    )


def _interned(fields: Mapping[str, Json], digest: str) -> Compiled:
    """Compile a behavior once per digest, and once more where another's fields have the same one."""
    kept = _behaviors.get(digest, fields)
    if kept is None:
        kept = compile_behavior(fields, digest)
        _behaviors.put(digest, fields, kept)
    return kept


def target_json(target: ModelTarget | None) -> dict[str, Any] | None:
    """How a receipt names a model target."""
    if target is None:
        return None
    return {"alias": target.alias, "revision": target.revision, "provider": target.provider, "model": target.model}


def meant_at(at: datetime) -> dict[str, ModelTarget]:
    """The target that each alias meant at a moment."""
    rows = ModelAlias.objects.select_related("target").filter(valid_at(at))
    return {row.alias: row.target for row in rows}


def _targets(
    names: Iterable[str], pinned: Mapping[str, int], at: datetime, aliases: Mapping[str, ModelTarget] | None
) -> tuple[dict[str, ModelTarget], bool]:
    """The target of each alias named: a snapshot's own while it exists, else what the alias means at the moment."""
    wanted = set(names)
    if aliases is None:
        aliases = meant_at(at)
    found = {alias: aliases[alias] for alias in wanted if alias in aliases}
    substituted = False
    for alias, revision in pinned.items():
        if alias in wanted and (alias not in found or found[alias].revision != revision):
            kept = ModelTarget.objects.filter(alias=alias, revision=revision).first()
            if kept is not None and (kept.ends_at is None or kept.ends_at > at):
                found[alias] = kept
            else:
                substituted = True
    return found, substituted


def _pin_json(pin: PinRow | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {
        "id": pin.id,
        "layer": pin.layer,
        "kind": pin.kind,
        "until": pin.until.isoformat().replace("+00:00", "Z") if pin.until else None,
    }


_choices = Choices(20_000)
_behaviors = Behaviors(20_000_000)


def forget() -> None:
    """Empty this process's caches: for tests, which empty the database under it."""
    _choices.clear()
    _behaviors.clear()
    forget_contents()
    _held.cache_clear()
    _compiled.cache_clear()
