"""What happened to one subject's feature, from the rows that are kept anyway, and which behavior each event left.

Rows are read once and every moment among them is chosen in memory, so the number of statements does not grow with the
number of events.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID

from django.db.models import Model

from features.engine import Choice, Revision, Situation, choose, compile_layers, inside
from features.engine import Policy as PolicyValue
from tenants.subjects import Who

from .contents import base_of, learn, revision_row
from .models import CurrentVersion, Feature, Override, Pin, Policy, Stage, Validity, Version, Withdrawal
from .reading import as_revision, pin_row, policy_value, rows_of, stage_row
from .released import released, with_stand_ins
from .resolve import holds_for

Kind = Literal[
    "version", "included", "excluded", "withdrawn", "lifted", "revision", "stay", "follow", "policy"
]  # included, excluded: by a rollout
Row = TypeVar("Row", bound=Validity)
MOST_ROWS = 200  # of each kind that one page reads
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Happening:
    """An event: its kind and layer, the row that tells of it, the one before in its scope, the digests around it.

    `left` and `chose` are what was chosen just before it and from it on; None before there was anything.
    """

    at: datetime
    kind: Kind
    layer: Literal["base", "tenant", "user"]
    row: Validity
    previous: Validity | None
    before: str | None
    after: str | None
    left: Choice | None = None
    chose: Choice | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Events, newest first, the versions released so far by number, and where the page of older events begins.

    `current` and `policy` are as of now, whatever page of events it is; `pins` are all there were.
    """

    happenings: Sequence[Happening]
    versions: Mapping[int, Version]
    current: int
    policy: PolicyValue
    pins: Sequence[Pin]
    older: datetime | None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Everything that bears on one subject, newest first, with the instant before which it is incomplete."""

    feature: Feature
    tenant_id: UUID
    who: Who
    currents: Sequence[CurrentVersion]
    stages: Sequence[Stage]
    withdrawals: Sequence[Withdrawal]
    policies: Sequence[Policy]
    pins: Sequence[Pin]
    overrides: Sequence[Override]
    versions: Sequence[Version]
    floor: datetime | None
    revisions: Mapping[tuple[UUID, int], Revision] = field(default_factory=dict)

    def layer_of(self, subject_id: UUID) -> Literal["tenant", "user"]:
        return "tenant" if subject_id == self.tenant_id else "user"

    def choice(self, at: datetime) -> Choice | None:
        """What was chosen at a moment, by the same function that serves; None before there was anything."""
        current = _valid(self.currents, at)
        if current is None:
            return None
        pins, newest = self._of_layers(self.pins), self._of_layers(self.overrides)
        tenant, user = (_valid(newest[layer], at) for layer in ("tenant", "user"))
        stage = _valid(self.stages, at)
        situation = Situation(
            current=current.version,
            earlier=tuple(row.version for row in self.currents if row.valid_from < current.valid_from),
            stage=stage_row(stage) if stage else None,
            withdrawn={row.version: row.replacement for row in self.withdrawals if _is_valid(row, at)},
            feature=self.feature.key,
            tenant=str(self.tenant_id),
            user=self._key,
            tenant_pin=pin_row(_valid(pins["tenant"], at), "tenant"),
            user_pin=pin_row(_valid(pins["user"], at), "user"),
            tenant_newest=tenant.number if tenant else None,
            user_newest=user.number if user else None,
            policy=policy_value(_valid(self.policies, at)),
            changes_at=None,
        )
        return choose(situation, at, holds_for(self.feature.id, self.tenant_id, self.who.id, self.revisions))

    def includes(self, stage: Stage | None) -> bool:
        """Whether a rollout's stage includes this subject."""
        row = stage_row(stage) if stage else None
        return row is not None and inside(row, feature=self.feature.key, tenant=str(self.tenant_id), user=self._key)

    @property
    def _key(self) -> str | None:
        return None if self.who.is_tenant else self.who.key

    def digest(self, at: datetime) -> str | None:
        choice = self.choice(at)
        if choice is None:
            return None
        key = (
            self.feature.id, self.tenant_id, self.who.id,
            choice.base, choice.tenant, choice.user, choice.users_may_override,
        )  # fmt: skip
        if key not in _digests:
            if len(_digests) > MOST_DIGESTS:
                _digests.clear()
            _digests[key] = self._compute(choice)
        return _digests[key]

    def _compute(self, choice: Choice) -> str:
        base = base_of(self.feature.id, choice.base)
        tenant = self._revision(self.tenant_id, choice.tenant)
        user = None if self.who.is_tenant else self._revision(self.who.id, choice.user)
        return compile_layers(base, tenant, user, users_may_override=choice.users_may_override)[0].digest

    def _revision(self, subject_id: UUID, number: int | None) -> Revision | None:
        if number is None:
            return None
        kept = self.revisions.get((subject_id, number))
        return kept or as_revision(revision_row(self.feature.id, subject_id, number))

    def between(self, first: datetime, last: datetime) -> "_Rows":
        """The same, with all that is chosen by from one moment to another read at once: revisions and versions."""

        def then(row: Validity) -> bool:
            return row.valid_from <= last and (row.valid_to is None or row.valid_to > first)

        pins = [row for row in self.pins if then(row)]
        pinned = {
            (subject_id, number)
            for pin in pins
            for subject_id, number in ((self.tenant_id, pin.tenant_revision), (pin.subject_id, pin.user_revision))
        }
        wanted = (row for row in self.overrides if then(row) or (row.subject_id, row.number) in pinned)
        revisions = {(row.subject_id, row.number): as_revision(row) for row in wanted}
        versions = {row.version for rows in (self.currents, self.stages) for row in rows if then(row)}
        replacing = {row.replacement for row in self.withdrawals if then(row)}
        learn(self.feature.id, revisions, {*versions, *replacing, *(pin.base for pin in pins)})
        return replace(self, revisions=revisions)

    def _of_layers(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        split: dict[str, list[Row]] = {"tenant": [], "user": []}
        for row in rows:
            split[self.layer_of(row.subject_id)].append(row)  # type: ignore[attr-defined]  # pins and overrides
        return split


# A digest is a function of numbers that never mean another thing, so it may be kept for as long as there is room.
_digests: dict[tuple[object, ...], str] = {}
MOST_DIGESTS = 50_000


def history(
    feature: Feature, tenant_id: UUID, who: Who, now: datetime, *, before: datetime | None = None, most: int = 30
) -> History:
    """Return what happened to a subject's feature until now (or `before`), newest first.

    Within the tenant's transaction, whose clock `now` was read from.
    """
    until = before or now + INSTANT
    rows = _read(feature, tenant_id, who, until)
    numbers = _released(rows)
    events = sorted(_events(rows, now, numbers), key=lambda event: event.at, reverse=True)
    events = [event for event in events if event.at < until and (rows.floor is None or event.at > rows.floor)]
    shown = events[:most]
    if shown:
        rows = rows.between(shown[-1].at - INSTANT, shown[0].at)
    shown = [_with_digests(event, rows) for event in shown]
    current = _valid(rows.currents, now)
    return History(
        happenings=shown,
        versions={version.number: version for version in rows.versions if version.number in numbers},
        current=current.version if current else 0,
        policy=policy_value(_valid(rows.policies, now)),
        pins=rows.pins,
        older=shown[-1].at if len(events) > most or (rows.floor and shown) else None,
    )


def _released(rows: _Rows) -> set[int]:
    """The versions that exist for the subject, from the rows read anyway; asked for where those are too many."""
    if rows.floor is not None:
        return released(rows.feature, rows.tenant_id, rows.who)
    numbers = {row.version for row in rows.currents} | {row.version for row in rows.stages if rows.includes(row)}
    return with_stand_ins(numbers, [(row.version, row.replacement) for row in rows.withdrawals])


def revisions_of(feature: Feature, who: Who, most: int, before: int | None = None) -> list[Override]:
    """The newest revisions of a subject's override, or of those before one; within the tenant's transaction."""
    rows = Override.objects.filter(feature=feature, subject_id=who.id).order_by("-number")
    return list((rows if before is None else rows.filter(number__lt=before))[:most])


_WHERE: Mapping[type[Validity], str] = {
    CurrentVersion: "feature_id = %(feature)s",
    Stage: "feature_id = %(feature)s",
    Withdrawal: "feature_id = %(feature)s",
    Policy: "tenant_id = %(tenant)s",
    Pin: "feature_id = %(feature)s AND subject_id IN (%(tenant)s, %(subject)s)",
    Override: "feature_id = %(feature)s AND subject_id IN (%(tenant)s, %(subject)s) AND valid_from < %(before)s",
}
_HEAD = "id, feature_id, number, titles, message, author, created_at"  # of a version, whose content is long
_VERSIONS = f"""
SELECT {_HEAD} FROM features_version WHERE feature_id = %(feature)s AND number IN (
    SELECT version FROM features_currentversion WHERE feature_id = %(feature)s
    UNION SELECT version FROM features_stage WHERE feature_id = %(feature)s
    UNION SELECT replacement FROM features_withdrawal WHERE feature_id = %(feature)s)"""
_SELECTS: Sequence[tuple[type[Model], str]] = [
    *(
        (model, f"SELECT * FROM {model._meta.db_table} WHERE {where} ORDER BY valid_from DESC LIMIT %(most)s")
        for model, where in _WHERE.items()
    ),
    (Version, _VERSIONS),
]


def _read(feature: Feature, tenant_id: UUID, who: Who, before: datetime) -> _Rows:
    """Read the rows in one statement, with the versions that any of them may name."""
    facts: dict[str, Any] = {"feature": feature.id, "tenant": tenant_id, "subject": who.id}
    facts |= {"before": before, "most": MOST_ROWS}
    currents, stages, withdrawals, policies, pins, overrides, versions = rows_of(_SELECTS, facts)
    every = (currents, stages, withdrawals, policies, pins, overrides)
    floor = max((rows[-1].valid_from for rows in every if len(rows) == MOST_ROWS), default=None)
    return _Rows(feature, tenant_id, who, currents, stages, withdrawals, policies, pins, overrides, versions, floor)


def _included(rows: _Rows, now: datetime) -> Iterable[Happening]:
    """A rollout reaches this subject, or is rolled back from it; that it is done is the version becoming current."""
    moved = {row.valid_from for row in rows.currents}
    for stage in rows.stages:
        if not rows.includes(stage):
            continue
        if not rows.includes(_valid(rows.stages, stage.valid_from - INSTANT)):
            yield _event(stage, "included", "base", None)
        end = stage.valid_to
        if end is None or end > now or rows.includes(_valid(rows.stages, end)):
            continue
        current = _valid(rows.currents, end)
        if end not in moved and (current is None or current.version != stage.version):
            yield _event(stage, "excluded", "base", None, end)


def _events(rows: _Rows, now: datetime, known: Collection[int]) -> Iterable[Happening]:
    for current, previous in _pairs(rows.currents):
        yield _event(current, "version", "base", previous)
    yield from _included(rows, now)
    for withdrawal in rows.withdrawals:
        if withdrawal.version in known:
            yield _event(withdrawal, "withdrawn", "base", None)
            if withdrawal.valid_to is not None and withdrawal.valid_to <= now:
                yield _event(withdrawal, "lifted", "base", None, withdrawal.valid_to)
    for policy, policy_before in _pairs(rows.policies):
        yield _event(policy, "policy", "tenant", policy_before)
    moved = _moved_with_a_save(rows)
    for subject_id in {rows.tenant_id, rows.who.id}:
        layer = rows.layer_of(subject_id)
        for override, earlier in _pairs([row for row in rows.overrides if row.subject_id == subject_id]):
            yield _event(override, "revision", layer, earlier, moved.get(override.id))
        yield from _stays([row for row in rows.pins if row.subject_id == subject_id], layer, now)


def _stays(pins: Sequence[Pin], layer: Literal["tenant", "user"], now: datetime) -> Iterable[Happening]:
    """Each stay begins and, unless another takes its place at that instant, ends."""
    begins = {pin.valid_from for pin in pins}
    for pin, previous in _pairs(pins):
        if previous is None or not _continues(previous, pin):
            yield _event(pin, "stay", layer, previous)
        if pin.valid_to is not None and pin.valid_to <= now and pin.valid_to not in begins:
            yield _event(pin, "follow", layer, previous, pin.valid_to)


def _moved_with_a_save(rows: _Rows) -> dict[UUID, datetime]:
    """Saving under one's own snapshot moves the pin a moment later: that is when the save took effect."""
    found = {}
    for pin, previous in _pairs(rows.pins):
        if previous is not None and _continues(previous, pin):
            number = pin.tenant_revision if rows.layer_of(pin.subject_id) == "tenant" else pin.user_revision
            saved = [o for o in rows.overrides if (o.subject_id, o.number) == (pin.subject_id, number)]
            found.update({override.id: pin.valid_from for override in saved})
    return found


def _continues(previous: Pin, pin: Pin) -> bool:
    return (previous.subject_id, previous.created_at) == (pin.subject_id, pin.created_at)


def _pairs(rows: Sequence[Row]) -> Iterable[tuple[Row, Row | None]]:
    return zip(rows, [*rows[1:], None], strict=False)


def _event(
    row: Validity, kind: Kind, layer: Literal["base", "tenant", "user"], previous: Validity | None,
    at: datetime | None = None,
) -> Happening:  # fmt: skip
    return Happening(at or row.valid_from, kind, layer, row, previous, None, None)


def _with_digests(event: Happening, rows: _Rows) -> Happening:
    just_before = event.at - INSTANT
    return replace(
        event, before=rows.digest(just_before), after=rows.digest(event.at),
        left=rows.choice(just_before), chose=rows.choice(event.at),
    )  # fmt: skip


def _valid(rows: Iterable[Row], at: datetime) -> Row | None:
    return next((row for row in rows if _is_valid(row, at)), None)


def _is_valid(row: Validity, at: datetime) -> bool:
    return row.valid_from <= at and (row.valid_to is None or at < row.valid_to)
