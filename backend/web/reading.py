"""What addresses and forms say of rows and lists, read: which one is meant, and from where a list goes on."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from backend.actors import session_uuid
from tenants.errors import Invalid, Malformed, NotFound, Problem


def id_in(text: str | None) -> UUID:
    """Which row is meant. Raises NotFound for what is no id: it says the same of that as of a missing row."""
    found = session_uuid(text)
    if found is None:
        raise NotFound
    return found


def place_in(text: str | None) -> UUID | None:
    """The row that a page of a list comes after; None is the list's beginning. Raises Malformed."""
    if not text:
        return None
    found = session_uuid(text)
    if found is None:
        raise _no_place()
    return found


def number_in(text: str | None) -> int | None:
    """The same where a list counts its rows. Raises Malformed."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise _no_place()
    return int(text)


def page_of(rows: QuerySet[Any], place: UUID | None, most: int) -> tuple[list[Any], str]:
    """One page of rows with ids of time, the newest first, and what the next one comes after: "" on the last."""
    rows = rows.order_by("-id")
    found = list((rows if place is None else rows.filter(id__lt=place))[: most + 1])
    return found[:most], str(found[most - 1].id) if len(found) > most else ""


def moment_in(text: str | None, name: str) -> datetime | None:
    """A moment as `datetime-local` sends it, in the zone of who sends it; None for nothing typed. Raises Invalid."""
    if not (text or "").strip():
        return None
    try:
        at: datetime = forms.DateTimeField().clean(text)
    except ValidationError:
        told = Problem(f"/{name}", "time", _("is a day and a time of it, as in 2026-11-27 14:30"))
        raise Invalid(_("That is no moment: type a day and a time, as in 2026-11-27 14:30."), errors=[told]) from None
    return at


def _no_place() -> Malformed:
    return Malformed(_("That is no place in this list. Go to its first page."))
