"""Tenants and users change what they want: overrides, saved whole or one operation at a time, as numbered revisions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from features.availability import refuse_retired
from features.contents import own_revision, revision_row
from features.engine import (
    Base,
    BasedOn,
    Operation,
    PinRow,
    Revision,
    Suspended,
    document_of,
    from_rows,
    inherited,
    inherited_digest,
    parse_override,
    parse_rules,
    to_rows,
)
from features.models import Feature, Override, Pin, Stamp
from features.named import aliases_in
from features.reading import Reading, read, read_to_write
from features.resolve import serve_as_read
from features.served import Served
from features.validity import bump, supersede
from tenants.actor import Actor
from tenants.errors import Malformed, NotFound, Stale
from tenants.privacy import erased_at
from tenants.subjects import Who, tenant_itself
from tenants.webhooks import tell

from .judging import Content, check_content, suspended_of
from .judging import Layer as Layer  # doors say whose override they mean by it

NOTHING: Content = ((), {})


@dataclass(frozen=True, slots=True)
class Expected:
    """What the writer last saw (If-Match, If-None-Match): an ETag, nothing at all, or no claim."""

    etag: str | None = None
    nothing: bool = False


ANY = Expected()


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved revision, and those of its operations that today's rules keep inactive."""

    row: Override
    suspended: tuple[Suspended, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A write to a layer as it begins: what was read of its subject and is served to them, and what is being changed.

    `pin`: the subject's own snapshot, whose revision is changed then, since it is the one that is served.
    """

    layer: Layer
    found: Reading
    served: Served
    pin: Pin | None
    was: Content
    used: int = 0  # revision numbers that may have been used and erased

    @property
    def feature(self) -> Feature:
        return self.served.feature

    @property
    def who(self) -> Who:
        return self.found.who

    @property
    def row(self) -> Override | None:
        """The newest revision."""
        return self.found.newest

    @property
    def number(self) -> int:
        """The number of the revision that comes of it."""
        return (self.row.number if self.row else self.used) + 1

    @property
    def tenant(self) -> Revision | None:
        """The organisation's revision that the layer stands on."""
        return self.served.tenant if self.layer == "user" else None


def whose(layer: Layer, actor: Actor) -> Who:
    """The subject whose override a layer is, for this actor. Raises NotFound where there is no user layer."""
    if layer == "tenant":
        return tenant_itself(actor.tenant_id)
    who = actor.acting_for()
    if who.is_tenant:
        raise NotFound("The organisation has no user layer: name a user in the header Bespoke-User.")
    return who


def newest(feature: Feature, who: Who) -> Override | None:
    """The override in force of a subject of the present tenant."""
    return Override.objects.filter(feature=feature, subject_id=who.id, valid_to=None).first()


def content_of(row: Override | None) -> Content:
    """The operations and rules of a revision; none of either without one."""
    return NOTHING if row is None else (from_rows(row.operations), parse_rules(row.rules, layer="tenant"))


def save_override(
    feature: Feature, layer: Layer, document: Mapping[str, Any], *, expected: Expected, message: str = "", by: Actor
) -> Saved:
    """Replace a subject's whole override, as a new revision.

    Refused whole and with every violation named when it breaks a rule or does not compile (Invalid), and when somebody
    saved first (Stale). Only operations that are new or changed are judged. `document` is {"set", "append", "remove",
    "rules"}; saving what is already there makes no revision.
    """
    content = parse_override(document)
    return write(feature, layer, lambda _: content, expected, message, by)


def save_operation(
    feature: Feature, layer: Layer, field: str, document: Mapping[str, Any] | None, *, expected: Expected, by: Actor
) -> Saved:
    """Set, append to or remove one field, or with None inherit it again. Otherwise as `save_override`.

    `document` is {"set": value}, {"append": text} or {"remove": true}. Raises NotFound where a field is to be inherited
    again that there is not.
    """
    if document is None:
        _refuse_unknown(feature, layer, field, by)
    operation = None if document is None else one_operation(field, document)

    def edit(was: Content) -> Content:
        operations = [op for op in was[0] if op.field != field]
        place = next((i for i, op in enumerate(was[0]) if op.field == field), len(operations))
        return (*operations[:place], *([operation] if operation else []), *operations[place:]), was[1]

    return write(feature, layer, edit, expected, f"{field}", by)


def _refuse_unknown(feature: Feature, layer: Layer, field: str, by: Actor) -> None:
    """Raise NotFound naming the fields that there are, for one that neither is there nor is changed by this layer."""
    who = whose(layer, by)
    with by.present():
        found = read(feature, by.tenant_id, who)
        served = serve_as_read(found)
        mine = {operation.field for operation in content_of(found.newest)[0]}
    there = {*served.base.fields, *served.effective.fields}
    if field not in there | mine:
        told = f"{feature.key} has no field {field[:100]}. Its fields are: {', '.join(sorted(there))}."
        raise NotFound(told, fields=sorted(there))


def delete_override(feature: Feature, layer: Layer, *, expected: Expected, by: Actor) -> Saved:
    """Inherit everything again; earlier revisions can be rolled back to. Raises NotFound without an override."""
    return write(feature, layer, take_all_out, expected, "Inherit everything again", by)


def rollback_override(feature: Feature, layer: Layer, number: int, *, expected: Expected, by: Actor) -> Saved:
    """Write a new revision equal to an old one. Never refused: what today's rules forbid comes back suspended."""
    who = whose(layer, by)
    with by.present():
        content = content_of(revision_row(feature.id, who.id, number))
    return write(feature, layer, lambda _: content, expected, f"Back to revision {number}", by, judged=False)


def take_all_out(was: Content) -> Content:
    """Leave nothing. Raises NotFound where there is nothing."""
    if was == NOTHING:
        raise NotFound("There is nothing here that is changed.")
    return NOTHING


def write(
    feature: Feature, layer: Layer, edit: Callable[[Content], Content], expected: Expected, message: str, by: Actor, *,
    judged: bool = True, who: Who | None = None, found: Reading | None = None,
) -> Saved:  # fmt: skip
    """Write what `edit` makes of a layer's content as its newest revision; `who` and `found` as `drafting`."""
    with drafting(feature, layer, expected, by, who=who, found=found) as (event, draft):
        content = _with_origin(edit(draft.was), draft)
        if judged:
            check_content(content, draft.was, draft.served, layer)
        revision = Revision(draft.number, *content)
        suspended = suspended_of(revision, draft.served, layer)
        row = draft.row
        if row is not None and content == content_of(row) and draft.pin is None:
            event.detail["revision"] = row.number
            return Saved(row, suspended)
        saved = keep(draft, revision, message, by)
    return Saved(saved, suspended)


@contextmanager
def drafting(
    feature: Feature, layer: Layer, expected: Expected, by: Actor, *, dry_run: bool = False, who: Who | None = None,
    found: Reading | None = None,
) -> Iterator[tuple[Any, Draft]]:  # fmt: skip
    """Begin a write to a layer, one at a time for its subject; yields the audit event and the draft. Raises Stale.

    `who`: a user other than the actor, whose override an admin changes. `found`: what the caller has read, with nothing
    written since, under the subject's lock, which was taken for this write: each revision counts in the stamp. Raises
    Conflict for a feature that is retired.
    """
    verb = f"override.{layer}" if who is None else "override.others"
    who = who or whose(layer, by)
    with by.doing(verb, feature, dry_run=dry_run) as event:
        found = found or read_to_write(feature, by.tenant_id, who)
        served, row = serve_as_read(found), found.newest
        own = own_snapshot(served)
        start = revision_under(own, found)
        _check_expected(start, row, expected)
        refuse_retired(served.feature, served.at)
        used = 0 if row is not None else _used(feature, who)
        draft = Draft(layer, found, served, found.pin if own else None, content_of(start), used)
        event.detail = {"layer": layer, "revision": draft.number, "subject": str(who.id)}
        yield event, draft


def _used(feature: Feature, who: Who) -> int:
    """How many revision numbers an erased subject may have used: what processes keep is known by its number."""
    if erased_at(who.id) is None:
        return 0
    return Stamp.objects.get(feature=feature.id, subject=who.id).value  # each revision has counted in it


def keep(draft: Draft, revision: Revision, message: str, by: Actor) -> Override:
    """Write what a draft has become as its subject's newest revision."""
    feature, who = draft.feature, draft.who
    saved = _store(feature, who, revision, message, by)
    if draft.row is None and draft.layer == "user":
        bump(by.tenant_id, feature.id, by.tenant_id)
    if draft.pin is not None:
        _move_pin(draft.pin, who, revision.number)
    return saved


def _store(feature: Feature, who: Who, revision: Revision, message: str, by: Actor) -> Override:
    row = Override(
        tenant_id=by.tenant_id, feature=feature, subject_id=who.id, number=revision.number,
        operations=to_rows(revision.operations), rules=document_of((), revision.rules).get("rules", {}),
        aliases=aliases_in(revision.operations), message=message, author=by.label,
    )  # fmt: skip
    supersede(Override.objects.filter(feature=feature, subject_id=who.id), row)
    if who.is_tenant:
        tell(by.tenant_id, "override.changed", {"feature": feature.key, "revision": revision.number})
    return row


def override_now(feature: Feature, who: Who, tenant_id: UUID) -> Override | None:
    """What a save would start from: the newest revision, or under one's own snapshot the one that is served."""
    found = read(feature, tenant_id, who)
    return found.newest and revision_under(own_snapshot(serve_as_read(found)), found)


def etag_of(row: Override | None) -> str:
    """The ETag of a revision, or of none yet."""
    return row.etag if row else '"0"'


def _check_expected(start: Override | None, row: Override | None, expected: Expected) -> None:
    """Raise Stale unless the writer has seen where a save starts, or the newest revision: a save changes both."""
    empty = start is None or (not start.operations and not start.rules)
    now = etag_of(start)
    if expected.nothing and not empty:
        raise Stale(f"There is an override already, at revision {now}: read it and send If-Match.", revision=now)
    if expected.etag is not None and expected.etag not in (now, etag_of(row), "*"):
        raise Stale(f"Somebody saved first: this is at revision {now} now. Read it again.", revision=now)


def own_snapshot(served: Served) -> PinRow | None:
    """The subject's own snapshot, while it counts: a policy may have suspended it, and then it serves nobody."""
    pin = served.choice.pin
    own = pin is not None and pin.layer == ("tenant" if served.who.is_tenant else "user")
    return pin if pin is not None and own and pin.kind == "snapshot" else None


def revision_under(pin: PinRow | None, found: Reading) -> Override | None:
    """Under one's own snapshot one edits what one is served: the pinned revision, not the newest."""
    if pin is None:
        return found.newest
    number = pin.tenant_revision if found.who.is_tenant else pin.user_revision
    return None if number is None else own_revision(found, number)


def _move_pin(pin: Pin, who: Who, number: int) -> None:
    moved = Pin(
        tenant_id=pin.tenant_id, feature_id=pin.feature_id, subject_id=pin.subject_id, kind=pin.kind, base=pin.base,
        tenant_revision=pin.tenant_revision, user_revision=pin.user_revision, targets=pin.targets, reason=pin.reason,
        author=pin.author, created_at=pin.created_at, until=pin.until, valid_to=pin.until, as_of=pin.as_of, run=pin.run,
    )  # fmt: skip
    if who.is_tenant:
        moved.tenant_revision = number
    else:
        moved.user_revision = number
    supersede(Pin.objects.filter(feature_id=pin.feature_id, subject_id=pin.subject_id), moved)


def _with_origin(content: Content, draft: Draft) -> Content:
    """Note on each new operation what its author saw, and keep the notes of those that did not change.

    What comes with a note of its own (an old revision's) keeps that: going back undoes decisions on conflicts too.
    """
    noted = {operation.field: operation for operation in draft.was[0]}
    operations = []
    for operation in content[0]:
        before = noted.get(operation.field)
        if operation.based_on is None and before is not None and _same(before, operation):
            operations.append(before)
            continue
        if operation.based_on is None:
            seen = seen_on(operation.field, draft.served.base, draft.tenant, draft.layer)
            operation = replace(operation, based_on=seen)
        operations.append(operation)
    return tuple(operations), content[1]


def seen_on(field: str, base: Base, tenant: Revision | None, layer: Layer) -> BasedOn:
    """What the author of an operation on a field sees, whose layer stands on these."""
    value = inherited(field, base, tenant, layer)
    return BasedOn(base.number, tenant.number if tenant else None, inherited_digest(value), field in base.fields)


def _same(one: Operation, other: Operation) -> bool:
    return (one.kind, one.field) == (other.kind, other.field) and inherited_digest(one.value) == inherited_digest(
        other.value
    )


def one_operation(field: str, document: Mapping[str, Any]) -> Operation:
    """Read {"set": value}, {"append": text} or {"remove": true}. Raises Malformed, and Invalid for a wrong value."""
    if len(document) != 1 or not set(document) <= {"set", "append", "remove"}:
        raise Malformed('Send exactly one of {"set": value}, {"append": text} or {"remove": true}.')
    if "remove" in document:
        if document["remove"] is not True:
            raise Malformed('To remove a field for this layer send {"remove": true}.')
        return parse_override({"remove": [field]})[0][0]
    kind = next(iter(document))
    return parse_override({kind: {field: document[kind]}})[0][0]


def override_json(row: Override | None) -> dict[str, Any]:
    """The whole override as the API shows it: what a PUT takes, with the revision it is at.

    `hold`: the fields for whose sake its owner chose to stay on a version until they decide (conflicts.py).
    """
    operations, rules = content_of(row)
    held = [operation.field for operation in operations if operation.hold]
    return {
        **document_of(operations, rules),
        **({"hold": held} if held else {}),
        "revision": row.number if row else 0,
        "message": row.message if row else "",
        "author": row.author if row else None,
        "saved": row.valid_from if row else None,
    }
