"""Exports and erasures as lines of a page: in which state each is, and what it came to."""

from collections.abc import Mapping

from django.utils.translation import ngettext

from tenants.actor import Actor
from tenants.people import names_of
from tenants.privacy import erasures_of, has_expired
from tenants.privacy_models import Erasure, Export

from .drawing import size_words
from .parts import JobLine
from .telling import author_words

SHOWN = 20


def export_line(row: Export, names: Mapping[str, str], actor: Actor) -> JobLine:
    """An export, until when it can be taken, and how large it is."""
    state = "expired" if has_expired(row) else row.state
    told = size_words(row.bytes) if state == "done" else ""
    return JobLine(str(row.id), state, author_words(row.author, names, actor), row.created_at, told, row.expires_at)


def erasure_line(row: Erasure, names: Mapping[str, str], actor: Actor, name: str = "") -> JobLine:
    """An erasure, of the organisation with a name where that is said, and how much it deleted."""
    counts = (row.report or {}).get("counts", {})
    rows = sum(count for table, count in counts.items() if " " not in table)
    told = ngettext("%(n)d row deleted", "%(n)d rows deleted", rows) % {"n": rows} if row.state == "done" else ""
    return JobLine(str(row.id), row.state, author_words(row.author, names, actor), row.created_at, told, name=name)


def erased_organisations(actor: Actor) -> list[JobLine]:
    """The erasures of whole organisations, the newest first; none for operators who may not erase one."""
    if "tenant.erase" not in actor.can:
        return []
    with actor.present():
        rows = list(erasures_of(actor).select_related("tenant").order_by("-id")[:SHOWN])
        names = names_of({row.author for row in rows}, actor) if rows else {}
    return [erasure_line(row, names, actor, row.tenant.slug) for row in rows]
