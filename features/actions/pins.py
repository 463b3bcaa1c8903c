"""Staying where one is: pins, and putting behavior back as it was at a moment or in a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from features.availability import earliest, refuse_retired
from features.engine import Change, Choice, PinRow, diff
from features.explain import Viewer, hidden_between
from features.models import Feature, Pin, Withdrawal
from features.reading import Reading, policy_value, read, read_to_write
from features.receipt import Receipt
from features.released import released
from features.resolve import choice_now, clock, serve, serve_as_read, serve_reading
from features.served import Served
from features.validity import supersede
from features.withdrawn import withdrawals_now
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem, Stale
from tenants.isolation import APP
from tenants.privacy import erased_at
from tenants.subjects import Who

from .judging import Layer
from .overrides import ANY, Expected, whose
from .policy import policy_now


@dataclass(frozen=True, slots=True)
class Moved:
    """What a pin, its end, or a restore does to one subject: receipts before and after, and the fields that change."""

    before: Receipt
    after: Receipt
    changes: tuple[Change, ...]
    pin: Pin | None
    previous: Pin | None = None  # the pin in whose place it came, which `restore` can put back
    hidden: frozenset[str] = frozenset()  # the fields whose text the layer may not see: on either side, or today


@dataclass(frozen=True, slots=True)
class Restored:
    """How far a restore brings a subject back. `wanted` is the digest of the moment or run that was asked for."""

    result: Literal["exact", "substituted"]
    reasons: tuple[str, ...]
    wanted: str
    moved: Moved


def pin_now(feature: Feature, who: Who) -> Pin | None:
    """The pin in force of a subject of the present tenant, whether or not the policy lets it count."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    return Pin.objects.filter(live, feature=feature, subject_id=who.id, valid_from__lte=Now()).first()


def pin(
    feature: Feature,
    layer: Layer,
    *,
    kind: str,
    version: int | None = None,
    reason: str = "",
    until: datetime | None = None,
    expected: Expected = ANY,
    by: Actor,
    dry_run: bool = False,
) -> Moved:
    """Stay on a released version (`base`), or on exactly what is served now (`snapshot`), perhaps until a given time.

    Raises NotFound for a version not released, Invalid where the tenant's policy forbids it or for an end in the past,
    Stale when the pin is not the one that is `expected`.
    """
    who = whose(layer, by)

    def make(_: Reading, served: Served) -> Pin:
        row = _snapshot(served.choice, served) if kind == Pin.Kind.SNAPSHOT else Pin(base=version or 0)
        if row.base not in released(feature, by.tenant_id, who):
            raise NotFound(f"{feature.key} has no version {version}.")
        row.kind, row.reason, row.until = kind, reason, until
        return row

    return _move(feature, layer, who, make, "pin", by, dry_run, expected=expected)


def unpin(feature: Feature, layer: Layer, *, expected: Expected = ANY, by: Actor, dry_run: bool = False) -> Moved:
    """Follow the vendor (and the organisation) again. Answers what changes. Raises NotFound without one, and Stale."""
    who = whose(layer, by)

    def end(found: Reading, _: Served) -> None:
        if found.pin is None:
            raise NotFound("There is no pin to end.")

    return _move(feature, layer, who, end, "unpin", by, dry_run, expected=expected)


@dataclass(frozen=True, slots=True)
class Marks:
    """What bears on pins and is not in their rows: the versions withdrawn, and how long users may stay."""

    stopped: dict[int, Withdrawal]
    users_may_pin: bool | int
    now: datetime

    def ends(self, row: Pin) -> datetime | None:
        """When a pin ends: its own end, or for a user's what the policy allows today, whichever comes first."""
        if row.subject_id == row.tenant_id or isinstance(self.users_may_pin, bool):
            return row.until
        return earliest(row.until, row.created_at + timedelta(days=self.users_may_pin))

    def counts(self, row: Pin) -> bool:
        """Whether a pin decides what is served: a user's that the policy suspends is kept, and returns with it."""
        if row.subject_id != row.tenant_id and self.users_may_pin is False:
            return False
        end = self.ends(row)
        return end is None or self.now < end


def marks_of(feature: Feature) -> Marks:
    """What bears on the pins of a feature in the present tenant."""
    return Marks(withdrawals_now(feature, APP), policy_value(policy_now()).users_may_pin, clock())


def pins_of(feature: Feature) -> QuerySet[Pin]:
    """The pins in force in the present tenant, its own included."""
    live = Q(valid_to=None) | Q(valid_to__gt=Now())
    return Pin.objects.select_related("subject").filter(live, feature=feature, valid_from__lte=Now())


def end_pin_of(feature: Feature, who: Who, *, by: Actor) -> Moved:
    """End somebody's pin, as an admin. Raises NotFound when that subject has none."""

    def end(found: Reading, _: Served) -> None:
        if found.pin is None:
            raise NotFound("This subject has no pin to end.")

    return _move(feature, "user", who, end, "end", by, dry_run=False, right="pin.others", viewer="tenant")


def restore(
    feature: Feature,
    layer: Layer,
    *,
    at: datetime | None = None,
    receipt: Mapping[str, Any] | None = None,
    run: UUID | None = None,
    until: datetime | None = None,
    reason: str = "",
    by: Actor,
    dry_run: bool = False,
) -> Restored:
    """Put a subject back as it was at a moment, or as a run's receipt says (`run` is its id), by a snapshot pin.

    The answer says whether that is exact (digest for digest) or with a substitute, and why. Raises Invalid with what
    cannot be, why and the alternative: where users may not pin, and where revisions of then are gone; NotFound where
    nothing was served at that moment.
    """
    who = whose(layer, by)
    then: Served | None = None

    def make(found: Reading, now: Served) -> Pin:
        nonlocal then
        then = _then(found, now, at, receipt)
        row = _snapshot(then.choice, then)
        row.user_revision = then.receipt.user  # none where the policy of then kept own changes inactive
        told = f"As it was {at:%Y-%m-%d %H:%M:%S} UTC" if at else "As in a run"
        row.kind, row.reason, row.until, row.as_of, row.run = Pin.Kind.SNAPSHOT, reason or told, until, at, run
        return row

    try:
        moved = _move(feature, layer, who, make, "restore", by, dry_run)
    except Invalid as refused:
        if then is None:
            raise
        raise _with_alternative(refused, feature, who, then, by) from refused
    assert then is not None  # the pin is made of it
    wanted = str(receipt["digest"]) if receipt is not None and layer == "user" else then.digest
    reasons = _shortfalls(moved, wanted, _withdrawn_from(moved, feature, by))
    return Restored("substituted" if reasons else "exact", reasons, wanted, moved)


def restore_pin(feature: Feature, layer: Layer, former: UUID, *, by: Actor, dry_run: bool = False) -> Restored:
    """Put a former pin of one's own back as it was: so a restore is undone that took another pin's place.

    Raises NotFound for a pin that is not one's own, Conflict for one that would have ended by now, and as `pin`.
    """
    who = whose(layer, by)
    kept = ("kind", "base", "tenant_revision", "user_revision", "targets", "reason", "until", "as_of", "run")

    def make(_: Reading, served: Served) -> Pin:
        row = Pin.objects.filter(pk=former, feature=feature, subject_id=who.id).first()
        if row is None:
            raise NotFound("There was no such pin.")
        if row.until is not None and row.until <= served.at:
            raise Conflict(f"That pin would have ended on {row.until:%Y-%m-%d at %H:%M} UTC.")
        return Pin(**{name: getattr(row, name) for name in kept})

    moved = _move(feature, layer, who, make, "restore", by, dry_run)
    reasons = _shortfalls(moved, moved.after.digest, _withdrawn_from(moved, feature, by))
    return Restored("substituted" if reasons else "exact", reasons, moved.after.digest, moved)


def _then(found: Reading, now: Served, at: datetime | None, receipt: Mapping[str, Any] | None) -> Served:
    """What the subject was served then: by the rows valid at the moment, or by the numbers that the receipt names."""
    feature, tenant_id, who = found.feature, found.tenant_id, found.who
    if at is not None and (erased := erased_at(who.id)) is not None and at < erased:
        told = NotFound(f"what was kept of before {erased:%Y-%m-%d %H:%M} UTC was erased.")
        raise _cannot(told, now)
    if at is not None:
        try:
            return serve(feature, tenant_id, who, at)
        except NotFound as gone:
            choice_now(feature, tenant_id, who, at)  # which says so where nothing was served at that moment
            raise _cannot(gone, now) from gone
    if receipt is None:
        raise Conflict("Say a moment or a run to go back to.")
    target = receipt.get("model_target")
    targets = {target["alias"]: target["revision"]} if target else {}
    user = None if who.is_tenant else receipt["user"]
    wish = PinRow(
        layer="tenant" if who.is_tenant else "user", kind="snapshot", base=receipt["base"],
        tenant_revision=receipt["tenant"], user_revision=user, targets=targets, created=now.at, until=None, id="",
    )  # fmt: skip
    choice = replace(
        now.choice, base=wish.base, tenant=wish.tenant_revision, user=user, pin=wish, users_may_override=True
    )
    try:
        return serve_reading(found, choice)
    except NotFound as gone:
        raise _cannot(gone, now) from gone


def _cannot(gone: NotFound, now: Served) -> Invalid:
    """What is answered where something that behavior of then stood on is kept no more."""
    told = f"The behavior of then cannot be made again: {gone.detail}"
    return Invalid(told, result="cannot", reasons=[told], digest_now=now.digest)


def _snapshot(choice: Choice, served: Served) -> Pin:
    """Stay on exactly this; on the targets that an earlier snapshot named, even where one had to be substituted."""
    named = choice.pin.targets if choice.pin is not None and choice.pin.kind == "snapshot" else {}
    return Pin(
        base=choice.base,
        tenant_revision=choice.tenant,
        user_revision=choice.user,
        targets={**{alias: target.revision for alias, target in served.targets.items()}, **named},
    )


def _move(
    feature: Feature, layer: Layer, who: Who, make: Callable[[Reading, Served], Pin | None], verb: str, by: Actor,
    dry_run: bool, right: str = "", viewer: Viewer | None = None, expected: Expected = ANY,
) -> Moved:  # fmt: skip
    with by.doing(right or f"pin.{layer}", feature, dry_run=dry_run) as event:
        found = read_to_write(feature, by.tenant_id, who)
        _check_expected(found.pin, expected)
        before = serve_as_read(found)
        row = make(found, before)
        if row is not None:
            refuse_retired(before.feature, before.at)
            _complete(row, feature, layer, found, by)
        supersede(Pin.objects.filter(feature=feature, subject_id=who.id), row)
        after = serve(feature, by.tenant_id, who)
        event.detail = {"what": verb, "layer": layer, "before": before.digest, "after": after.digest}
        hidden = hidden_between(before, after, viewer or layer, today=before)
    changes = tuple(diff(before.effective.fields, after.effective.fields))
    return Moved(before.receipt, after.receipt, changes, row, found.pin, hidden)


def etag_of(row: Pin | None) -> str:
    """What a writer last saw of a pin."""
    return f'"{row.id}"' if row else '"none"'


def _check_expected(row: Pin | None, expected: Expected) -> None:
    if (expected.nothing and row is not None) or (expected.etag is not None and expected.etag != etag_of(row)):
        raise Stale("Somebody moved this pin first. Read it again.")


def _complete(row: Pin, feature: Feature, layer: Layer, found: Reading, by: Actor) -> None:
    now = found.at
    row.tenant_id, row.feature, row.subject_id = by.tenant_id, feature, found.who.id
    row.author, row.created_at = by.label, now
    if row.until is not None and row.until <= now:
        raise Invalid(
            "A pin cannot end in the past: choose a moment to come.",
            errors=[Problem("/until", "min", "must be in the future")],
        )
    if layer == "user":
        assert found.situation is not None  # it is served
        row.until = _allowed_until(row.until, now, found.situation.policy.users_may_pin)
    row.valid_to = row.until


def _allowed_until(until: datetime | None, now: datetime, may: bool | int) -> datetime | None:
    if may is False:
        told = Problem("", "users_may_pin", "your organisation's policy does not let users stay behind")
        raise Invalid("Your organisation does not let its users stay on a version.", errors=[told])
    if may is True:
        return until
    latest = now + timedelta(days=may)
    return latest if until is None else min(until, latest)


def _with_alternative(refused: Invalid, feature: Feature, who: Who, then: Served, by: Actor) -> Invalid:
    """Add to a refusal what one can do instead: one's own revision of then, and what would still differ."""
    with by.present():
        found = read(feature, by.tenant_id, who)
        nearest = serve_reading(found, replace(serve_as_read(found).choice, user=then.choice.user))
    differs = [change.field for change in diff(then.effective.fields, nearest.effective.fields)]
    alternative = {
        "rollback_to_revision": then.choice.user,
        "own_revision_now": found.newest.number if found.newest else None,
        "would_still_differ": differs,
    }
    return Invalid(
        refused.detail, errors=refused.errors, result="cannot", reasons=[refused.detail], alternative=alternative
    )


def _withdrawn_from(moved: Moved, feature: Feature, by: Actor) -> Mapping[int, Withdrawal]:
    """The withdrawals in force, where one of them made another version stand in for the pin's; else none are read."""
    if moved.after.withdrawn is None:
        return {}
    with by.present():
        return withdrawals_now(feature, APP)


def _shortfalls(moved: Moved, wanted: str, stopped: Mapping[int, Withdrawal]) -> tuple[str, ...]:
    reasons = []
    gone = moved.pin.base if moved.pin is not None and moved.pin.base in stopped else None
    if gone is not None:
        why = stopped[gone].reason
        reasons.append(f"Version {gone} is withdrawn, and version {moved.after.base} stands in for it: {why}")
    if moved.after.substituted:
        reasons.append("A model of then is gone, and another stands in for it.")
    inactive = moved.pin is not None and moved.pin.user_revision is not None and moved.after.user is None
    if moved.after.digest != wanted and inactive:
        reasons.append("Your organisation's policy keeps users' own changes inactive, so yours of then are not served.")
    elif moved.after.digest != wanted and gone is None:
        reasons.append("The behavior of then cannot be made again from what is kept.")
    return tuple(reasons)
