"""Model targets and the aliases that behavior names them by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, Exists, Func, OuterRef

from features.engine import check_field
from features.models import MODELS, ModelAlias, ModelTarget
from features.named import Named, named_by
from features.validity import bump_vendor, supersede
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.isolation import OPERATOR

OfAlias = tuple[str, int | None, list[ModelTarget]]


@dataclass(frozen=True, slots=True)
class Remapped:
    """A target as it is after a change, the revision that its alias meant before, and who names the alias."""

    target: ModelTarget
    before: int | None
    current: bool
    named: Named


def add_target(
    *,
    alias: str,
    provider: str,
    model: str,
    input_price: int,
    output_price: int,
    cached_input_price: int | None = None,
    capabilities: Mapping[str, Any] | None = None,
    by: Actor,
) -> ModelTarget:
    """Add the next immutable target of an alias and point the alias to it.

    Prices are micro-units of the currency per million tokens; cached input costs as input where nothing is said.
    Raises Invalid for a name that cannot be an alias.
    """
    target = _new(alias, provider, model, input_price, output_price, cached_input_price, capabilities)
    _add(target, by, dry_run=False)
    return target


def rehearse_target(
    *,
    alias: str,
    provider: str,
    model: str,
    input_price: int,
    output_price: int,
    cached_input_price: int | None = None,
    capabilities: Mapping[str, Any] | None = None,
    by: Actor,
) -> Remapped:
    """As `add_target`, carried out and taken back: the target that would be, and whom it would reach."""
    target = _new(alias, provider, model, input_price, output_price, cached_input_price, capabilities)
    before = _add(target, by, dry_run=True)
    return Remapped(target, before, current=True, named=named_by(alias))


def point_alias(alias: str, revision: int, *, by: Actor, dry_run: bool = False) -> Remapped:
    """Let an alias mean another of its targets. Raises NotFound, and Conflict for a target that ends or has ended.

    Everybody whose behavior names the alias is asked with that target from the next run on; snapshot pins keep theirs.
    """
    target = _find(alias, revision)
    with by.doing("model.manage", target, dry_run=dry_run) as event:
        bump_vendor(MODELS)
        now = _read(alias)
        target, before = now.find(revision), now.current
        if target.ends_at is not None:
            raise Conflict(f"Target {revision} of {alias} ends on {_day(target.ends_at)}: take that back first.")
        _point(alias, target, by)
        event.detail = {"alias": alias, "from": before, "revision": revision}
    return Remapped(target, before, current=True, named=named_by(alias))


def end_target(
    alias: str, revision: int, *, at: datetime | None, replacement: int | None = None, by: Actor, dry_run: bool = False
) -> Remapped:
    """Serve a target until a moment, None: until now. Whoever still names it then is served what the alias means.

    The target that the alias means cannot end: name the `replacement` that the alias means from now on. Snapshot pins
    that named it say from then on that theirs was substituted. Raises NotFound, Conflict, and Invalid for the past.
    """
    target = _find(alias, revision)
    with by.doing("model.manage", target, dry_run=dry_run) as event:
        bump_vendor(MODELS)
        now = _read(alias)
        target, before = now.find(revision), now.current
        if at is not None and at <= now.at:
            raise Invalid("A target cannot end in the past.", errors=[Problem("/ends", "min", "must be in the future")])
        if target.ends_at is not None and target.ends_at <= now.at:
            raise Conflict(f"Target {revision} of {alias} ended on {_day(target.ends_at)}.")
        if before == revision and replacement is None:
            raise Conflict(f"{alias} means target {revision}: name the replacement that it is to mean instead.")
        if before != revision and replacement is not None:
            raise Conflict(f"{alias} means target {before} already: there is nothing to replace.")
        if replacement is not None:
            _point(alias, _stand_in(now, revision, replacement), by)
        target.ends_at = at or now.at
        target.save(using=OPERATOR, update_fields=["ends_at"])
        event.detail = {"alias": alias, "revision": revision, "ends": target.ends_at.isoformat()}
    return Remapped(target, before, current=before == revision and replacement is None, named=named_by(alias, revision))


def keep_target(alias: str, revision: int, *, by: Actor, dry_run: bool = False) -> Remapped:
    """Serve a target without an end again, though it has ended. Raises NotFound, and Conflict where it has no end."""
    target = _find(alias, revision)
    with by.doing("model.manage", target, dry_run=dry_run) as event:
        bump_vendor(MODELS)
        now = _read(alias)
        target, before = now.find(revision), now.current
        if target.ends_at is None:
            raise Conflict(f"Target {revision} of {alias} has no end.")
        target.ends_at = None
        target.save(using=OPERATOR, update_fields=["ends_at"])
        event.detail = {"alias": alias, "revision": revision, "ends": None}
    return Remapped(target, before, current=before == revision, named=named_by(alias, revision))


def target_of(alias: str, revision: int, by: Actor) -> Remapped:
    """A target and whom its end would touch, for operators. Raises Forbidden and NotFound."""
    by.need("model.manage")
    with by.present():
        now = _read(alias)
        target = now.find(revision)
    return Remapped(target, now.current, current=now.current == revision, named=named_by(alias, revision))


def meant_by(alias: str, by: Actor) -> Remapped:
    """The target that an alias means, for operators. Raises Forbidden and NotFound."""
    by.need("model.manage")
    with by.present():
        now = _read(alias)
        target = next(row for row in now.rows if row.revision == now.current)
    return Remapped(target, now.current, current=True, named=named_by(alias, now.current))


def targets_by_alias(by: Actor) -> list[OfAlias]:
    """Each alias, the revision that it means, and its targets, the newest first; for operators. Raises Forbidden."""
    by.need("model.manage")
    with by.present():
        targets: dict[str, list[ModelTarget]] = {}
        for target in _marked():
            targets.setdefault(target.alias, []).append(target)
    return [(alias, _meant(found), found) for alias, found in targets.items()]


def _new(
    alias: str, provider: str, model: str, input_price: int, output_price: int, cached_input_price: int | None,
    capabilities: Mapping[str, Any] | None,
) -> ModelTarget:  # fmt: skip
    if check_field(f"vars.{alias}") is not None:
        raise Invalid("This cannot be an alias.", errors=[Problem("/alias", "name", "use a-z, 0-9, - and _")])
    target = ModelTarget(alias=alias, provider=provider, model=model, capabilities=dict(capabilities or {}))
    target.input_price, target.output_price = input_price, output_price
    target.cached_input_price = input_price if cached_input_price is None else cached_input_price
    return target


def _add(target: ModelTarget, by: Actor, *, dry_run: bool) -> int | None:
    """Write a target as its alias's next, and point the alias to it. Returns what the alias meant before."""
    with by.doing("model.manage", target, dry_run=dry_run) as event:
        bump_vendor(MODELS)
        rows = list(_marked().filter(alias=target.alias))
        before = _meant(rows)
        target.revision, target.author = (rows[0].revision if rows else 0) + 1, by.label
        target.save(using=OPERATOR)
        _point(target.alias, target, by)
        event.detail = {"alias": target.alias, "revision": target.revision, "model": target.model}
    return before


@dataclass(frozen=True, slots=True)
class _Targets:
    """An alias's targets, the newest first, which of them it means, and when that was."""

    alias: str
    rows: Sequence[ModelTarget]
    current: int | None
    at: datetime

    def find(self, revision: int) -> ModelTarget:
        target = next((row for row in self.rows if row.revision == revision), None)
        if target is None:
            raise _no_target(self.alias, revision)
        return target


def _read(alias: str) -> _Targets:
    """Read an alias's targets in one statement, and the clock with them. Raises NotFound where it has none."""
    now = Func(function="clock_timestamp", output_field=DateTimeField())
    rows = list(_marked().filter(alias=alias).annotate(now=now))
    if not rows:
        raise NotFound(f"There is no alias {alias}.")
    return _Targets(alias, rows, _meant(rows), rows[0].now)


def _marked() -> Any:
    """The targets by alias, the newest first, each marked as `current` if its alias means it."""
    meant = ModelAlias.objects.filter(target=OuterRef("pk"), valid_to=None)
    return ModelTarget.objects.using(OPERATOR).annotate(current=Exists(meant)).order_by("alias", "-revision")


def _meant(rows: Iterable[Any]) -> int | None:
    return next((row.revision for row in rows if row.current), None)


def _find(alias: str, revision: int) -> ModelTarget:
    target = ModelTarget.objects.using(OPERATOR).filter(alias=alias, revision=revision).first()
    if target is None:
        raise _no_target(alias, revision)
    return target


def _no_target(alias: str, revision: int) -> NotFound:
    return NotFound(f"{alias} has no target {revision}.")


def _stand_in(now: _Targets, revision: int, replacement: int) -> ModelTarget:
    if replacement == revision:
        raise Conflict(f"Target {revision} cannot stand in for itself: name another.")
    target = now.find(replacement)
    if target.ends_at is not None:
        raise Conflict(f"Target {replacement} of {now.alias} ends on {_day(target.ends_at)}: name another.")
    return target


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d at %H:%M} UTC"


def _point(alias: str, target: ModelTarget, by: Actor) -> None:
    rows = ModelAlias.objects.using(OPERATOR).filter(alias=alias)
    supersede(rows, ModelAlias(alias=alias, target=target, author=by.label))
