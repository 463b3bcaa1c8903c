"""From a receipt back to the behavior that it names: what a worker carries out, whatever has changed since."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog

from features.engine import Choice, Json, PinRow, replacement
from features.resolve import clock, serve_choice
from features.served import Served
from features.withdrawn import withdrawals_now
from tenants.actor import Actor
from tenants.errors import AppError
from tenants.isolation import APP
from tenants.subjects import Who

from .claimed import Claimed
from .models import Batch, Preview, Run, State
from .progress import span_of
from .sides import served_from, side_named

log = structlog.get_logger(__name__)
MOST_KEPT = 4096

_kept: dict[tuple[Any, ...], Served] = {}


class Unreproducible(AppError):
    """The behavior that a receipt names resolves to another digest: the rows it stands on were tampered with."""

    status, type, title = 409, "unreproducible", "The behavior of then cannot be made again"
    outcome = "unreproducible"  # of a run that cannot be carried out for it


def served_by(run: Run) -> Served:
    """Resolve exactly what the run was accepted with, by the numbers of its receipt, and check the digest.

    A preview's run is served the side of it that it carries out, which may be no revision's.
    Raises Unreproducible when the digest differs.
    """
    receipt: dict[str, Any] = run.receipt
    who = Who(run.subject.id, run.subject.key, run.subject.kind)
    if run.preview is None:
        choice = Choice(
            base=receipt["base"], tenant=receipt["tenant"], user=receipt["user"], pin=_targets_as_pin(receipt, run),
            fresh_until=None, users_may_override=True,
        )  # fmt: skip
        served = serve_choice(run.feature, run.tenant_id, who, choice, run.now, ())
    else:
        side = side_named(Preview.objects.get(pk=run.preview), run.pk)
        served = served_from(side, run.feature, run.tenant_id, who, run.now)
    if served.digest != receipt["digest"]:
        log.error("receipt.unreproducible", run=str(run.pk), named=receipt["digest"], found=served.digest)
        raise Unreproducible(
            "The versions and revisions that this run's receipt names are no longer what they were: somebody changed"
            " them in the database itself. Nothing was run. Replay it on `current`, or on a version."
        )
    return served


def output_contract(batch: Batch, by: Actor) -> Json:
    """The output schema that the first item of a batch that was answered was served; None where none has been."""
    with by.present():
        span = span_of(batch)
        rows = Run.objects.select_related("feature", "subject").filter(
            tenant_id=batch.tenant_id, batch=batch.pk, id__gte=span["oldest"], id__lt=span["newest"],
            state=State.SUCCEEDED,
        )  # fmt: skip
        run = rows.order_by("place").first()
        return None if run is None else served_by(run).effective.fields["output"]


def served_before(claimed: Claimed) -> Served | None:
    """What another run with the same receipt was served by this process; None where it must be resolved.

    A receipt names what never changes, and its digest was checked then. Fallback models are none of it.
    """
    found = _kept.get(_key(claimed))
    return None if found is None else replace(found, who=claimed.who, at=claimed.run.now)


def keep_served(claimed: Claimed, served: Served) -> None:
    """Keep what a run was served for `served_before`, if no other run may be served otherwise by its receipt."""
    target = served.targets.get(served.compiled.model)
    if not served.compiled.fallbacks and target is not None and target.id == claimed.target:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[_key(claimed)] = served


def _key(claimed: Claimed) -> tuple[UUID | int | str | None, ...]:
    run, receipt = claimed.run, claimed.run.receipt
    whose = None if receipt["user"] is None else run.subject_id
    numbers = (receipt["base"], receipt["tenant"], receipt["user"], receipt["digest"])
    return (run.tenant_id, run.feature_id, whose, claimed.target, *numbers)


def served_instead(run: Run) -> Served | None:
    """What a run is served in the place of a version that was withdrawn since it was accepted; None if none was.

    The run keeps the revisions and the model target that it was accepted with, and its receipt says from now on what it
    is served, and instead of which version. A preview compares what it was asked for, and is left alone.
    """
    if run.preview is not None:
        return None
    stopped = {version: row.replacement for version, row in withdrawals_now(run.feature, APP).items()}
    receipt: dict[str, Any] = run.receipt
    base = replacement(receipt["base"], stopped)
    if base == receipt["base"]:
        return None
    before = served_by(run)
    choice = replace(before.choice, base=base)
    served = serve_choice(run.feature, run.tenant_id, before.who, choice, clock(), ())
    version = receipt["withdrawn"]["version"] if receipt.get("withdrawn") else receipt["base"]
    run.receipt = {
        **receipt,
        "digest": served.digest,
        "base": base,
        "withdrawn": {"version": version, "replacement": base},
        "model_target": served.receipt.model_target,
        "substituted": served.receipt.substituted,
    }
    Run.objects.filter(pk=run.pk, state=State.RUNNING).update(receipt=run.receipt)  # never one that another has ended
    return served


def _targets_as_pin(receipt: dict[str, Any], run: Run) -> PinRow | None:
    """The run keeps the model target that it was accepted with, even when the alias has moved on."""
    target = receipt["model_target"]
    if target is None:
        return None
    return PinRow(
        layer="user", kind="snapshot", base=receipt["base"], tenant_revision=None, user_revision=None,
        targets={target["alias"]: target["revision"]}, created=run.now, until=None, id="",
    )  # fmt: skip
