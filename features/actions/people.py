"""Admins and the behavior of their people: who has changed what, taking it out, leaving it to somebody else."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from features.availability import features_for
from features.contents import own_revision
from features.models import Feature, Override, Pin
from features.reading import Reading, read_each
from features.validity import bump_each, supersede
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.models import Member
from tenants.subjects import Who

from .effects import Effect, effects_since
from .judging import Content
from .overrides import ANY, Expected, Saved, content_of, take_all_out, write


@dataclass(frozen=True, slots=True)
class Left:
    """What of one feature was left to somebody: their new revision and pin, where there was one to leave.

    effect: after a dry run, what it would do to them.
    """

    feature: Feature
    saved: Saved | None
    pin: Pin | None
    effect: Effect | None = None


def overrides_of(feature: Feature) -> QuerySet[Override]:
    """What the users of the present tenant change of a feature, with their subjects; not what the tenant does."""
    rows = Override.objects.select_related("subject").filter(feature=feature, valid_to=None)
    return rows.exclude(subject_id=F("tenant_id")).exclude(operations=[])


def inherit_for(feature: Feature, who: Who, *, expected: Expected = ANY, by: Actor) -> Saved:
    """Let somebody inherit everything again, as an admin: a new revision with the admin as its author.

    They can roll back to what they had. Raises NotFound when they have changed nothing, and Stale.
    """
    return write(feature, "user", take_all_out, expected, "Inherit everything again", by, who=who)


def leave_to(
    who: Who,
    to: Who,
    *,
    features: Sequence[Feature] | None = None,
    replace: bool = False,
    by: Actor,
    dry_run: bool = False,
) -> tuple[Left, ...]:
    """Copy what somebody has changed and pinned, of all features or some, to somebody else's user layer.

    Nothing is taken from `who`, who may have left already. Never refused by rules: as after a rollback, what today's
    rules forbid is suspended. Refused whole, naming the features (Conflict), where the other has changes or a pin of
    their own, unless they are to be replaced. Raises NotFound where there is nothing to leave.
    """
    with by.doing("override.others", by.in_tenant(), dry_run=dry_run) as event:
        found = _to_leave(who, to, features, by)
        bump_each(by.tenant_id, [(feature.id, to) for feature in found])
        both = read_each([(feature, one) for one in (to, who) for feature in found], by.tenant_id)
        now, theirs = both[: len(found)], both[len(found) :]
        taken = _refuse_taken(to, [one.feature for one in now if _has_own(one)], replace)
        left = tuple(_leave(one, its, by) for one, its in zip(now, theirs, strict=True))
        if dry_run:
            effects = effects_since(now)
            left = tuple(
                Left(one.feature, one.saved, one.pin, effect) for one, effect in zip(left, effects, strict=True)
            )
        names = [feature.key for feature in found]
        event.detail = {"what": "leave to", "from": str(who.id), "to": str(to.id), "features": names, "replaced": taken}
    return left


def what_to_leave(
    who: Who, to: Who, *, features: Sequence[Feature] | None = None, replace: bool = False, by: Actor
) -> list[Feature]:
    """The features of which `leave_to` would copy something, in a few statements however many, and nothing is written.

    Raises as it does, but for what it finds out while it writes: that a feature is retired.
    """
    by.need("override.others")
    with by.present():
        found = _to_leave(who, to, features, by)
        _refuse_taken(to, _left_by(to, found, by), replace)
    return found


def _to_leave(who: Who, to: Who, features: Sequence[Feature] | None, by: Actor) -> list[Feature]:
    if who.id == to.id:
        raise Invalid("This is the same person.", errors=[Problem("/to", "subject", "must be somebody else")])
    _refuse_gone(to)
    found = _left_by(who, features, by)
    if not found:
        raise NotFound("There is nothing here to leave to anybody.")
    return found


def _refuse_taken(to: Who, features: Sequence[Feature], replace: bool) -> list[str]:
    """The features of which the other has something of their own. Raises Conflict where that may not be replaced."""
    taken = [feature.key for feature in features]
    if taken and not replace:
        told = f"{to.key} has changes or a pin of their own there: {', '.join(taken)}."
        raise Conflict(f"{told} Replace them, or leave these features out.", features=taken)
    return taken


def _refuse_gone(to: Who) -> None:
    if to.kind == "member" and not Member.objects.filter(pk=to.id, removed_at=None).exists():
        told = Problem("/to", "member", "must be a member still")
        raise Invalid("They have left the organisation themselves.", errors=[told])


def _left_by(who: Who, features: Sequence[Feature] | None, by: Actor) -> list[Feature]:
    """The features of which somebody has something of their own, always in one order, so that locks are taken in it."""
    changed = Override.objects.filter(subject_id=who.id, valid_to=None).exclude(operations=[])
    pinned = Pin.objects.filter(Q(valid_to=None) | Q(valid_to__gt=Now()), subject_id=who.id, valid_from__lte=Now())
    theirs = Q(pk__in=changed.values("feature_id")) | Q(pk__in=pinned.values("feature_id"))
    still_runs = Q(retires_at=None) | Q(retires_at__gt=Now())
    chosen = still_runs if features is None else Q(pk__in=[feature.pk for feature in features])
    return list(features_for(by).filter(theirs, chosen).order_by("pk"))


def _has_own(now: Reading) -> bool:
    return (now.newest is not None and bool(now.newest.operations)) or now.pin is not None


def _leave(now: Reading, theirs: Reading, by: Actor) -> Left:
    """Leave what somebody has of one feature to the other, of whom it was read `now`, under their lock."""
    feature, to = now.feature, now.who
    row, pin, who = theirs.newest, theirs.pin, theirs.who
    pins, found = Pin.objects.filter(feature=feature, subject_id=to.id), None if now.pin else now
    if now.pin is not None:  # or it would move with the save
        supersede(pins, None)
    number, saved = None, None
    if pin is not None and pin.user_revision is not None:
        saved = _copy(now, content_of(own_revision(theirs, pin.user_revision)), who, by, found)
        number, found = saved.row.number, None
    if row is not None and row.operations:
        saved = _copy(now, content_of(row), who, by, found)
    copied = None
    if pin is not None:
        copied = Pin(
            tenant_id=by.tenant_id, feature=feature, subject_id=to.id, kind=pin.kind, base=pin.base,
            tenant_revision=pin.tenant_revision, user_revision=number, targets=pin.targets, reason=pin.reason,
            author=by.label, created_at=pin.created_at, until=pin.until, valid_to=pin.until, as_of=pin.as_of,
        )  # fmt: skip
        supersede(pins, copied)
    return Left(feature, saved, copied)


def _copy(now: Reading, content: Content, who: Who, by: Actor, found: Reading | None) -> Saved:
    told = f"Left by {who.key}"
    return write(now.feature, "user", lambda _: content, ANY, told, by, judged=False, who=now.who, found=found)
