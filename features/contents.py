"""Versions and revisions: what never changes once it is written, so that a process keeps what it has read of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q

from features.engine import Base, Revision, parse_rules
from tenants.errors import NotFound

from .kept import Lately
from .models import Feature, Override, Version
from .reading import Reading, as_revision
from .validity import unsettled

KnownRevisions = Mapping[tuple[UUID, int], Revision]  # by subject and number
NONE_READ: KnownRevisions = {}


def learn(feature_id: UUID, revisions: KnownRevisions, versions: Iterable[int]) -> None:
    """Keep revisions of a feature that were read, and read at once versions that are to be looked at, and theirs."""
    keep_revisions(feature_id, revisions)
    read_versions((feature_id, number) for number in {*versions, *seen_in(revisions)})


@dataclass(frozen=True, slots=True)
class _Content:
    """A version's base layer, and what people read for its fields."""

    base: Base
    titles: Mapping[str, Any]


def base_of(feature_id: UUID, number: int) -> Base:
    """Return a published version as the engine's base layer, kept since it never changes. Raises NotFound."""
    return _content(feature_id, number).base


def titles_of(feature: Feature, number: int) -> Mapping[str, Any]:
    """What people read for fields (label, help), as a version says. Raises NotFound."""
    return _content(feature.id, number).titles


def _content(feature_id: UUID, number: int) -> _Content:
    kept = _versions.get((feature_id, number))
    if kept is None:
        version = Version.objects.filter(feature_id=feature_id, number=number).first()
        if version is None:
            raise NotFound(f"There is no version {number}.")
        kept = _keep(version)
    return kept


def _keep(version: Version) -> _Content:
    base = Base(version.number, version.behavior, parse_rules(version.rules, layer="base"))
    kept = _Content(base, version.titles)
    _versions.put((version.feature_id, version.number), kept)
    return kept


def seen_in(revisions: KnownRevisions) -> set[int]:
    """The versions that somebody saw when they changed what they stand on."""
    return {op.based_on.base for each in revisions.values() for op in each.operations if op.based_on}


def read_versions(places: Iterable[tuple[UUID, int]]) -> None:
    """Read at once those of these versions that this process does not know; others are read when they are asked for."""
    unknown = [Q(feature_id=place[0], number=place[1]) for place in set(places) if not _versions.get(place)]
    if unknown:
        for version in Version.objects.filter(reduce(or_, unknown)):
            _keep(version)


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


_versions = Lately[tuple[UUID, int], _Content](4_096)
_revisions = Lately[tuple[UUID, UUID, int], Revision](8_192)


def forget_contents() -> None:
    """Empty what this process keeps of them: for tests, which empty the database under it."""
    _versions.clear()
    _revisions.clear()
