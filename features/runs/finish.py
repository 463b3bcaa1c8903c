"""How runs end: each once, in one transaction, with one ledger row. And how a person cancels or rates one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction
from django.db.models.functions import Now

from features.engine import Json, check_json, dumps
from tenants.actor import Actor
from tenants.errors import Conflict, Invalid, Problem
from tenants.isolation import APP, NOBODY, tenant_tx

from . import metrics
from .calls import SETTLE, Called, settling
from .dispatch import Lost
from .events import along, tell
from .flow import MALFORMED, TITLES, RunFailed, only_checks
from .inflight import leaving
from .models import Attempt, Queued, Run, State
from .receipts import served_by
from .reservations import Hold, Payer, giving_back, settle
from .telling import TOLD
from .tokens import NO_TOKENS, LayerTokens
from .trips import app_trips

NO_FORM = ("invalid", "empty", "truncated")  # errors of an answer that had not the output's form
ALONE_TIMES = 3  # a run that was alone with its worker when it died so often is not tried again
A_FEW = 100  # followers that end in one transaction

# The end of a run, whole: its row in the queue goes (if the claim still stands), its own says what became of it, its
# last call is settled and what it held given back, and one ledger row says what it cost. A cancel that was asked for in
# the meantime wins over any other end. Rows of budgets are locked in the order of their ids, as everywhere.
_END = f"""
WITH gone AS (
    DELETE FROM runs_queued
    WHERE tenant_id = %(tenant)s AND id = %(run)s AND token IS NOT DISTINCT FROM %(token)s::uuid
      AND (%(follows)s::uuid IS NULL OR follows = %(follows)s::uuid)
    RETURNING cancel_requested_at IS NOT NULL AS cancelled, coalesce(reserved, 0) AS reserved, budgets
), settled AS ({SETTLE.format(ours="gone")}), calls AS (
    SELECT number, kind, detail, input_tokens, cached_input_tokens, output_tokens, cost FROM settled
    UNION ALL
    SELECT a.number, a.kind, a.detail, a.input_tokens, a.cached_input_tokens, a.output_tokens, a.cost
    FROM runs_attempt a
    WHERE a.tenant_id = %(tenant)s AND a.run = %(run)s AND NOT EXISTS (SELECT FROM settled s WHERE s.number = a.number)
), used AS (
    SELECT coalesce(sum(input_tokens), 0) AS input, coalesce(sum(cached_input_tokens), 0) AS cached,
           coalesce(sum(output_tokens), 0) AS output, coalesce(sum(cost), 0) AS cost, count(*) AS calls,
           count(*) FILTER (WHERE kind = 'repair') AS repairs,
           coalesce(bool_or(kind = 'repair' AND starts_with(detail, '{MALFORMED}')), false) AS malformed
    FROM calls
), run AS (
    UPDATE runs_run r SET
        state = CASE WHEN gone.cancelled THEN 'cancelled' ELSE %(state)s END,
        output = CASE WHEN gone.cancelled THEN NULL ELSE %(output)s END,
        error = CASE WHEN gone.cancelled THEN NULL ELSE %(error)s::jsonb END,
        usage = jsonb_build_object('input_tokens', used.input, 'cached_input_tokens', used.cached,
                                   'output_tokens', used.output),
        cost = used.cost, attempts = used.calls, cached = %(cached)s, finished_at = clock_timestamp(),
        started_at = CASE WHEN %(begun)s THEN coalesce(r.started_at, clock_timestamp()) ELSE r.started_at END,
        forget_at = CASE WHEN NOT r.store AND r.batch IS NULL THEN clock_timestamp() + %(kept)s END
    FROM gone, used
    WHERE r.tenant_id = %(tenant)s AND r.id = %(run)s AND r.state IN ('queued', 'running')
    RETURNING r.*
), {
    giving_back("gone, run,", "run.subject_id", "gone.reserved", "coalesce((SELECT cost FROM settled), 0)")
}, entered AS (
    INSERT INTO runs_ledger (id, tenant_id, run, feature, subject, at, state, cached, model, version, error, repairs,
        malformed, preview, calls, input_tokens, cached_input_tokens, output_tokens, cost, base_tokens, tenant_tokens,
        user_tokens)
    SELECT gen_random_uuid(), run.tenant_id, run.id, run.feature_id, run.subject_id, clock_timestamp(), run.state,
           run.cached, coalesce(run.receipt->'model_target'->>'alias', ''), (run.receipt->>'base')::int,
           CASE WHEN gone.cancelled THEN '' ELSE %(error_type)s END, used.repairs,
           (NOT gone.cancelled AND %(no_form)s) OR used.malformed, run.preview IS NOT NULL, used.calls, used.input,
           used.cached, used.output, used.cost, used.calls * %(base_tokens)s, used.calls * %(tenant_tokens)s,
           used.calls * %(user_tokens)s
    FROM run, gone, used
), told AS ({TOLD})
SELECT run.state, run.author, run.cache_key FROM gone LEFT JOIN run ON true"""

# A statement of its own: who follows may have come while the one before waited for the queue's row.
_FOLLOWED = "SELECT EXISTS (SELECT FROM runs_queued WHERE tenant_id = %(tenant)s AND follows = %(run)s)"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, before it is written."""

    state: State
    output: Json = None
    error: dict[str, Any] | None = None
    tokens: LayerTokens = NO_TOKENS
    cached: bool = False  # it is the output of an equal run


def failed(failure: RunFailed, tokens: LayerTokens = NO_TOKENS) -> Ending:
    """The typed end of a run that has no output."""
    error: dict[str, Any] = {"type": failure.outcome, "title": TITLES[failure.outcome]}
    if failure.detail:
        error["detail"] = failure.detail
    if failure.problems:
        error["problems"] = [{"pointer": p.pointer, "rule": p.rule, "message": p.message} for p in failure.problems]
    return Ending(State.FAILED, error=error, tokens=tokens)


def finish(
    tenant_id: UUID, run_id: UUID, ending: Ending, *, token: UUID | None, called: Called | None = None
) -> State | None:
    """End a run if the claim is still ours; a cancel that was asked for in the meantime wins over any other end.

    `called` is its last call, if what that came to is not written yet. Returns the state it ended in, or None for a
    late finisher, whose write matches no row and changes nothing.
    """
    if ending.state == State.SUCCEEDED:
        ended, followed = _succeed(tenant_id, run_id, ending, token, called)
    else:
        with tenant_tx(tenant_id):
            ended, followed = _end(tenant_id, run_id, ending, token, called=called), False
    if ended is None:
        return None
    along(leaving(tenant_id, ended.author, run_id))
    if ended.state != ending.state:
        ending = Ending(ended.state)
    metrics.ended(ending.state, _error_type(ending), cached=ending.cached)
    _announce(tenant_id, run_id, ending)
    while followed and ending.state == State.SUCCEEDED and _end_followers(tenant_id, run_id, ending):
        pass
    return ended.state


@dataclass(frozen=True, slots=True)
class _Ended:
    state: State
    author: str
    cache_key: Any


def _succeed(
    tenant_id: UUID, run_id: UUID, ending: Ending, token: UUID | None, called: Called | None
) -> tuple[_Ended | None, bool]:
    """Write the end of a run that has an output, in one round trip; and say whether anybody waits for that output."""
    parameters = _parameters(tenant_id, run_id, ending, token, called)
    rows, [(followed,)] = app_trips.in_tenant(tenant_id, (_END, parameters), (_FOLLOWED, parameters))
    ended = _ended(run_id, rows[0] if rows else None)
    if ended is not None and followed and ended.state != State.SUCCEEDED:  # it was cancelled at the last moment
        with tenant_tx(tenant_id):
            _let_followers_go(tenant_id, run_id, ended.cache_key)
    return ended, followed


def _end(
    tenant_id: UUID, run_id: UUID, ending: Ending, token: UUID | None, follows: UUID | None = None,
    called: Called | None = None,
) -> _Ended | None:  # fmt: skip
    """Write the end of a run within the tenant's transaction; whoever waits for an output it has not got is let go."""
    with connections[APP].cursor() as cursor:
        cursor.execute(_END, _parameters(tenant_id, run_id, ending, token, called, follows))
        ended = _ended(run_id, cursor.fetchone())
    if ended is not None and ended.cache_key is not None and ended.state != State.SUCCEEDED:
        _let_followers_go(tenant_id, run_id, ended.cache_key)
    return ended


def _parameters(
    tenant_id: UUID, run_id: UUID, ending: Ending, token: UUID | None, called: Called | None,
    follows: UUID | None = None,
) -> dict[str, Any]:  # fmt: skip
    tokens, error_type = ending.tokens, _error_type(ending)
    return {
        **settling(called), "tenant": tenant_id, "run": run_id, "token": token, "follows": follows,
        "state": ending.state.value, "cached": ending.cached or follows is not None,
        "begun": token is not None or follows is not None,
        "output": None if ending.output is None else dumps(ending.output),
        "error": None if ending.error is None else json.dumps(ending.error), "error_type": error_type,
        "no_form": error_type in NO_FORM, "kept": timedelta(seconds=settings.UNSTORED_SECONDS),
        "base_tokens": tokens.base, "tenant_tokens": tokens.tenant, "user_tokens": tokens.user, "nobody": NOBODY,
    }  # fmt: skip


def _ended(run_id: UUID, row: tuple[Any, ...] | None) -> _Ended | None:
    if row is None:
        return None
    state, author, cache_key = row
    if state is None:
        raise RuntimeError(f"run {run_id} had a queue row although it had ended")
    return _Ended(State(state), author, cache_key)


def _let_followers_go(tenant_id: UUID, run_id: UUID, cache_key: Any) -> None:
    """Whoever waited for an output that never came is carried out by themselves."""
    followers = Queued.objects.filter(tenant_id=tenant_id, follows=run_id)
    found = list(followers.select_for_update().values_list("id", flat=True))
    if found:
        Run.objects.filter(tenant_id=tenant_id, pk__in=found).update(cache_key=cache_key)
        followers.update(follows=None)


def _end_followers(tenant_id: UUID, run_id: UUID, ending: Ending) -> bool:
    """Give the output of a run to a few of those who wait for it; True while there may be more.

    A crash in between leaves them to the reaper, which lets them be carried out themselves.
    """
    with tenant_tx(tenant_id):
        waiting = Queued.objects.filter(tenant_id=tenant_id, follows=run_id, token=None).order_by("id")
        found = list(waiting.values_list("id", flat=True)[:A_FEW])
        ended = {one: _end(tenant_id, one, ending, None, follows=run_id) for one in found}
    for follower, one in ended.items():
        if one is not None:
            along(leaving(tenant_id, one.author, follower))
            metrics.ended(one.state, "", cached=one.state == State.SUCCEEDED)
            _announce(tenant_id, follower, ending if one.state == ending.state else Ending(one.state))
    return len(found) == A_FEW


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
        _end(run.tenant_id, run.pk, Ending(State.CANCELLED), None)
        transaction.on_commit(lambda: _tell_cancelled(run), using=APP)
    return True


def _tell_cancelled(run: Run) -> None:
    along(leaving(run.tenant_id, run.author, run.pk))
    metrics.ended(State.CANCELLED, "", cached=False)
    _announce(run.tenant_id, run.pk, Ending(State.CANCELLED))


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


def give_up(lost: Lost) -> None:
    """After a lease ran out: settle what the dead worker left; end the run that was cancelled, or kills its workers."""
    with tenant_tx(lost.tenant_id):
        claim = Queued.objects.select_for_update().filter(pk=lost.run_id, token=None).first()
        if claim is None:
            return  # claimed again in the meantime: what it does now is not ours to settle
        settle_lost(lost.run_id)
        Run.objects.filter(pk=lost.run_id, state=State.RUNNING).update(state=State.QUEUED)
        if claim.budgets:
            run = Run.objects.only("subject_id").get(pk=lost.run_id)
            settle(Payer(lost.tenant_id, run.subject_id, claim.feature), Hold(claim.reserved or 0, claim.budgets), 0)
        Queued.objects.filter(pk=lost.run_id).update(reserved=None, budgets=[])
    if lost.cancelled:
        finish(lost.tenant_id, lost.run_id, Ending(State.CANCELLED), token=None)
    elif lost.alone >= ALONE_TIMES:
        finish(lost.tenant_id, lost.run_id, failed(RunFailed("worker_lost")), token=None)


def settle_lost(run_id: UUID) -> None:
    """Mark the calls that a dead worker began and nobody ended; within the tenant's transaction, by who has the run."""
    Attempt.objects.filter(run=run_id, finished_at=None).update(finished_at=Now(), outcome="lost")


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
