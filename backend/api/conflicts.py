"""What the vendor's newest version does to an override, operation by operation, and its owner's decisions."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.conflicts import Conflicts, Item, Resolved, conflicts, resolve
from features.actions.overrides import override_json
from features.engine import ABSENT
from features.explain import suspended_json
from features.find import find_feature

from .door import expected_of, flag
from .features import change_json
from .fields import Object, Strict, Text, Whole
from .overrides import LayerDoor
from .schema import DRY_RUN, IF_MATCH
from .shapes import CONFLICTS, RESOLVED, answers


class ResolveBody(Strict):
    """Decisions by field: `keep`, `take`, `hold`, or an operation: {"set": …}, {"append": …}, {"remove": true}."""

    fields = Object()  # type: ignore[assignment]  # DRF takes declared fields out of the class
    version = Whole(min_value=1, required=False)
    message = Text(max_length=500, required=False, allow_blank=True)


class ConflictsDoor(LayerDoor):
    """What following the vendor comes to."""

    @extend_schema(
        responses=answers(CONFLICTS), summary="What the newest version does to each operation of this override"
    )
    def get(self, request: Request, feature: str, layer: str) -> Response:
        self._whose(layer)
        found = find_feature(feature, self.actor)
        told = conflicts(found, layer, by=self.actor)  # type: ignore[arg-type]
        return Response(conflicts_json(told, layer), headers={"ETag": told.row.etag if told.row else '"0"'})


class Resolve(LayerDoor):
    """Decisions."""

    conditional = True

    @extend_schema(
        request=ResolveBody, parameters=[DRY_RUN, IF_MATCH], responses=answers(RESOLVED),
        summary="Decide conflicts: keep, take, hold, or another operation; the others stay open",
    )  # fmt: skip
    def post(self, request: Request, feature: str, layer: str) -> Response:
        self._may_write(layer)
        body = self.read(ResolveBody)
        found, expected, dry = find_feature(feature, self.actor), expected_of(request), flag(request, "dry_run")
        decisions = body.pop("fields")
        done = resolve(found, layer, decisions, **body, expected=expected, by=self.actor, dry_run=dry)  # type: ignore[arg-type]
        headers = {"ETag": done.row.etag} if done.row and not dry else {}
        return Response(resolved_json(done, dry), headers=headers)


def conflicts_json(told: Conflicts, layer: str) -> dict[str, Any]:
    """The conflicts of a layer as the API shows them."""
    choice = told.before.choice
    return {
        "feature": told.before.feature.key,
        "layer": layer,
        "revision": told.row.number if told.row else 0,
        "version": told.before.base.number,
        "newest": told.after.base.number,
        "held": told.before.receipt.held,
        "pinned": choice.pin is not None,
        "digest": told.before.digest,
        "digest_if_kept": told.after.digest,
        "operations": [item_json(item) for item in told.items],
        "changes": [change_json(change, told.hidden) for change in told.changes],
    }


def item_json(item: Item) -> dict[str, Any]:
    """One operation on the newest base. Values of earlier layers are left out where they are hidden, or not there."""
    rebased, operation = item.rebased, item.rebased.operation
    told: dict[str, Any] = {
        "field": operation.field,
        "operation": operation.kind,
        "outcome": rebased.outcome,
        "changed": rebased.changed,
        "open": item.open,
        "holds": rebased.holds,
        "hidden": item.hidden,
        "merged": item.merged,
        "problems": [{"pointer": p.pointer, "rule": p.rule, "message": p.message} for p in item.problems],
    }
    if operation.kind != "remove":
        told["mine"] = operation.value
    if not item.hidden:
        values = {"then": rebased.then, "now": rebased.now}
        told |= {name: value for name, value in values.items() if value is not ABSENT}
    return told


def resolved_json(done: Resolved, dry_run: bool) -> dict[str, Any]:
    """What decisions did."""
    held = done.held
    return {
        "override": override_json(done.row),
        "before": done.before.as_json(),
        "after": done.after.as_json(),
        "changes": [change_json(change, done.hidden) for change in done.changes],
        "held": {"by": held.by, "fields": list(held.fields)} if held else None,
        "pinned": done.after.pin is not None,
        "open": list(done.open),
        "suspended": [suspended_json(item, done.hidden) for item in done.suspended],
        "dry_run": dry_run,
    }
