"""Changing a key without a moment in which none works: a new one is made, and the old one lives on for a while."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from .actor import Actor
from .errors import Conflict, Forbidden, Invalid, NotFound, Problem
from .ids import uuid7
from .isolation import NOBODY
from .keys import mint
from .models import ApiKey, OperatorKey

USUALLY, MOST = timedelta(days=1), timedelta(days=30)  # that the old key lives on


def rotate_key(key: ApiKey, *, until: datetime | None = None, by: Actor) -> tuple[ApiKey, str]:
    """Make a key like this one, which ends at `until` (a day from now; at most 30). Returns the row and the text.

    A member's key is rotated by its own holder alone, since whoever sees the text is that member; a service key by who
    manages keys. Two live at once, never three: raises Conflict for a key that was rotated or has ended, Invalid for a
    time that is past or too far, Forbidden for a key whose scopes the asking one does not have.
    """
    own = key.member_id == by.acting_for().id
    if key.kind == ApiKey.Kind.MEMBER and not own:
        raise NotFound
    at = _end_of_old(until)
    with by.doing("key.own" if own else "key.manage", key) as event:
        old = ApiKey.objects.select_for_update().get(pk=key.pk)
        new, text = _successor(old, by, tenant=old.tenant)
        event.detail = {"key": str(old.id), "to": str(new.id), "until": at.isoformat()}
        new.save(force_insert=True)
        _hand_over(ApiKey.objects.filter(pk=old.pk), old, new, at)
    return new, text


def rotate_operator_key(key: OperatorKey, *, until: datetime | None = None, by: Actor) -> tuple[OperatorKey, str]:
    """The same for a key of the vendor's staff, by its holder. Raises as `rotate_key` does."""
    at, rows = _end_of_old(until), OperatorKey.objects.using(by.db)
    with by.doing("operator_key.own", key) as event:
        old = rows.select_for_update().get(pk=key.pk)
        new, text = _successor(old, by)
        event.detail = {"key": str(old.id), "to": str(new.id), "until": at.isoformat()}
        new.save(using=by.db, force_insert=True)
        _hand_over(rows.filter(pk=old.pk), old, new, at)
    return new, text


COPIED = ("kind", "name", "scopes", "member_id", "operator_id", "requests_per_minute", "concurrent_runs")


def _successor(old: Any, by: Actor, **owner: Any) -> tuple[Any, str]:
    """A row like the old key's, with a secret of its own and as long to live as the old one had at first."""
    now = timezone.now()
    if old.replaced_by is not None:
        raise Conflict("This key was rotated already. Rotate the one that took its place.")
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise Conflict("This key has ended. Make a new one.")
    if not by.scopes.issuperset(old.scopes):
        raise Forbidden("A key makes no key that may do more than itself. Sign in, or use one with more scopes.")
    key_id = uuid7()
    text, kept = mint(owner["tenant"].id if owner else NOBODY, key_id)
    columns = {name: getattr(old, name) for name in COPIED if hasattr(old, name)}
    new = type(old)(id=key_id, secret_hash=kept, created_at=now, **owner, **columns)
    if old.expires_at is not None:
        new.expires_at = now + (old.expires_at - old.created_at)
    if owner:
        new.created_by = by.label
    return new, text


def _hand_over(rows: Any, old: Any, new: Any, at: datetime) -> None:
    ends = at if old.expires_at is None else min(at, old.expires_at)
    rows.update(replaced_by=new.id, expires_at=ends)


def _end_of_old(until: datetime | None) -> datetime:
    now = timezone.now()
    at = until or now + USUALLY
    if not now <= at <= now + MOST:
        told = f"must be in the next {MOST.days} days"
        raise Invalid("The old key cannot live until then.", errors=[Problem("/until", "range", told)])
    return at
