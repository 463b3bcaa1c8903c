"""One inbox of what concerns somebody's behavior and is not of their own doing: derived when it is read, never stored.

Only marks are kept: that somebody has read a notice, or was mailed it. So what was settled is gone by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID, uuid5

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.models import ApiKey
from tenants.subjects import Who, make_sure, tenant_itself

from .causes import SOON, Action, Cause, Kind, Layer, Rows, causes_of, read_rows
from .models import Feature, NoticeMark
from .reading import Known

# Where one sees to each kind: the page for oneself, the page for an organisation, and the address of the API.
_UPGRADE = ("/f/{feature}/upgrade", "/org/f/{feature}/upgrade", "/override/{layer}/conflicts")
_TIMELINE = ("/f/{feature}/timeline", "/org/f/{feature}/timeline", "/behavior")
PLACES: dict[str, tuple[str, str, str]] = {
    "held": _UPGRADE,
    "conflict": _UPGRADE,
    "suspended": ("/f/{feature}/mine", "/org/f/{feature}", "/override/{layer}"),
    "withdrawn": _TIMELINE,
    "pin_ending": (_TIMELINE[0], _TIMELINE[1], "/pin/{layer}"),
    "model_ending": _TIMELINE,
    "retiring": _TIMELINE,
    "key_ending": ("/me/keys", "/org/keys", "/keys"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """What a storey above has to tell, which this one cannot import.

    `causes` is asked for a subject's at a moment, within its tenant's transaction; `tenants`, within the operator's,
    for the tenants that may have any: nobody else gets a mail of them.
    """

    causes: Callable[[UUID, Who, datetime], Iterator[Cause]]
    tenants: Callable[[], Iterable[UUID]]


SOURCES: list[Source] = []  # each appended when its app is ready


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know or to decide. `layer` says whose it is: one's own, or the organisation's (for its admins).

    `at`: when it came about, or when it will (pin_ending, model_ending, retiring). The id stays the same while the
    cause does. `feature` is None where it concerns all of them.
    """

    id: UUID
    kind: Kind
    feature: Feature | None
    layer: Layer
    at: datetime
    title: str
    text: str
    action: Action
    read: bool


def inbox(by: Actor, known: Sequence[Known] | None = None) -> list[Notice]:
    """Everything that concerns an actor now, newest first: their own, and for admins the organisation's too.

    What reaches both in the same way is there once, as the organisation's. `known` is what was read already of every
    feature and the actor's stamps. Raises Forbidden for an operator.
    """
    who = by.acting_for()
    by.need("feature.read")
    with by.present():
        return inbox_of(by.tenant_id, who, admin="override.tenant" in by.can, known=known)


def mark_read(notice_id: UUID, *, by: Actor) -> None:
    """Note that the actor has read a notice. Raises NotFound for one that is not in their inbox.

    A bookmark in one's own inbox changes nothing for anybody: it leaves no audit row.
    """
    if notice_id not in {notice.id for notice in inbox(by)}:
        raise NotFound("There is no such notice.")
    who = by.acting_for()
    with by.present():
        make_sure(by.tenant_id, who)
        NoticeMark.objects.bulk_create(
            [NoticeMark(tenant_id=by.tenant_id, subject_id=who.id, notice=notice_id)], ignore_conflicts=True
        )
        NoticeMark.objects.filter(subject_id=who.id, notice=notice_id, read_at=None).update(read_at=Now())


def inbox_of(tenant_id: UUID, who: Who, *, admin: bool, known: Sequence[Known] | None = None) -> list[Notice]:
    """The inbox of a subject, within its tenant's transaction; an admin's has the organisation's as well."""
    everybody = list(dict.fromkeys([who, tenant_itself(tenant_id)] if admin else [who]))
    rows = read_rows(tenant_id, everybody, known)
    found: dict[tuple[str, UUID | None, str], tuple[Who, Cause]] = {}
    for whose in everybody:
        found |= {(c.kind, _of(c), c.key): (whose, c) for c in _causes(rows, tenant_id, whose)}
    read = set(NoticeMark.objects.filter(subject_id=who.id).exclude(read_at=None).values_list("notice", flat=True))
    notices = [_notice(whose, cause, read) for whose, cause in found.values()]
    notices += [_key_notice(key, who, read) for key in _ending_keys(rows.now, who, admin=admin)]
    return sorted(notices, key=lambda notice: (notice.at, notice.title), reverse=True)


def _ending_keys(now: datetime, who: Who, *, admin: bool) -> QuerySet[ApiKey]:
    """The keys that end soon and that nothing has taken the place of: one's own, and for admins the organisation's."""
    mine = Q(member_id=who.id) | Q(kind=ApiKey.Kind.SERVICE) if admin else Q(member_id=who.id)
    live = ApiKey.objects.filter(mine, revoked_at=None, replaced_by=None)
    return live.filter(expires_at__gt=now, expires_at__lte=now + SOON).order_by("expires_at")


def _key_notice(key: ApiKey, who: Who, read: set[UUID]) -> Notice:
    layer: Layer = "tenant" if key.kind == ApiKey.Kind.SERVICE else "user"
    mine, ours, door = PLACES["key_ending"]
    name = uuid5(who.id if layer == "user" else key.tenant_id, f"key_ending\0{key.id}")
    title = f"The key “{key.name}” ends soon"
    text = "Software that uses it is refused from then on. Rotate it, and give the new one to that software."
    at = cast(datetime, key.expires_at)
    action = Action(ours if layer == "tenant" else mine, f"/api/v1{door}/{key.id}/rotate")
    return Notice(name, "key_ending", None, layer, at, title, text, action, name in read)


def _causes(rows: Rows, tenant_id: UUID, whose: Who) -> Iterator[Cause]:
    yield from causes_of(rows, tenant_id, whose)
    for source in SOURCES:
        yield from source.causes(tenant_id, whose, rows.now)


def _notice(whose: Who, cause: Cause, read: set[UUID]) -> Notice:
    layer: Layer = "tenant" if whose.is_tenant else "user"
    name = uuid5(whose.id, f"{cause.kind}\0{_of(cause) or ''}\0{cause.key}")
    action = cause.action or _action(cause, layer)
    return Notice(name, cause.kind, cause.feature, layer, cause.at, cause.title, cause.text, action, name in read)


def _action(cause: Cause, layer: Layer) -> Action:
    feature = cause.feature.key if cause.feature else ""
    mine, ours, door = (place.format(feature=feature, layer=layer) for place in PLACES[cause.kind])
    return Action(ours if layer == "tenant" else mine, f"/api/v1/features/{feature}{door}")


def _of(cause: Cause) -> UUID | None:
    return cause.feature.id if cause.feature else None
