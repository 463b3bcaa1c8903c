"""A side of a preview: a behavior, written down so that any worker resolves exactly it, also where no revision has it.

A side is {base, tenant, user, users_may_override, targets: {alias: revision}, proposed: {layer: {number, operations,
rules}}, behavior: {fields, rules} or null, digest, receipt}. `proposed` are revisions and `behavior` is a version that
were never saved.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from features.engine import (
    Base,
    Choice,
    PinRow,
    Revision,
    compile_layers,
    documents_of,
    from_rows,
    parse_rules,
    to_rows,
)
from features.models import Feature, ModelTarget, Override
from features.receipt import Receipt
from features.resolve import meant_at, serve_choice, target_json
from features.served import Served
from tenants.subjects import Who
from tenants.workshop import WORKSHOP, workshop_itself

from .models import Preview

Side = dict[str, Any]


def side_of(served: Served, newest: Mapping[str, int]) -> Side:
    """Write a behavior down. Revisions beyond the `newest` saved ones ({layer: number}) come with their content."""
    layers = {"tenant": served.tenant, "user": served.user}
    proposed = {
        name: {"number": layer.number, "operations": to_rows(layer.operations), "rules": documents_of(layer.rules)}
        for name, layer in layers.items()
        if layer is not None and layer.number > newest.get(name, 0)
    }
    unpublished = {"fields": dict(served.base.fields), "rules": documents_of(served.base.rules)}
    return {
        "base": served.base.number,
        "tenant": served.tenant.number if served.tenant else None,
        "user": served.user.number if served.user else None,
        "users_may_override": served.choice.users_may_override,
        "targets": {alias: target.revision for alias, target in served.targets.items()},
        "proposed": proposed,
        "behavior": None if served.base.number else unpublished,
        "digest": served.digest,
        "receipt": served.receipt.as_json(),
    }


def newest_saved(feature: Feature, tenant_id: UUID, who: Who) -> dict[str, int]:
    """The numbers of the newest revisions of a subject's layers; in the tenant's transaction."""
    rows = Override.objects.filter(feature=feature, valid_to=None, subject_id__in={tenant_id, who.id})
    return {"tenant" if row.subject_id == tenant_id else "user": row.number for row in rows}


def served_from(
    side: Side, feature: Feature, tenant_id: UUID, who: Who, at: datetime,
    aliases: Mapping[str, ModelTarget] | None = None,
) -> Served:  # fmt: skip
    """Resolve a side again, as of the moment that its preview began. In the tenant's transaction.

    `aliases` are what they meant by then, where the caller has read that.
    """
    if side["behavior"] is not None:
        return serve_unpublished(feature, side["behavior"], at, side["targets"])
    pin = PinRow(
        layer="user", kind="snapshot", base=side["base"], tenant_revision=None, user_revision=None,
        targets=side["targets"], created=at, until=None, id="",
    )  # fmt: skip
    choice = Choice(
        base=side["base"], tenant=side["tenant"], user=side["user"], pin=pin, fresh_until=None,
        users_may_override=side["users_may_override"],
    )  # fmt: skip
    proposed = {layer: _revision(row) for layer, row in side["proposed"].items()}
    tenant, user = proposed.get("tenant"), proposed.get("user")
    return serve_choice(feature, tenant_id, who, choice, at, (), tenant=tenant, user=user, aliases=aliases)


def serve_unpublished(
    feature: Feature, behavior: Mapping[str, Any], at: datetime, targets: Mapping[str, int] | None = None
) -> Served:
    """What a version would be by itself that is not published: {fields, rules}. It has the number 0."""
    base = Base(0, behavior["fields"], parse_rules(behavior["rules"], layer="base"))
    effective, compiled = compile_layers(base, None, None)
    names = {compiled.model, *compiled.fallbacks}
    now = meant_at(at) if targets is None else _kept_targets(targets)
    found = {alias: target for alias, target in now.items() if alias in names}
    target = target_json(found.get(compiled.model))
    receipt = Receipt(digest=effective.digest, base=0, tenant=None, user=None, pin=None, model_target=target)
    choice = Choice(base=0, tenant=None, user=None, pin=None, fresh_until=None, users_may_override=True)
    return Served(
        feature=feature, who=workshop_itself(), choice=choice, base=base, tenant=None, user=None, effective=effective,
        compiled=compiled, targets=found, receipt=receipt, at=at, stamps=(),
    )  # fmt: skip


def side_named(preview: Preview, run_id: UUID) -> Side:
    """The side that a run of a preview carries out."""
    name = "before" if any(pair["before"].get("run") == str(run_id) for pair in preview.sides["pairs"]) else "after"
    side: Side = preview.sides[name]
    return side


def scope_of(tenant_id: UUID | None) -> UUID:
    """The tenant in which somebody's previews run: their own, for operators the workshop."""
    return WORKSHOP if tenant_id is None else tenant_id


def _revision(row: Mapping[str, Any]) -> Revision:
    return Revision(row["number"], from_rows(row["operations"]), parse_rules(row["rules"], layer="tenant"))


def _kept_targets(targets: Mapping[str, int]) -> dict[str, ModelTarget]:
    rows = ModelTarget.objects.filter(alias__in=list(targets))
    return {row.alias: row for row in rows if row.revision == targets[row.alias]}
