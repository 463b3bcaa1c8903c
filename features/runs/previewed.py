"""What became of a preview: both outputs side by side while they come in; and its end, with all that it kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connections
from django.db.models.functions import Now

from features.engine import Change, Json, diff
from features.explain import Viewer, hidden_between
from features.resolve import meant_at
from tenants.actor import Actor
from tenants.errors import NotFound
from tenants.isolation import OPERATOR, operator_tx, tenant_tx
from tenants.subjects import Who

from .differences import Difference, differences
from .events import drop_streams
from .finish import Ending, finish
from .models import FINAL, Attempt, Preview, Queued, Run, State
from .sides import scope_of, served_from

REFUSED = {"type": "input", "title": "This behavior does not take the input."}
A_FEW = 100  # previews that one look of the reaper puts away

_EXPIRED = "SELECT tenant_id, id FROM runs_preview WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT %s"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side made of one input. `state` is a run's, or `refused` for an input that the side does not take."""

    state: str
    output: Json = None
    error: Any = None
    usage: Any = None
    cost: int = 0

    @property
    def ended(self) -> bool:
        return self.state == "refused" or self.state in FINAL


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides on one input. `same` is null until both have ended, `diff` also where there are no two outputs."""

    input: Json
    before: Outcome
    after: Outcome
    same: bool | None
    diff: list[Difference] | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A preview as it is now: receipts of both sides, the fields that differ (`hidden` without text), and each pair.

    cost: micro-units so far. most: what it could have cost.
    """

    preview: Preview
    layer: str
    state: Literal["running", "done"]
    before: dict[str, Any]
    after: dict[str, Any]
    changes: tuple[Change, ...]
    hidden: frozenset[str]
    pairs: tuple[Pair, ...]
    cost: int
    most: int
    contract: Json = None  # the output schema of the side after

    @property
    def done(self) -> int:
        """How many inputs both sides are through with."""
        return sum(pair.same is not None for pair in self.pairs)


def find_preview(preview_id: UUID, *, by: Actor) -> Preview:
    """A preview of one's own, for as long as it is kept. Raises NotFound for every other."""
    by.need("run.read" if by.tenant else "version.preview")
    tenant_id = scope_of(by.tenant.id if by.tenant else None)
    mine = {tenant_id, by.acting_for().id} if by.tenant else {tenant_id}
    with tenant_tx(tenant_id):
        rows = Preview.objects.select_related("feature", "subject").filter(
            pk=preview_id, author=by.label, subject_id__in=mine
        )
        preview = rows.filter(expires_at__gt=Now()).first()
    if preview is None:
        raise NotFound("There is no such preview.")
    return preview


def compared(preview_id: UUID, *, by: Actor) -> Compared:
    """What is known of a preview by now. Raises NotFound."""
    preview = find_preview(preview_id, by=by)
    sides = preview.sides
    viewer: Viewer = sides["layer"]
    with tenant_tx(preview.tenant_id):
        subject = preview.subject
        who = Who(subject.id, subject.key, subject.kind)
        at = datetime.fromisoformat(sides["at"])
        aliases = meant_at(at)
        before, after = (
            served_from(sides[s], preview.feature, preview.tenant_id, who, at, aliases) for s in ("before", "after")
        )
        hidden = hidden_between(before, after, viewer)
        runs = {str(run.id): run for run in Run.objects.filter(pk__in=preview.runs)}
    pairs = tuple(_pair(pair, runs) for pair in sides["pairs"])
    return Compared(
        preview=preview, layer=sides["layer"], state="done" if all(p.same is not None for p in pairs) else "running",
        before=sides["before"]["receipt"], after=sides["after"]["receipt"],
        changes=tuple(diff(before.effective.fields, after.effective.fields)), hidden=hidden, pairs=pairs,
        cost=sum(run.cost for run in runs.values()), most=sides["most"],
        contract=after.effective.fields["output"],
    )  # fmt: skip


def working(preview_id: UUID, *, by: Actor) -> list[UUID]:
    """The runs of a preview that have not ended. Raises NotFound."""
    preview = find_preview(preview_id, by=by)
    with tenant_tx(preview.tenant_id):
        rows = Run.objects.filter(pk__in=preview.runs).exclude(state__in=FINAL)
        return list(rows.order_by("id").values_list("id", flat=True))


def end_preview(preview_id: UUID, *, by: Actor) -> None:
    """Cancel what still runs, and put the preview away: at once, or when the workers have let go. Raises NotFound."""
    preview = find_preview(preview_id, by=by)
    with tenant_tx(preview.tenant_id):
        Preview.objects.filter(pk=preview.id).update(expires_at=Now())
    put_away(preview.tenant_id, preview.id)


def put_expired_away() -> int:
    """Put away the previews whose hour is over, a batch at a time. Returns how many there were. For the reaper."""
    with operator_tx(), connections[OPERATOR].cursor() as cursor:
        cursor.execute(_EXPIRED, [A_FEW])
        found: Sequence[tuple[UUID, UUID]] = cursor.fetchall()
    for tenant_id, preview_id in found:
        put_away(tenant_id, preview_id)
    return len(found)


def put_away(tenant_id: UUID, preview_id: UUID) -> bool:
    """Delete an expired preview with its runs and their calls. Ledger rows stay: what was spent was spent.

    What has not begun is cancelled; while a worker still has one of its runs it is asked to stop, and nothing is
    deleted yet (False).
    """
    with tenant_tx(tenant_id):
        preview = Preview.objects.select_for_update(skip_locked=True).filter(pk=preview_id).first()
        if preview is None:
            return False
        runs = [UUID(run_id) for run_id in preview.runs]
        claims = Queued.objects.filter(pk__in=runs)
        claims.filter(cancel_requested_at=None).update(cancel_requested_at=Now())
        for run_id in claims.filter(token=None).values_list("id", flat=True):
            finish(tenant_id, run_id, Ending(State.CANCELLED), token=None)
        if claims.exists():
            return False
        Attempt.objects.filter(run__in=runs).delete()
        Run.objects.filter(pk__in=runs).delete()
        preview.delete()
    drop_streams(tenant_id, runs)
    return True


def _pair(pair: dict[str, Any], runs: dict[str, Run]) -> Pair:
    before, after = _outcome(pair["before"], runs), _outcome(pair["after"], runs)
    if not (before.ended and after.ended):
        return Pair(pair["input"], before, after, None, None)
    if before.state != State.SUCCEEDED or after.state != State.SUCCEEDED:
        kinds = [(side.state, side.error and side.error["type"]) for side in (before, after)]
        return Pair(pair["input"], before, after, kinds[0] == kinds[1], None)
    found = differences(before.output, after.output)
    return Pair(pair["input"], before, after, not found, found)


def _outcome(side: dict[str, Any], runs: dict[str, Run]) -> Outcome:
    if "problems" in side:
        return Outcome("refused", error={**REFUSED, "problems": side["problems"]})
    run = runs[side["run"]]
    return Outcome(run.state, run.output, run.error, run.usage, run.cost)
