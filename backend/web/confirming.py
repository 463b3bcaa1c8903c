"""What an act on the timeline would do, said before it is done: the action itself is carried out and rolled back."""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from features.actions.pins import Moved, Restored, pin, restore, unpin
from features.runs.models import Run
from tenants.errors import Malformed

from .differing import differences_of
from .moments import Past
from .parts import Choice, Confirmation
from .templatetags.b import clock, exactly

DAYS = (7, 30)  # the ends that are offered for a stay, where the policy allows them


def rehearse(past: Past, asked: Mapping[str, str], at: datetime | None, run: Run | None) -> Confirmation | None:
    """Rehearse an act and say what it would do. Raises Invalid, Conflict and NotFound where it would be refused."""
    feature, actor = past.feature, past.actor
    match asked.get("confirm"):
        case "restore" if at or run:
            receipt = dict(run.receipt) if run else None
            restored = restore(feature, past.layer, at=None if run else at, receipt=receipt, by=actor, dry_run=True)
            return _restoring(past, restored, at, run)
        case "pin":
            moved = pin(feature, past.layer, kind="base", version=whole(asked.get("version")), by=actor, dry_run=True)
            return _staying(past, moved)
        case "unpin":
            return _following(past, unpin(feature, past.layer, by=actor, dry_run=True))
    return None


def _restoring(past: Past, restored: Restored, at: datetime | None, run: Run | None) -> Confirmation:
    moved = restored.moved
    day = run.created_at if run else at or timezone.now()
    title = _("Put %(feature)s back as it was on %(day)s?") % {
        "feature": past.feature.title, "day": date_format(timezone.localtime(day), "l j F, H:i")
    }  # fmt: skip
    return Confirmation(
        act="restore",
        title=title,
        verb=_("Put it back"),
        before=moved.before.digest,
        after=moved.after.digest,
        differences=differences_of(moved.changes, moved.hidden, past.titles, past.contract),
        fields=[("run", str(run.id))] if run else [("at", exactly(day))],
        answer=restored.result,
        reasons=restored.reasons,
        effects=_effects(past, moved),
        until=_ends(past),
        until_note=_until_note(past, moved),
        letters=_letters(past, moved),
    )


def _staying(past: Past, moved: Moved) -> Confirmation:
    return Confirmation(
        act="pin",
        title=_("Stay on version %(n)d of %(feature)s?") % {"n": moved.after.base, "feature": past.feature.title},
        verb=_("Stay on version %(n)d") % {"n": moved.after.base},
        before=moved.before.digest,
        after=moved.after.digest,
        differences=differences_of(moved.changes, moved.hidden, past.titles, past.contract),
        fields=[("version", str(moved.after.base))],
        effects=[_keep_working(past), *_effects(past, moved)],
        until=_ends(past),
        until_note=_until_note(past, moved),
        letters=_letters(past, moved),
    )


def _following(past: Past, moved: Moved) -> Confirmation:
    title = _("Follow the vendor again, at version %(n)d of %(feature)s?")
    return Confirmation(
        act="unpin",
        title=title % {"n": moved.after.base, "feature": past.feature.title},
        verb=_("Take version %(n)d") % {"n": moved.after.base},
        before=moved.before.digest,
        after=moved.after.digest,
        differences=differences_of(moved.changes, moved.hidden, past.titles, past.contract),
        fields=[],
        effects=[_follows(past), _reach(past)],
        letters=_letters(past, moved),
    )


def _ends(past: Past) -> list[Choice]:
    """How long one may stay: what the policy allows, the longest chosen."""
    may = True if past.layer == "tenant" else past.history.policy.users_may_pin
    allowed = [days for days in DAYS if may is True or days <= may]
    longest = None if may is True else int(may)
    ends = [Choice(str(days), _("%(n)d days") % {"n": days}, days == longest) for days in allowed]
    if longest is None:
        undo = _("Until we undo it") if past.layer == "tenant" else _("Until I undo it")
        ends.append(Choice("", undo, True))
    elif longest not in allowed:
        ends.append(Choice(str(longest), _("%(n)d days") % {"n": longest}, True))
    return ends


def _letters(past: Past, moved: Moved) -> tuple[str, str]:
    """The letters of the behavior before and after, where they are in view."""
    return past.letters.get(moved.before.digest, ""), past.letters.get(moved.after.digest, "")


def _effects(past: Past, moved: Moved) -> list[str]:
    """What else there is to know before one stays: what waits meanwhile, and for whom it is."""
    effects = []
    if past.layer == "tenant" and moved.after.tenant != moved.before.tenant:
        ours = _("Our own changes come back as they were then.")
        effects.append(ours if moved.after.tenant else _("Our own changes wait; they are kept."))
    if moved.after.user != moved.before.user:
        mine = _("Your own changes come back as they were then.")
        effects.append(mine if moved.after.user else _("Your own changes wait; they are kept."))
    if past.history.current != moved.after.base:
        waits = _("Version %(n)d waits for you.") if past.layer == "user" else _("Version %(n)d waits.")
        effects.append(waits % {"n": past.history.current})
    return [*effects, _reach(past)]


def _keep_working(past: Past) -> str:
    return _("Our own changes keep working.") if past.layer == "tenant" else _("Your own changes keep working.")


def _follows(past: Past) -> str:
    if past.layer == "tenant":
        return _("New versions reach %(tenant)s by themselves again.") % {"tenant": past.actor.in_tenant().name}
    return _("New versions reach you by themselves again.")


def _reach(past: Past) -> str:
    """Whom else the act reaches: for a person nobody, for the organisation its people."""
    if past.layer == "user":
        return _("Nobody else is affected.")
    words = _("It reaches everyone at %(tenant)s who has not chosen otherwise. No other organisation is affected.")
    return words % {"tenant": past.actor.in_tenant().name}


def _until_note(past: Past, moved: Moved) -> str:
    may = past.history.policy.users_may_pin
    if past.layer == "tenant" or isinstance(may, bool) or moved.pin is None or moved.pin.until is None:
        return ""
    words = {"tenant": past.actor.in_tenant().name, "n": may, "day": clock(moved.pin.until)}
    return _("%(tenant)s allows %(n)d days at most, until %(day)s.") % words


def whole(text: str | None) -> int:
    """Read a number that a form sent. Raises Malformed."""
    if not text or not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise Malformed("Say which version.")
    return int(text)
