"""The rows of one impact, tenant by tenant, each in a transaction of its own; those who have nothing are counted.

What is read is as of the impact's instant. Names and fields leave a tenant's transaction, content never does.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connections

from features.contents import base_of, revision_row
from features.engine import BUCKETS, Base, Revision, Situation, StageRow, from_rows, parse_rules
from features.models import CurrentVersion, Feature, Impact, ImpactRow, Pin, Policy, Stage, Withdrawal
from features.reading import MOST_POINTERS, as_revision, pin_row, policy_value, stage_row
from features.validity import valid_at
from tenants.isolation import APP, NOBODY, OPERATOR, tenant_tx
from tenants.workshop import WORKSHOP

from .outcome import Change, Scale, Verdict, included, moved_to, withdrawn
from .record import WITHDRAWALS

PAGE = 500  # subjects of one tenant that are in memory at a time
KEYS = 5_000  # and of those without anything of their own, whose keys alone are looked at

_VALID = "{0}.valid_from <= %(at)s AND ({0}.valid_to IS NULL OR {0}.valid_to > %(at)s)"
_MINE = "{0}.tenant_id = t.id AND {0}.feature_id = %(feature)s AND " + _VALID
_SERVED = f"""t.created_at <= %(at)s AND (NOT %(listed)s
    OR EXISTS (SELECT FROM features_availability a WHERE {_MINE.format("a")}))"""
_HAS_ONE = f"""(EXISTS (SELECT FROM features_override o WHERE {_MINE.format("o")})
    OR EXISTS (SELECT FROM features_pin p WHERE {_MINE.format("p")}))"""
_PRESENT = "(m.id IS NULL OR m.removed_at IS NULL OR m.removed_at > %(at)s)"  # as a subject: not a member who left

# On the operator's connection: who has anything at all, and how many there are at those who have nothing.
_VISITED = f"""SELECT t.id FROM tenants_tenant t WHERE t.id > %(after)s AND {_SERVED} AND {_HAS_ONE} ORDER BY t.id"""
_UNVISITED = f"""
SELECT t.id, count(s.id) FILTER (WHERE s.kind = 'member' AND {_PRESENT}), count(s.id) FILTER (WHERE s.kind = 'external')
FROM (SELECT t.id FROM tenants_tenant t WHERE t.id > %(after)s AND {_SERVED} AND NOT {_HAS_ONE}
      ORDER BY t.id LIMIT {KEYS}) t
LEFT JOIN tenants_subject s ON s.tenant_id = t.id AND s.created_at <= %(at)s
LEFT JOIN tenants_member m ON m.tenant_id = s.tenant_id AND m.id = s.id
GROUP BY t.id ORDER BY t.id"""

# In a tenant's transaction.
_TENANT = f"""
SELECT t.name, (SELECT row_to_json(p)::text FROM features_policy p WHERE p.tenant_id = t.id AND {_VALID.format("p")}),
    o.number, o.operations, o.rules,
    (SELECT p.id FROM features_pin p WHERE {_MINE.format("p")} AND p.subject_id = t.id),
    (SELECT count(*) FROM tenants_subject s LEFT JOIN tenants_member m ON m.tenant_id = s.tenant_id AND m.id = s.id
        WHERE s.tenant_id = t.id AND s.kind = 'member' AND s.created_at <= %(at)s AND {_PRESENT}),
    (SELECT count(*) FROM tenants_subject s
        WHERE s.tenant_id = t.id AND s.kind = 'external' AND s.created_at <= %(at)s)
FROM tenants_tenant t LEFT JOIN features_override o ON {_MINE.format("o")} AND o.subject_id = t.id
WHERE t.id = %(tenant)s"""
_USERS = f"""
SELECT own.subject_id, s.kind, s.key, coalesce(nullif(u.name, ''), u.email), {_PRESENT},
    own.number, own.operations, own.pin
FROM (SELECT coalesce(o.subject_id, p.subject_id) AS subject_id, o.number, o.operations, p.id AS pin
      FROM (SELECT * FROM features_override o WHERE o.tenant_id = %(tenant)s AND o.feature_id = %(feature)s
            AND {_VALID.format("o")}) o
      FULL JOIN (SELECT * FROM features_pin p WHERE p.tenant_id = %(tenant)s AND p.feature_id = %(feature)s
                 AND {_VALID.format("p")}) p ON p.subject_id = o.subject_id) own
JOIN tenants_subject s ON s.tenant_id = %(tenant)s AND s.id = own.subject_id
LEFT JOIN tenants_member m ON m.tenant_id = s.tenant_id AND m.id = s.id
LEFT JOIN tenants_user u ON u.id = m.user_id
WHERE own.subject_id <> %(tenant)s AND own.subject_id > %(after)s
ORDER BY own.subject_id LIMIT {PAGE}"""
_KEYS = f"""
SELECT s.id, s.kind, s.key FROM tenants_subject s
LEFT JOIN tenants_member m ON m.tenant_id = s.tenant_id AND m.id = s.id
WHERE s.tenant_id = %(tenant)s AND s.id > %(after)s AND s.kind <> 'tenant' AND s.created_at <= %(at)s AND {_PRESENT}
ORDER BY s.id LIMIT {KEYS}"""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of some subjects: rows of those who have an override or a pin, and how many of the others move."""

    rows: list[ImpactRow]
    moving: Counter[str]


class Walk:
    """One impact's way through the tenants: what the vendor had at its instant, and what changes."""

    def __init__(self, impact: Impact, feature: Feature) -> None:
        self.impact, self.feature, self.at = impact, feature, impact.at
        self.vendor = _vendor(feature, impact)
        self.change = _change(impact)
        self.parameters: dict[str, Any] = {"feature": feature.id, "at": impact.at, "listed": feature.listed_only}
        stages = [stage for stage in (self.vendor.stage, self.change(self.vendor).stage) if stage]
        self._by_user = [stage for stage in stages if stage.unit == "user" and stage.share < BUCKETS]

    def visited(self, after: UUID | None) -> list[UUID]:
        """The tenants in which somebody has an override or a pin, by id, after one of them."""
        return [row[0] for row in self.operate(_VISITED, after=after or NOBODY)]

    def others(self) -> tuple[int, Counter[str]]:
        """How many tenants have neither, and how many of them and theirs simply move."""
        tenants, moving, after = 0, Counter[str](), WORKSHOP  # the lowest of all ids, and no organisation
        while rows := self.operate(_UNVISITED, after=after):
            after = rows[-1][0]
            tenants += len(rows)
            scale = Scale(self.change, self.at, self.base, _no_revision)
            for tenant_id, members, users in rows:
                ours = replace(self.vendor, tenant=str(tenant_id))
                moving["tenants"] += scale.moves(ours)
                moving += self.plain(scale, ours, {"members": members, "users": users}, set())
        return tenants, moving

    def tenant(self, tenant_id: UUID) -> Iterator[Tally]:
        """What becomes of one tenant, page by page, in one transaction of its own."""
        with tenant_tx(tenant_id):
            yield from _Tenant(self, tenant_id).pages()

    def plain(self, scale: Scale, ours: Situation, there: dict[str, int], own: set[UUID]) -> Counter[str]:
        """How many of those without anything of their own move: all that are `there` or, by user's keys, some."""
        if all(ours.tenant in stage.tenants for stage in self._by_user):
            return Counter(there) if scale.moves(replace(ours, user="anybody")) else Counter()
        moving, after = Counter[str](), NOBODY
        while rows := self.operate(_KEYS, tenant=UUID(ours.tenant), after=after):
            after = rows[-1][0]
            for subject_id, kind, key in rows:
                if subject_id not in own:
                    moving["members" if kind == "member" else "users"] += scale.moves(replace(ours, user=key))
        return moving

    def base(self, number: int) -> Base:
        """A version of the feature, as it is served."""
        return base_of(self.feature.id, number)

    def operate(self, statement: str, **parameters: Any) -> list[Any]:
        """Ask on the operator's connection, which sees names and numbers of all tenants, and no content."""
        with connections[OPERATOR].cursor() as cursor:
            cursor.execute(statement, {**self.parameters, **parameters})
            rows: list[Any] = cursor.fetchall()
            return rows


class _Tenant:
    """One tenant while it is looked at: its policy, its own layer and pin, and the users' as they are read."""

    def __init__(self, walk: Walk, tenant_id: UUID) -> None:
        self.walk, self.id = walk, tenant_id
        name, policy, number, operations, rules, pin, members, users = self._ask(_TENANT)[0]
        self.name, self.there = name, {"members": members, "users": users}
        self.revisions: dict[int, Revision] = {}
        if number is not None:
            self.revisions[number] = Revision(
                number, from_rows(json.loads(operations)), parse_rules(json.loads(rules), layer="tenant")
            )
        self.has_own = pin is not None or (number is not None and _says_something(self.revisions[number]))
        value = None if policy is None else json.loads(policy)
        self.situation = replace(
            walk.vendor,
            tenant=str(tenant_id),
            tenant_pin=pin_row(self._pins([pin]).get(tenant_id), "tenant"),
            tenant_newest=number,
            policy=policy_value(None if value is None else Policy(
                users_may_pin=value["users_may_pin"], users_may_override=value["users_may_override"]
            )),
        )  # fmt: skip
        self.scale = Scale(walk.change, walk.at, walk.base, self._revision)

    def pages(self) -> Iterator[Tally]:
        own: set[UUID] = set()
        moving = Counter[str]()
        if self.has_own:
            verdict = self.scale.weigh(self.situation)
            yield Tally([self._row(self.id, "tenant", self.name, verdict)], Counter())
        else:
            moving["tenants"] += self.scale.moves(self.situation)
        after = NOBODY
        while rows := self._ask(_USERS, after=after):
            after = rows[-1][0]
            yield Tally(list(self._users(rows, own)), Counter())
            if len(rows) < PAGE:
                break
        yield Tally([], moving + self.walk.plain(self.scale, self.situation, self.there, own))

    def _users(self, rows: list[Any], own: set[UUID]) -> Iterator[ImpactRow]:
        pins = self._pins([row[-1] for row in rows])
        for subject_id, kind, key, person, present, number, operations, pin in rows:
            revision = None if number is None else Revision(number, from_rows(json.loads(operations)))
            if pin is None and not (revision and revision.operations):
                continue
            own.add(subject_id)
            if present:
                self.there["members" if kind == "member" else "users"] -= 1
            situation = replace(
                self.situation, user=key, user_newest=number, user_pin=pin_row(pins.get(subject_id), "user")
            )
            verdict = self.scale.weigh(situation, self._revisions_of(subject_id, revision))
            yield self._row(subject_id, "user", person or key, verdict)

    def _row(self, subject_id: UUID, layer: str, name: str, verdict: Verdict) -> ImpactRow:
        return ImpactRow(
            impact=self.walk.impact, tenant=self.id, tenant_name=self.name, subject=subject_id, layer=layer,
            name=name[:210], outcome=verdict.outcome, before=verdict.before, after=verdict.after,
            fields=list(verdict.fields),
        )  # fmt: skip

    def _revisions_of(self, subject_id: UUID, newest: Revision | None) -> Any:
        def revision(number: int) -> Revision:
            if newest is not None and newest.number == number:
                return newest
            return as_revision(revision_row(self.walk.feature.id, subject_id, number))  # a snapshot's, if it is lost

        return revision

    def _revision(self, number: int) -> Revision:
        if number not in self.revisions:
            self.revisions[number] = as_revision(revision_row(self.walk.feature.id, self.id, number))
        return self.revisions[number]

    def _pins(self, ids: list[UUID | None]) -> dict[UUID, Pin]:
        wanted = [pin for pin in ids if pin is not None]
        return {row.subject_id: row for row in Pin.objects.filter(pk__in=wanted)} if wanted else {}

    def _ask(self, statement: str, **parameters: Any) -> list[Any]:
        with connections[APP].cursor() as cursor:
            cursor.execute(statement, {**self.walk.parameters, "tenant": self.id, **parameters})
            rows: list[Any] = cursor.fetchall()
            return rows


def _says_something(revision: Revision) -> bool:
    return bool(revision.operations or revision.rules)


def _no_revision(number: int) -> Revision:
    raise LookupError(f"revision {number} of somebody who has none")


def _vendor(feature: Feature, impact: Impact) -> Situation:
    """What the vendor alone decides, as valid at the impact's instant."""
    pointers = CurrentVersion.objects.using(OPERATOR).filter(feature=feature, valid_from__lte=impact.at)
    numbers = list(pointers.order_by("-valid_from").values_list("version", flat=True)[:MOST_POINTERS])
    valid = valid_at(impact.at)
    stage = Stage.objects.using(OPERATOR).filter(valid, feature=feature).first()
    gone = Withdrawal.objects.using(OPERATOR).filter(valid, feature=feature)
    return Situation(
        current=numbers[0],
        earlier=tuple(numbers[1:]),
        stage=stage_row(stage) if stage else None,
        withdrawn=dict(gone.values_list("version", "replacement")),
        tenant_pin=None,
        user_pin=None,
        tenant_newest=None,
        user_newest=None,
        policy=policy_value(None),
        changes_at=None,
        feature=feature.key,
    )


def _change(impact: Impact) -> Change:
    if impact.kind in WITHDRAWALS:
        return withdrawn(impact.before, impact.to)
    if impact.stage is None and impact.kind != "rollout":
        return moved_to(impact.to)
    stage = impact.stage or {"share": BUCKETS, "tenants": [], "unit": "tenant"}
    return included(
        StageRow(str(impact.rollout_id), impact.to, stage["unit"], stage["share"], frozenset(stage["tenants"]))
    )
