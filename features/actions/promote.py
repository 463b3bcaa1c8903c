"""From one layer to the other: my changes to the whole organisation, or the organisation's to chosen users alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from features.engine import ABSENT, Operation, applied, document_of, inherited, parse_override
from features.models import Feature, Override
from features.reading import Reading, read_each, read_to_write
from features.resolve import serve_as_read
from features.served import Served
from features.validity import bump_each
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, NotFound, Problem
from tenants.subjects import Who, tenant_itself

from .effects import Effect, effects_since
from .judging import Content, Layer
from .overrides import ANY, Saved, content_of, own_snapshot, revision_under, whose, write

Operations = tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Promoted:
    """The organisation's new revision; mine, where it changed with that; and what became of which field.

    replaced: the organisation had changed these itself. joined: my paragraph was added to the organisation's text.
    """

    ours: Saved
    mine: Override | None
    fields: tuple[str, ...]
    replaced: tuple[str, ...]
    joined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HandedOut:
    """The users' new revisions by subject, and the organisation's, where the operations were taken out of it.

    effects: after a dry run, what it would do to each of the users, and last to the organisation if that gave it away.
    """

    theirs: tuple[tuple[Who, Saved], ...]
    ours: Override | None
    fields: tuple[str, ...]
    effects: tuple[Effect, ...] = ()


def promote(
    feature: Feature, *, fields: Sequence[str] | None = None, keep_mine: bool = True, by: Actor, dry_run: bool = False
) -> Promoted:
    """Copy my operations, all or those on some fields, to the organisation's override, as a new revision of it.

    Judged as any save of the organisation's. Mine take the place of its operations on the same fields, but for a
    paragraph that I append to a text of the organisation's, which is added to that: so what I am served stays the same.
    Without `keep_mine` they are taken out of mine. With it, a paragraph that I append becomes the whole text that it
    makes, or I would have it twice. Raises NotFound where I have changed nothing, and Invalid.
    """
    who = whose("user", by)
    with by.doing("override.tenant", feature, dry_run=dry_run) as event:
        found = read_to_write(feature, by.tenant_id, who)  # a user before their organisation, as all who lock both do
        mine, before = _chosen(_changed_by(found), fields), serve_as_read(found)
        below = serve_as_read(found.of_tenant())
        replaced: list[str] = []
        joined: list[str] = []

        def edit(was: Content) -> Content:
            theirs = {operation.field: operation for operation in was[0]}
            for operation in mine:
                same = theirs.get(operation.field)
                if same is not None and operation.kind == "append" and same.kind != "remove":
                    joined.append(operation.field)
                elif same is not None:
                    replaced.append(operation.field)
            return _laid_over(was, mine, below)

        ours = write(feature, "tenant", edit, ANY, f"Promoted from {who.key}", by)
        moved = tuple(operation for operation in mine if not keep_mine or operation.kind == "append")
        own = _mine_after(feature, moved, before, by, keep=keep_mine) if moved else None
        names = tuple(operation.field for operation in mine)
        event.detail = {"what": "promote", "subject": str(who.id), "fields": list(names), "kept": keep_mine}
    return Promoted(ours, own, names, tuple(replaced), tuple(joined))


def _mine_after(feature: Feature, moved: Operations, before: Served, by: Actor, *, keep: bool) -> Override:
    """My override without the operations that moved, or with each as the whole text that it made."""
    by.need("override.user")

    def edit(was: Content) -> Content:
        if not keep:
            return _without(was, {operation.field for operation in moved})
        return _put(was, tuple(_whole(operation, before, "user") for operation in moved))

    return write(feature, "user", edit, ANY, "Promoted", by, judged=False).row


def hand_out(
    feature: Feature,
    *,
    fields: Sequence[str] | None = None,
    subjects: Sequence[Who],
    keep_ours: bool = True,
    replace_theirs: bool = False,
    by: Actor,
    dry_run: bool = False,
) -> HandedOut:
    """Copy the organisation's operations, all or those on some fields, to chosen users' overrides.

    Without `keep_ours` they are taken out of the organisation's, so that only these users have them. With it, an
    appended paragraph is handed out as the whole text that it makes, or users would have it twice. Judged as the users'
    own saves. Raises Conflict naming users who have changed these fields themselves, unless `replace_theirs`; Invalid.
    """
    if not subjects:
        raise Invalid("Say to whom.", errors=[Problem("/subjects", "required", "name at least one user")])
    people = sorted({who.id: who for who in subjects}.values(), key=lambda who: who.id)
    itself = tenant_itself(by.tenant_id)
    with by.doing("override.others", feature, dry_run=dry_run) as event:
        bump_each(by.tenant_id, [(feature.id, who) for who in [*people, *([] if keep_ours else [itself])]])
        found = read_each([(feature, who) for who in people], by.tenant_id)
        mine = found[0].of_tenant()
        before = found if keep_ours else [*found, mine]
        ours = _chosen(_changed_by(mine), fields)
        names = tuple(operation.field for operation in ours)
        if not replace_theirs:
            _refuse_taken(found, set(names))
        left = None
        if keep_ours:
            served = serve_as_read(mine)
            ours = tuple(_whole(operation, served, "tenant") for operation in ours)
        else:
            by.need("override.tenant")
            without = partial(_without, fields=set(names))
            left = write(feature, "tenant", without, ANY, "Handed out", by, found=mine).row
            found = read_each([(feature, who) for who in people], by.tenant_id)  # what they inherit has changed
        theirs = tuple((one.who, _hand(one, ours, by)) for one in found)
        effects = effects_since(before) if dry_run else ()
        event.detail = {"what": "hand out", "subjects": [str(who.id) for who in people], "fields": list(names)}
    return HandedOut(theirs, left, names, effects)


def _hand(found: Reading, operations: Operations, by: Actor) -> Saved:
    message, who = "Handed out by the organisation", found.who
    try:
        return write(found.feature, "user", lambda was: _put(was, operations), ANY, message, by, who=who, found=found)
    except Invalid as refused:
        raise Invalid(f"{who.key}: {refused.detail}", errors=refused.errors, subject=who.key) from refused


def _changed_by(found: Reading) -> Operations:
    """A subject's operations as they are served and edited: under one's own snapshot the pinned ones."""
    return content_of(revision_under(own_snapshot(serve_as_read(found)), found))[0]


def _chosen(operations: Operations, fields: Sequence[str] | None) -> Operations:
    if not operations:
        raise NotFound("There is nothing here that is changed.")
    if fields is None:
        return operations
    changed = {operation.field for operation in operations}
    unknown = [
        Problem(f"/fields/{i}", "absent", f"{field[:80]} is not changed here")
        for i, field in enumerate(fields)
        if field not in changed
    ]
    if unknown or not fields:
        told = unknown or [Problem("/fields", "required", "name at least one field, or leave this out for all")]
        raise Invalid("Only what is changed can be passed on.", errors=told)
    return tuple(operation for operation in operations if operation.field in fields)


def _laid_over(was: Content, operations: Operations, below: Served) -> Content:
    """An organisation's content with a user's operations in it, to the same effect as they have on top of it."""
    content = was
    for operation in operations:
        before = next((theirs for theirs in content[0] if theirs.field == operation.field), None)
        if before is not None and operation.kind == "append" and before.kind != "remove":
            text = f"{before.value}\n\n{operation.value}"
            operation = replace(before, value=text, based_on=None)
        if before is not None and operation.kind == "remove" and operation.field not in below.base.fields:
            content = _without(content, {operation.field})  # it was the organisation's own: nothing is left to remove
        else:
            content = _put(content, (operation,))
    parse_override(document_of(*content))  # what was joined may have grown too long
    return content


def _put(was: Content, operations: Operations) -> Content:
    """Content with these operations in the place of its own on the same fields, each noted anew."""
    content = list(was[0])
    for operation in operations:
        fresh = replace(operation, based_on=None, hold=False)
        place = next((i for i, theirs in enumerate(content) if theirs.field == operation.field), None)
        if place is None:
            content.append(fresh)
        else:
            content[place] = fresh
    return tuple(content), was[1]


def _without(was: Content, fields: set[str]) -> Content:
    return tuple(operation for operation in was[0] if operation.field not in fields), was[1]


def _whole(operation: Operation, served: Served, layer: Layer) -> Operation:
    """A layer's appended paragraph as the whole text that it makes."""
    if operation.kind != "append":
        return operation
    below = inherited(operation.field, served.base, served.tenant if layer == "user" else None, layer)
    return operation if below is ABSENT else replace(operation, kind="set", value=cast(str, applied(operation, below)))


def _refuse_taken(people: Sequence[Reading], fields: set[str]) -> None:
    taken = {
        found.who.key: both
        for found in people
        if (both := sorted(fields & {operation.field for operation in _changed_by(found)}))
    }
    if taken:
        told = "; ".join(f"{key}: {', '.join(both)}" for key, both in taken.items())
        raise Conflict(f"Some have changed these fields themselves ({told}): replace them, or leave them out.")
