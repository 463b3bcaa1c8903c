"""Versions and revisions: what never changes once it is written, so that a process keeps what it has read of them."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from uuid import UUID

from django.db.models import Q

from features.engine import Base, Revision, parse_rules
from tenants.errors import NotFound

from .kept import Lately
from .models import Override, Version
from .reading import Reading, as_revision
from .validity import unsettled

KnownRevisions = Mapping[tuple[UUID, int], Revision]  # by subject and number
NONE_READ: KnownRevisions = {}


def learn(feature_id: UUID, revisions: KnownRevisions, versions: Iterable[int]) -> None:
    """Keep revisions of a feature that were read, and read at once versions that are to be looked at, and theirs."""
    keep_revisions(feature_id, revisions)
    read_bases((feature_id, number) for number in {*versions, *seen_in(revisions)})


def base_of(feature_id: UUID, number: int) -> Base:
    """Return a published version as the engine's base layer, kept since it never changes. Raises NotFound."""
    kept = _bases.get((feature_id, number))
    if kept is None:
        version = Version.objects.filter(feature_id=feature_id, number=number).first()
        if version is None:
            raise NotFound(f"There is no version {number}.")
        kept = _keep_base(version)
    return kept


def _keep_base(version: Version) -> Base:
    base = Base(version.number, version.behavior, parse_rules(version.rules, layer="base"))
    _bases.put((version.feature_id, version.number), base)
    return base


def seen_in(revisions: KnownRevisions) -> set[int]:
    """The versions that somebody saw when they changed what they stand on."""
    return {op.based_on.base for each in revisions.values() for op in each.operations if op.based_on}


def read_bases(places: Iterable[tuple[UUID, int]]) -> None:
    """Read at once those of these versions that this process does not know; others are read when they are asked for."""
    unknown = [Q(feature_id=place[0], number=place[1]) for place in set(places) if not _bases.get(place)]
    if unknown:
        for version in Version.objects.filter(reduce(or_, unknown)):
            _keep_base(version)


def revision_row(feature_id: UUID, subject_id: UUID, number: int) -> Override:
    """One revision of an override in the present tenant. Raises NotFound."""
    row = Override.objects.filter(feature_id=feature_id, subject_id=subject_id, number=number).first()
    if row is None:
        raise NotFound(f"There is no revision {number}.")
    return row


def own_revision(found: Reading, number: int) -> Override:
    """One revision of the subject that was read, which came along where it is in force or pinned. Raises NotFound."""
    return found.own(number) or revision_row(found.feature.id, found.who.id, number)


def kept_revision(feature_id: UUID, subject_id: UUID, number: int) -> Revision:
    """One revision in the present tenant as the engine's layer, kept since it never changes. Raises NotFound."""
    kept = None if unsettled() else _revisions.get((feature_id, subject_id, number))
    if kept is None:
        kept = as_revision(revision_row(feature_id, subject_id, number))
        keep_revisions(feature_id, {(subject_id, number): kept})
    return kept


def keep_revisions(feature_id: UUID, revisions: KnownRevisions) -> None:
    """Keep revisions, which never change, for as long as there is room; not those that may yet be rolled back."""
    if not unsettled():
        for (subject_id, number), revision in revisions.items():
            _revisions.put((feature_id, subject_id, number), revision)


def revision_of(
    feature_id: UUID, subject_id: UUID, number: int | None, known: KnownRevisions = NONE_READ
) -> Revision | None:
    """The revision that a number names, if there is one: of those that were read, or as `kept_revision`."""
    if number is None:
        return None
    return known.get((subject_id, number)) or kept_revision(feature_id, subject_id, number)


_bases = Lately[tuple[UUID, int], Base](4_096)
_revisions = Lately[tuple[UUID, UUID, int], Revision](8_192)


def forget_contents() -> None:
    """Empty what this process keeps of them: for tests, which empty the database under it."""
    _bases.clear()
    _revisions.clear()
