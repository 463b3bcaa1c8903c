"""What there is to tell somebody of a feature: staying behind, conflicts, what was suspended, withdrawn or ends.

Texts name fields and versions and never quote a value, so nothing hidden can be in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal
from uuid import UUID

from django.db.models import Model

from features.engine import rebase
from tenants.people import names_of_those_who
from tenants.subjects import Who

from .contents import base_of, titles_of
from .models import CurrentVersion, Feature, Override, Pin, Policy, Stage, Withdrawal
from .reading import Known, policy_value, read_known, rows_of
from .resolve import clock, serve_each
from .served import Served

Kind = Literal[
    "held", "conflict", "suspended", "withdrawn", "pin_ending", "model_ending", "retiring", "budget_soft",
    "budget_hard", "key_ending",
]  # fmt: skip
Layer = Literal["tenant", "user"]
SOON = timedelta(days=7)  # from when on the end of a pin is told


@dataclass(frozen=True, slots=True)
class Action:
    """Where one sees to it: the dashboard's page, and the door of the API."""

    href: str
    api: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why there is a notice. `key` tells two causes of one kind and feature apart; `at` as in a notice.

    `feature` is None for what concerns all of them; `action` says where it is seen to, if its kind alone does not.
    """

    kind: Kind
    feature: Feature | None
    key: str
    at: datetime
    title: str
    text: str
    action: Action | None = None


@dataclass(frozen=True)
class Rows:
    """What is read once for all features: what they serve, and what is valid now of what an inbox tells.

    `served`, `pins` and `saved` are by feature and subject.
    """

    now: datetime
    served: Mapping[tuple[UUID, UUID], Served]
    currents: Mapping[UUID, CurrentVersion]
    stages: Mapping[UUID, Stage]
    withdrawals: Mapping[tuple[UUID, int], Withdrawal]
    policy: Policy | None
    pins: Mapping[tuple[UUID, UUID], Pin]
    saved: Mapping[tuple[UUID, UUID], datetime]

    @cached_property
    def deciders(self) -> str:
        """Who can decide for the organisation, by name."""
        return " or ".join(names_of_those_who("override.tenant")) or "an admin"

    def since(self, feature: Feature, number: int) -> datetime:
        """When a version began to be served; for one of an earlier time, when the present one did."""
        stage, current = self.stages.get(feature.id), self.currents[feature.id]
        return stage.valid_from if stage and stage.version == number != current.version else current.valid_from


_OF_BOTH = "subject_id IN (%(tenant)s, %(subject)s)"
_WHERE: Mapping[type[Model], str] = {
    CurrentVersion: "true",
    Stage: "true",
    Withdrawal: "true",
    Policy: "tenant_id = %(tenant)s",
    Pin: _OF_BOTH,
    Override: _OF_BOTH,
}
_COLUMNS: Mapping[type[Model], str] = {Override: "feature_id, subject_id, valid_from"}  # of what is long, what is told
_SELECTS = [
    (model, f"SELECT {_COLUMNS.get(model, '*')} FROM {model._meta.db_table} WHERE {where}"
            " AND valid_from <= %(now)s AND (valid_to IS NULL OR valid_to > %(now)s)")
    for model, where in _WHERE.items()
]  # fmt: skip


def read_rows(tenant_id: UUID, whose: Sequence[Who], known: Sequence[Known] | None = None) -> Rows:
    """Read what bears on somebody's inbox, and on their organisation's too where both are in `whose`, in that order.

    Within the tenant's transaction. `known` is what was read already of every feature and the first one's stamps.
    """
    who = whose[0]
    known = read_known(tenant_id, who.id)[0] if known is None else known
    now = known[0].now if known else clock()
    facts = {"tenant": tenant_id, "subject": who.id, "now": now}
    currents, stages, withdrawals, policies, pins, saved = rows_of(_SELECTS, facts)
    pairs = [(one.of_tenant() if other.is_tenant else one, other) for other in whose for one in known]
    return Rows(
        now=now,
        served=serve_each(pairs, tenant_id),
        currents={row.feature_id: row for row in currents},
        stages={row.feature_id: row for row in stages},
        withdrawals={(row.feature_id, row.version): row for row in withdrawals},
        policy=next(iter(policies), None),
        pins={(row.feature_id, row.subject_id): row for row in pins},
        saved={(row.feature_id, row.subject_id): row.valid_from for row in saved},
    )


def causes_of(rows: Rows, tenant_id: UUID, who: Who) -> Iterator[Cause]:
    """Yield what there is to tell the inbox's subject, or its organisation, of each feature that it is served."""
    for (_feature, whose), served in rows.served.items():
        if whose == who.id:
            for told in (_held, _conflict, _suspended, _withdrawn, _pin_ending, _model_ending, _retiring):
                yield from told(rows, served, tenant_id)


def _held(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    feature, choice = served.feature, served.choice
    if choice.held is None:
        return
    by, fields = choice.held.by, _called(served, choice.held.fields)
    at = max(rows.since(feature, choice.wanted), rows.saved.get((feature.id, _of(by, served, tenant_id)), rows.now))
    title = f"{feature.title} stays on version {choice.base} until it is decided"
    changed = f"The vendor changed {fields} in version {choice.wanted}"
    if by == "user" or served.who.is_tenant:
        text = f"{changed}, which {_you(by, served)} changed as well. Keep yours, take theirs, or edit."
    else:
        text = f"{changed}, which your organisation changed as well. {rows.deciders} can decide it for everybody."
    yield Cause("held", feature, f"{by} {choice.wanted}", at, title, text)


def _conflict(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    """What was kept by default although the vendor changed it. A pin is one's own choice, and tells of nothing."""
    layer = _layer(served)
    own = served.tenant if layer == "tenant" else served.user
    if served.choice.pin is not None or own is None or (not served.choice.users_may_override and layer == "user"):
        return
    if all(op.based_on is None or op.based_on.base == served.base.number for op in own.operations):
        return
    found = rebase(
        served.base, served.tenant, served.user, layer=layer, bases=lambda number: base_of(served.feature.id, number)
    )
    fields = [item.operation.field for item in found if item.outcome == "conflict"]
    if fields:
        title = f"{served.feature.title}: the vendor changed what {_you(layer, served)} changed"
        text = f"{_called(served, fields)}: kept when version {served.base.number} came. Have a look at both."
        at = rows.since(served.feature, served.base.number)
        yield Cause("conflict", served.feature, f"{layer} {served.base.number}", at, title, text)


def _suspended(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    layer, feature = _layer(served), served.feature
    found = [item for item in served.effective.suspended if item.layer == layer]
    if not found:
        return
    at = rows.since(feature, served.base.number)
    if layer == "user":
        at = max(at, rows.saved.get((feature.id, tenant_id), at))
    if found[0].reason == "policy":
        at = rows.policy.valid_from if rows.policy else at
        key, why = f"policy {at.isoformat()}", "Your organisation keeps its users' own changes inactive."
    else:
        key = " ".join(sorted(f"{item.operation.field}:{item.reason}" for item in found))
        key, why = f"{layer} {served.base.number} {key}", " ".join(_reasons({item.reason for item in found}))
    fields = _called(served, [item.operation.field for item in found])
    title = f"{feature.title}: some of what {_you(layer, served)} changed is inactive"
    text = f"{fields}: kept, but not in force. {why} It comes back when that is lifted."
    yield Cause("suspended", feature, key, at, title, text)


def _reasons(reasons: set[str]) -> Iterator[str]:
    if "rule" in reasons:
        yield "A rule that came later does not allow it."
    if "broken" in reasons:
        yield "It would no longer work with what it stands on."
    if "orphaned" in reasons:
        yield "What it changed is not there any more."


def _withdrawn(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    feature, choice = served.feature, served.choice
    row = rows.withdrawals.get((feature.id, choice.withdrawn or 0))
    if row is None:
        return
    title = f"{feature.title}: version {row.version} was withdrawn, version {choice.base} stands in for it"
    stays = "The pin is kept, and counts again if the version comes back." if choice.pin is not None else ""
    key = f"{row.id} {choice.pin.layer if choice.pin is not None else ''}"
    yield Cause("withdrawn", feature, key, row.valid_from, title, f"{_sentence(row.reason)} {stays}".strip())


def _pin_ending(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    feature, layer = served.feature, _layer(served)
    pin = rows.pins.get((feature.id, served.who.id))
    if pin is None or served.choice.pin is None or served.choice.pin.id != str(pin.id):
        return  # none, or one that the policy does not let count
    ends = [pin.until] if pin.until else []
    allowed = policy_value(rows.policy).users_may_pin
    if layer == "user" and not isinstance(allowed, bool):
        ends.append(pin.created_at + timedelta(days=allowed))
    end = min(ends, default=None)
    if end is not None and rows.now < end <= rows.now + SOON:
        title = f"{feature.title}: {_your(served)} stay on version {pin.base} ends on {_day(end)}"
        text = f"From then on {'your organisation follows' if layer == 'tenant' else 'you follow'} the vendor again."
        yield Cause("pin_ending", feature, f"{layer} {pin.created_at.isoformat()} {end.isoformat()}", end, title, text)


def _model_ending(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    feature, pin = served.feature, served.choice.pin
    named = pin.targets if pin is not None and pin.kind == "snapshot" else {}
    for alias, target in served.targets.items():
        if target.ends_at is None or target.ends_at <= rows.now:
            continue
        title = f"{feature.title}: the model {target.model} ends on {_day(target.ends_at)}"
        text = f"The vendor has yet to say what “{alias}” means from then on."
        if named.get(alias) == target.revision:
            text = f"It was kept by staying as it is. From then on what “{alias}” means by then stands in for it."
        key = f"{alias} {target.revision} {target.ends_at.isoformat()}"
        yield Cause("model_ending", feature, key, target.ends_at, title, text)


def _retiring(rows: Rows, served: Served, tenant_id: UUID) -> Iterator[Cause]:
    feature = served.feature
    if feature.retires_at is not None:
        title = f"{feature.title} is taken out of service on {_day(feature.retires_at)}"
        text = _sentence(feature.retiring) or "The vendor has said no more of it."
        yield Cause("retiring", feature, feature.retires_at.isoformat(), feature.retires_at, title, text)


def _layer(served: Served) -> Layer:
    return "tenant" if served.who.is_tenant else "user"


def _of(layer: Layer, served: Served, tenant_id: UUID) -> UUID:
    return tenant_id if layer == "tenant" else served.who.id


def _you(layer: Layer, served: Served) -> str:
    return "your organisation" if layer == "tenant" else "you"


def _your(served: Served) -> str:
    return "your organisation's" if served.who.is_tenant else "your"


def _called(served: Served, fields: Sequence[str]) -> str:
    """Fields by what people call them, three at most by name."""
    titles = titles_of(served.feature, served.base.number)
    names = [(titles.get(field) or {}).get("label") or field for field in fields[:3]]
    more = len(fields) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"
