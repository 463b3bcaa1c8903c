"""How runs end: each once, in one transaction, with one ledger row. And how a person cancels or rates one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Now

from features.engine import Json, check_json
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, Problem
from tenants.isolation import tenant_tx

from . import metrics
from .events import tell
from .flow import MALFORMED, TITLES, RunFailed, only_checks
from .models import FINAL, Attempt, Ledger, Queued, Run, State
from .receipts import served_by

NO_FORM = ("invalid", "empty", "truncated")  # errors of an answer that had not the output's form
LOST_TIMES = 6  # a run whose worker died this often is not tried again


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, before it is written."""

    state: State
    output: Json = None
    error: dict[str, Any] | None = field(default=None)


def failed(failure: RunFailed) -> Ending:
    """The typed end of a run that has no output."""
    error: dict[str, Any] = {"type": failure.outcome, "title": TITLES[failure.outcome]}
    if failure.detail:
        error["detail"] = failure.detail
    if failure.problems:
        error["problems"] = [{"pointer": p.pointer, "rule": p.rule, "message": p.message} for p in failure.problems]
    return Ending(State.FAILED, error=error)


def finish(tenant_id: UUID, run_id: UUID, ending: Ending, *, token: UUID | None) -> State | None:
    """End a run if the claim is still ours; a cancel that was asked for in the meantime wins over any other end.

    Returns the state it ended in, or None for a late finisher, whose write matches no row and changes nothing.
    """
    with tenant_tx(tenant_id):
        claim = Queued.objects.select_for_update().filter(pk=run_id, token=token).first()
        if claim is None:
            return None
        if claim.cancel_requested_at is not None:
            ending = Ending(State.CANCELLED)
        claim.delete()
        _write(run_id, ending)
    metrics.ended(ending.state, _error_type(ending), cached=False)
    _announce(tenant_id, run_id, ending)
    return ending.state


def cancel(run: Run, *, by: Actor) -> bool:
    """Cancel a run. True: it had not begun, and is cancelled. False: its worker is asked to close the stream and stop.

    Raises Conflict when it has ended.
    """
    with by.doing("run.cancel", run):
        claim = Queued.objects.select_for_update().filter(pk=run.pk).first()
        if claim is None:
            raise Conflict("This run has ended: there is nothing to cancel.")
        if claim.token is not None:
            Queued.objects.filter(pk=run.pk, cancel_requested_at=None).update(cancel_requested_at=Now())
            return False
        claim.delete()
        _write(run.pk, Ending(State.CANCELLED))
    metrics.ended(State.CANCELLED, "", cached=False)
    _announce(run.tenant_id, run.pk, Ending(State.CANCELLED))
    return True


def rate(run: Run, feedback: Mapping[str, Any], *, by: Actor) -> Run:
    """Keep what a person says of an output: {"verdict": "good"|"bad", "correction": object, "note": text}.

    A correction must satisfy the output schema that the run was served with (Invalid).
    """
    if run.state != State.SUCCEEDED:
        raise Conflict("Only an output can be rated, and this run has none.")
    with by.doing("run.rate", run):
        correction = feedback.get("correction")
        if correction is not None:
            _check_correction(run, correction)
        run.feedback = dict(feedback)
        run.save(update_fields=["feedback"])
    return run


def give_up(tenant_id: UUID, run_id: UUID, lost: int, cancelled: bool) -> None:
    """After a lease ran out: settle what the dead worker left; end the run that was lost too often or cancelled."""
    with tenant_tx(tenant_id):
        if not Queued.objects.select_for_update().filter(pk=run_id, token=None).exists():
            return  # claimed again in the meantime: what it does now is not ours to settle
        settle_lost(run_id)
        Run.objects.filter(pk=run_id, state=State.RUNNING).update(state=State.QUEUED)
    if cancelled:
        finish(tenant_id, run_id, Ending(State.CANCELLED), token=None)
    elif lost >= LOST_TIMES:
        finish(tenant_id, run_id, failed(RunFailed("worker_lost")), token=None)


def settle_lost(run_id: UUID) -> None:
    """Mark the calls that a dead worker began and nobody ended; within the tenant's transaction, by who has the run."""
    Attempt.objects.filter(run=run_id, finished_at=None).update(finished_at=Now(), outcome="lost")


def _write(run_id: UUID, ending: Ending) -> None:
    run = Run.objects.select_for_update().get(pk=run_id)
    if run.state in FINAL:
        raise RuntimeError(f"run {run_id} had a queue row although it had ended")
    used = Attempt.objects.filter(run=run_id).aggregate(
        input=Sum("input_tokens"), cached=Sum("cached_input_tokens"), output=Sum("output_tokens"), cost=Sum("cost")
    )
    run.usage = {
        "input_tokens": used["input"] or 0,
        "cached_input_tokens": used["cached"] or 0,
        "output_tokens": used["output"] or 0,
    }
    run.cost, run.attempts = used["cost"] or 0, Attempt.objects.filter(run=run_id).count()
    run.state, run.output, run.error = ending.state, ending.output, ending.error
    run.save(update_fields=["usage", "cost", "attempts", "state", "output", "error"])
    Run.objects.filter(pk=run_id).update(finished_at=Now())
    _enter_ledger(run, ending)


def _enter_ledger(run: Run, ending: Ending) -> None:
    target = run.receipt["model_target"] or {}
    repairs = Attempt.objects.filter(run=run.pk, kind="repair")
    error, used = _error_type(ending), run.usage or {}
    Ledger.objects.create(
        tenant_id=run.tenant_id, run=run.pk, feature=run.feature_id, subject=run.subject_id, state=ending.state,
        cached=run.cached, model=target.get("alias", ""), version=run.receipt["base"], error=error,
        repairs=repairs.count(), preview=run.preview is not None,
        malformed=error in NO_FORM or repairs.filter(detail__startswith=MALFORMED).exists(),
        input_tokens=used["input_tokens"], output_tokens=used["output_tokens"], cost=run.cost,
    )  # fmt: skip


def _error_type(ending: Ending) -> str:
    """What the ledger calls a failure: the error's type, or `checks` where the output had its form and failed those."""
    if ending.error is None:
        return ""
    told = ending.error.get("problems", ())
    checks = only_checks([Problem(row["pointer"], row["rule"], row["message"]) for row in told])
    return "checks" if checks and ending.error["type"] == "invalid" else str(ending.error["type"])


def _announce(tenant_id: UUID, run_id: UUID, ending: Ending) -> None:
    event = {State.SUCCEEDED: "done", State.FAILED: "failed", State.CANCELLED: "cancelled"}[ending.state]
    data = {"output": ending.output} if ending.state == State.SUCCEEDED else {"error": ending.error}
    tell(tenant_id, run_id, event, id=str(run_id), state=ending.state, **data)


def _check_correction(run: Run, correction: Json) -> None:
    wrong = check_json(correction, "/correction")
    if not wrong:
        found = served_by(run).compiled.output_problems(correction, run.input)
        wrong = [Problem(f"/correction{p.pointer}", p.rule, p.message) for p in found]
    if wrong:
        raise Invalid("The correction is not an output that this run could have had.", errors=wrong)
