"""One statement reads everything that decides what a subject is served of a feature, with the stamps it stands under.

Rows are read as valid at one moment: now by the database's clock, or a past one. Content comes with it (the newest
revisions, and those that pins name), so that a subject whom this process has never served costs one round trip.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from django.db import connections
from django.db.models import Field, Model

from features.engine import PinRow, Revision, Situation, StageRow, from_rows, parse_rules
from features.engine import Policy as PolicyValue
from tenants.isolation import APP
from tenants.subjects import Who, tenant_itself

from .models import EVERY_FEATURE, MODELS, Feature, ModelTarget, OrderedJSONField, Override, Pin, Policy, Stage
from .validity import bump_each

Stamps = tuple[int, ...]
MOST_POINTERS = 50  # how far back in a feature's history a held subject's version is looked for


def _stamps(feature: str, models: str, every: str, tenant: str, subject: str) -> str:
    """An SQL array of every stamp that the choice for a subject depends on, where SQL names the ids so."""
    vendors = "coalesce((SELECT value FROM features_vendorstamp WHERE scope = {}), 0)"
    one = f"SELECT value FROM features_stamp WHERE tenant_id = {tenant} AND feature = {{}} AND subject = {{}}"
    own = f"coalesce(({one}), 0)"
    scopes = [vendors.format(feature), vendors.format(models), own.format(every, tenant)]
    scopes += [own.format(feature, tenant), own.format(feature, subject)]
    return f"ARRAY[{', '.join(scopes)}]::bigint[]"


# `serve_warm` caches under these stamps, and a run is inserted only while they are still the same (runs/accept.py), so
# that no process ever serves what was changed.
STAMPS_SQL = _stamps("%(feature)s", "%(models)s", "%(every)s", "%(tenant)s", "%(subject)s")
_NIL = f"'{EVERY_FEATURE}'::uuid"


def known_columns(tenant: str, subject: str) -> str:
    """Three SQL columns that `known_from` reads: the row of features_feature `f`, a subject's stamps, and the clock.

    The arguments are SQL themselves, so that the statement which authenticates a caller can read them along.
    """
    return f"row_to_json(f)::text, {_stamps('f.id', _NIL, _NIL, tenant, subject)}, clock_timestamp()"


@dataclass(frozen=True, slots=True)
class Known:
    """What a request has read of a feature and of a subject's stamps, before it asks what they are served."""

    feature: Feature
    stamps: Stamps
    now: datetime

    def of_tenant(self) -> "Known":
        """The same for the tenant itself, whose stamps are among those of each of its subjects."""
        return replace(self, stamps=(*self.stamps[:-1], self.stamps[-2]))


def known_from(row: str | None, stamps: list[int], now: datetime) -> Known | None:
    """Read what `known_columns` wrote; None where there is no such feature."""
    return None if row is None else Known(_feature(row), tuple(stamps), now)


@lru_cache(maxsize=1024)
def _feature(text: str) -> Feature:
    """A feature by its row's text, which is the same until somebody changes the row. It is shared: nobody writes it."""
    found: Feature = as_row(Feature, json.loads(text))
    return found


_VALID = "{0}.valid_from <= m.t AND ({0}.valid_to IS NULL OR {0}.valid_to > m.t)"


def _reading(feature: str, subject: str) -> str:
    """The statement that reads what bears on a subject and feature, where SQL names their ids so."""
    return f"""
WITH m AS MATERIALIZED (SELECT coalesce(%(at)s::timestamptz, clock_timestamp()) AS t),
pin AS MATERIALIZED (
    SELECT p.* FROM features_pin p, m
    WHERE p.tenant_id = %(tenant)s AND p.feature_id = {feature} AND p.subject_id IN (%(tenant)s, {subject})
      AND {_VALID.format("p")}
)
SELECT {_stamps(feature, _NIL, _NIL, "%(tenant)s", subject)}, m.t, clock_timestamp(), json_build_object(
    'feature', (SELECT row_to_json(f) FROM features_feature f WHERE f.id = {feature}),
    'available', EXISTS (SELECT FROM features_feature f WHERE f.id = {feature} AND NOT f.listed_only)
        OR EXISTS (SELECT FROM features_availability a WHERE a.tenant_id = %(tenant)s
                   AND a.feature_id = {feature} AND {_VALID.format("a")}),
    'pointers', (SELECT json_agg(json_build_array(c.version, c.valid_to) ORDER BY c.valid_from DESC) FROM (
        SELECT version, valid_from, valid_to FROM features_currentversion
        WHERE feature_id = {feature} AND valid_from <= m.t ORDER BY valid_from DESC LIMIT {MOST_POINTERS}) c),
    'stage', (SELECT row_to_json(s) FROM features_stage s
        WHERE s.feature_id = {feature} AND {_VALID.format("s")}),
    'withdrawn', (SELECT json_agg(json_build_array(w.version, w.replacement, w.valid_to)) FROM features_withdrawal w
        WHERE w.feature_id = {feature} AND {_VALID.format("w")}),
    'policy', (SELECT row_to_json(p) FROM features_policy p
        WHERE p.tenant_id = %(tenant)s AND {_VALID.format("p")}),
    'pins', (SELECT json_agg(row_to_json(pin)) FROM pin),
    'overrides', (SELECT json_agg(row_to_json(o)) FROM features_override o
        WHERE o.tenant_id = %(tenant)s AND o.feature_id = {feature} AND o.subject_id IN (%(tenant)s, {subject})
          AND ({_VALID.format("o")} OR (%(at)s::timestamptz IS NULL AND o.valid_to IS NULL)
               OR EXISTS (SELECT FROM pin WHERE (o.subject_id, o.number) IN (
                    (%(tenant)s, pin.tenant_revision), (pin.subject_id, pin.user_revision))))),
    'aliases', (SELECT json_agg(json_build_array(l.valid_to, row_to_json(x))) FROM features_modelalias l
        JOIN features_modeltarget x ON x.id = l.target_id WHERE {_VALID.format("l")}),
    'endings', (SELECT json_agg(x.ends_at) FROM features_modeltarget x WHERE x.ends_at > m.t)
)::text FROM m"""


_READ = _reading("%(feature)s::uuid", "%(subject)s::uuid")
_READ_EACH = f"""
SELECT whose.place, r.*
FROM unnest(%(features)s::uuid[], %(subjects)s::uuid[]) WITH ORDINALITY AS whose(feature, subject, place)
CROSS JOIN LATERAL ({_reading("whose.feature", "whose.subject")}) r"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a subject: the stamps, the moment it is as of and the clock's now, and what the rows come to.

    `situation` is None while the feature had no current version. `pins` are those in force, by subject. `revisions` are
    those that came along, by subject and number: in force, or named by a pin; `rows` are theirs, as JSON. `aliases` are
    the targets that each meant at the moment.
    """

    feature: Feature
    tenant_id: UUID
    who: Who
    available: bool
    stamps: Stamps
    at: datetime
    now: datetime
    situation: Situation | None
    pins: Mapping[UUID, Pin]
    rows: Mapping[tuple[UUID, int], Mapping[str, Any]]
    revisions: Mapping[tuple[UUID, int], Revision]
    aliases: Mapping[str, ModelTarget]

    @property
    def pin(self) -> Pin | None:
        """The subject's own pin, whether or not the policy lets it count."""
        return self.pins.get(self.who.id)

    @property
    def newest(self) -> Override | None:
        """The subject's newest revision, where it is now that was read."""
        own = ((number, row) for (subject, number), row in self.rows.items() if subject == self.who.id)
        return next((self.own(number) for number, row in own if row["valid_to"] is None), None)

    def own(self, number: int) -> Override | None:
        """One revision of the subject's own, if it came along."""
        row = self.rows.get((self.who.id, number))
        return None if row is None else as_row(Override, row)

    def of_tenant(self) -> "Reading":
        """The same for the tenant itself: what bears on it bears on each of its subjects."""
        situation = self.situation and replace(self.situation, user_pin=None, user_newest=None, user=None)
        stamps = (*self.stamps[:-1], self.stamps[-2])
        return replace(self, who=tenant_itself(self.tenant_id), stamps=stamps, situation=situation)


def stamp_parameters(tenant_id: UUID, feature_id: UUID, subject_id: UUID) -> dict[str, UUID]:
    """The parameters of STAMPS_SQL."""
    return {
        "tenant": tenant_id,
        "feature": feature_id,
        "subject": subject_id,
        "models": MODELS,
        "every": EVERY_FEATURE,
    }


def read_stamps(tenant_id: UUID, feature_id: UUID, subject_id: UUID) -> tuple[Stamps, datetime]:
    """The stamps of a subject's choice, and the clock, in one statement of the tenant's transaction."""
    with connections[APP].cursor() as cursor:
        cursor.execute(f"SELECT {STAMPS_SQL}, clock_timestamp()", stamp_parameters(tenant_id, feature_id, subject_id))
        values, now = cursor.fetchone()
    return tuple(values), now


_KNOWN = f"""
SELECT whose.subject, {known_columns("%(tenant)s", "whose.subject")}
FROM features_feature f CROSS JOIN unnest(%(subjects)s::uuid[]) AS whose(subject)
WHERE NOT f.listed_only OR EXISTS (
    SELECT FROM features_availability a WHERE a.tenant_id = %(tenant)s AND a.feature_id = f.id AND a.valid_to IS NULL)
ORDER BY f.title, f.key"""
_PAIRS = f"""
SELECT p.feature, p.subject, {_stamps("p.feature", _NIL, _NIL, "%(tenant)s", "p.subject")}, clock_timestamp()
FROM unnest(%(features)s::uuid[], %(subjects)s::uuid[]) AS p(feature, subject)"""


def read_known(tenant_id: UUID, *subjects: UUID) -> list[list[Known]]:
    """Every feature that there is for a tenant, by title, with the stamps of each subject; in one statement."""
    found: dict[UUID, list[Known]] = {subject_id: [] for subject_id in subjects}
    with connections[APP].cursor() as cursor:
        cursor.execute(_KNOWN, {"tenant": tenant_id, "subjects": list(found)})
        for subject_id, row, stamps, now in cursor.fetchall():
            found[subject_id].append(Known(_feature(row), tuple(stamps), now))
    return [found[subject_id] for subject_id in subjects]


def read_known_of(tenant_id: UUID, pairs: Iterable[tuple[Feature, UUID]]) -> dict[tuple[UUID, UUID], Known]:
    """The stamps of many subjects of a tenant, each of one feature, by both ids and in that order; in one statement."""
    features = {(feature.id, subject_id): feature for feature, subject_id in pairs}
    if not features:
        return {}
    facts: dict[str, Any] = {"tenant": tenant_id, "features": [], "subjects": []}
    for of, whose in features:
        facts["features"].append(of)
        facts["subjects"].append(whose)
    with connections[APP].cursor() as cursor:
        cursor.execute(_PAIRS, facts)
        found = {(of, whose): Known(features[of, whose], tuple(s), now) for of, whose, s, now in cursor.fetchall()}
    return {place: found[place] for place in features}


def read(feature: Feature, tenant_id: UUID, who: Who, at: datetime | None = None) -> Reading:
    """Read what bears on a subject and feature, as valid now or at a moment, in the tenant's transaction."""
    facts: dict[str, Any] = {"tenant": tenant_id, "feature": feature.id, "subject": who.id, "at": at}
    with connections[APP].cursor() as cursor:
        cursor.execute(_READ, facts)
        return _as_reading(feature, tenant_id, who, *cursor.fetchone())


def read_each(pairs: Sequence[tuple[Feature, Who]], tenant_id: UUID) -> list[Reading]:
    """As `read` for now, of many subjects of a tenant, each of one feature, in their order; in one statement."""
    if not pairs:
        return []
    facts: dict[str, Any] = {"tenant": tenant_id, "at": None}
    facts |= {"features": [feature.id for feature, _ in pairs], "subjects": [who.id for _, who in pairs]}
    with connections[APP].cursor() as cursor:
        cursor.execute(_READ_EACH, facts)
        rows = {place: columns for place, *columns in cursor.fetchall()}
    return [_as_reading(feature, tenant_id, who, *rows[n]) for n, (feature, who) in enumerate(pairs, 1)]


def _as_reading(
    feature: Feature, tenant_id: UUID, who: Who, stamps: list[int], moment: datetime, now: datetime, text: str
) -> Reading:
    found: dict[str, Any] = json.loads(text)
    pins = {row.subject_id: row for row in (as_row(Pin, one) for one in found["pins"] or ())}
    rows: dict[tuple[UUID, int], dict[str, Any]] = {
        (UUID(row["subject_id"]), row["number"]): row for row in found["overrides"] or ()
    }
    newest = {place[0]: row for place, row in rows.items() if _in_force(row, moment)}
    return Reading(
        feature=as_row(Feature, found["feature"]) if found["feature"] else feature,
        tenant_id=tenant_id,
        who=who,
        available=found["available"],
        stamps=tuple(stamps),
        at=moment,
        now=now,
        situation=_situation(found, pins, newest, feature.key, tenant_id, who) if found["pointers"] else None,
        pins=pins,
        rows=rows,
        revisions={
            place: _revision(row["number"], json.loads(row["operations"]), json.loads(row["rules"]))
            for place, row in rows.items()
        },
        aliases={row["alias"]: as_row(ModelTarget, row) for _, row in found["aliases"] or ()},
    )


def read_to_write(feature: Feature, tenant_id: UUID, who: Who) -> Reading:
    """Take a subject's lock until COMMIT, and read what bears on them then: what follows is one at a time."""
    bump_each(tenant_id, [(feature.id, who)])
    return read(feature, tenant_id, who)


def _in_force(row: Mapping[str, Any], at: datetime) -> bool:
    begins, ends = row["valid_from"], row["valid_to"]
    return datetime.fromisoformat(begins) <= at and (ends is None or at < datetime.fromisoformat(ends))


def _situation(
    found: Mapping[str, Any], pins: Mapping[UUID, Pin], newest: Mapping[UUID, Mapping[str, Any]], feature: str,
    tenant_id: UUID, who: Who,
) -> Situation:  # fmt: skip
    current, *earlier = found["pointers"]
    stage: Stage | None = as_row(Stage, found["stage"]) if found["stage"] else None
    policy: Policy | None = as_row(Policy, found["policy"]) if found["policy"] else None
    written = [current[1], *(row[2] for row in found["withdrawn"] or ()), *(row[0] for row in found["aliases"] or ())]
    written += found["endings"] or ()  # of any target, since a snapshot can name one that no alias means any more
    written += (row["valid_to"] for row in newest.values())
    ends = [datetime.fromisoformat(end) for end in written if end]
    ends += [row.valid_to for row in (stage, policy, *pins.values()) if row and row.valid_to]
    return Situation(
        current=current[0],
        earlier=tuple(row[0] for row in earlier),
        stage=stage_row(stage) if stage else None,
        withdrawn={row[0]: row[1] for row in found["withdrawn"] or ()},
        tenant_pin=pin_row(pins.get(tenant_id), "tenant"),
        user_pin=None if who.is_tenant else pin_row(pins.get(who.id), "user"),
        tenant_newest=newest[tenant_id]["number"] if tenant_id in newest else None,
        user_newest=newest[who.id]["number"] if not who.is_tenant and who.id in newest else None,
        policy=policy_value(policy),
        changes_at=min(ends, default=None),
        feature=feature,
        tenant=str(tenant_id),
        user=None if who.is_tenant else who.key,
    )


def as_revision(row: Override) -> Revision:
    """An override's row as the engine's layer."""
    return _revision(row.number, row.operations, row.rules)


def _revision(number: int, operations: Any, rules: Any) -> Revision:
    return Revision(number, from_rows(operations), parse_rules(rules, layer="tenant"))


def as_row(model: type[Model], values: Mapping[str, Any], using: str = APP) -> Any:
    """A model's instance from its row as JSON: ids, times and ordered JSON as Python has them.

    Columns that were not read are read when they are asked for.
    """
    read = {name: reader for name, reader in _readers(model).items() if name in values}
    columns = [None if (value := values[name]) is None else reader(value) for name, reader in read.items()]
    return model.from_db(using, list(read), columns)


def rows_of(selects: Sequence[tuple[type[Model], str]], facts: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of several tables, each as its SELECT says, in one statement of the tenant's transaction.

    Columns that a SELECT leaves out are read when they are asked for.
    """
    parts = ", ".join(f"(SELECT json_agg(row_to_json(x)) FROM ({select}) x)" for _, select in selects)
    with connections[APP].cursor() as cursor:
        cursor.execute(f"SELECT json_build_array({parts})::text", facts)
        told = json.loads(cursor.fetchone()[0])
    return [[as_row(model, row) for row in rows or ()] for (model, _), rows in zip(selects, told, strict=True)]


@lru_cache(maxsize=64)
def _readers(model: type[Model]) -> Mapping[str, Callable[[Any], Any]]:
    """What reads each column of a model's row in JSON."""
    return {field.attname: _reader(field) for field in model._meta.local_concrete_fields}


def _reader(field: "Field[Any, Any]") -> Callable[[Any], Any]:
    if field.get_internal_type() == "UUIDField" or field.attname.endswith("_id"):
        return UUID
    if field.get_internal_type() == "DateTimeField":
        return datetime.fromisoformat
    return json.loads if isinstance(field, OrderedJSONField) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def stage_row(row: Stage) -> StageRow:
    """A rollout's stage as the engine's value."""
    return StageRow(str(row.rollout_id), row.version, row.unit, row.share, frozenset(row.tenants))  # type: ignore[arg-type]


def policy_value(policy: Policy | None) -> PolicyValue:
    """What the engine makes of a tenant's policy row; a tenant without one lets its users pin and override."""
    if policy is None:
        return PolicyValue(users_may_pin=True, users_may_override=True)
    may_pin: bool | int = policy.users_may_pin == "yes"
    if policy.users_may_pin.isdigit():
        may_pin = int(policy.users_may_pin)
    return PolicyValue(users_may_pin=may_pin, users_may_override=policy.users_may_override)


def pin_row(row: Pin | None, layer: Literal["tenant", "user"]) -> PinRow | None:
    """A pin's row as the engine's value; None for none."""
    if row is None:
        return None
    return PinRow(
        layer=layer,
        kind="snapshot" if row.kind == Pin.Kind.SNAPSHOT else "base",
        base=row.base,
        tenant_revision=row.tenant_revision,
        user_revision=row.user_revision,
        targets=row.targets,
        created=row.created_at,
        until=row.until,
        id=str(row.id),
    )
