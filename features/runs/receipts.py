"""From a receipt back to the behavior that it names: what a worker carries out, whatever has changed since."""

from typing import Any

from features.engine import Choice, PinRow
from features.resolve import Served, serve_choice
from tenants.models import Subject
from tenants.subjects import Who

from .models import Run


class Unreproducible(RuntimeError):
    """The behavior that a receipt names resolves to another digest: the rows it stands on were tampered with."""


def served_by(run: Run) -> Served:
    """Resolve exactly what the run was accepted with, by the numbers of its receipt, and check the digest.

    Raises Unreproducible when the digest differs.
    """
    receipt: dict[str, Any] = run.receipt
    subject = Subject.objects.get(pk=run.subject_id)
    who = Who(subject.id, subject.key, subject.kind)  # type: ignore[arg-type]
    choice = Choice(
        base=receipt["base"], tenant=receipt["tenant"], user=receipt["user"], pin=_targets_as_pin(receipt, run),
        fresh_until=None, users_may_override=True,
    )  # fmt: skip
    served = serve_choice(run.feature, run.tenant_id, who, choice, run.now, ())
    if served.digest != receipt["digest"]:
        raise Unreproducible(f"run {run.pk}: {served.digest} instead of {receipt['digest']}")
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
