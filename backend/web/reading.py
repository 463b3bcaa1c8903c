"""What addresses and forms say of rows and lists, read: which one is meant, and from where a list goes on."""

from uuid import UUID

from django.utils.translation import gettext as _

from backend.actors import session_uuid
from tenants.errors import Malformed, NotFound


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


def _no_place() -> Malformed:
    return Malformed(_("That is no place in this list. Go to its first page."))
