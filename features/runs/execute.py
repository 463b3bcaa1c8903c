"""Work on one claimed run: render, call, check, repair, finish. No transaction stays open across a model call."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from features.engine import Json
from features.models import ModelTarget
from features.served import Served
from tenants.errors import AppError
from tenants.isolation import tenant_tx
from tenants.models import Tenant

from . import metrics, tracing
from .dispatch import Claim, let_go
from .events import tell
from .finish import Ending, failed, finish, settle_lost
from .flow import Call, ProviderFailed, RunFailed, converse
from .leases import Lease
from .models import Attempt, Queued, Run, State
from .output import Reply
from .provider import Stopped, ask
from .receipts import served_by, served_instead

log = structlog.get_logger(__name__)

TRIES = 3  # calls that found the model unavailable, before the run fails as such
PATIENCE = (0.5, 2.0)  # seconds to wait before the second and the third, unless the provider says
LONGEST_WAIT = 120.0  # a Retry-After beyond this is not worth waiting for


def execute(claim: Claim, lease: Lease) -> State | None:
    """Carry a claimed run out to its end, or back into the queue while the model is away.

    Returns the state it ended in; None when it was requeued, or is no longer ours.
    """
    with tenant_tx(claim.tenant_id):
        run = Run.objects.select_related("feature", "tenant").get(pk=claim.run_id)
        Run.objects.filter(pk=run.pk, state=State.QUEUED).update(state=State.RUNNING)
        Run.objects.filter(pk=run.pk, started_at=None).update(started_at=Now())
        settle_lost(run.pk)
        trace = Queued.objects.filter(pk=run.pk).values_list("trace", flat=True).first()
        tries = Attempt.objects.filter(run=run.pk, outcome="unavailable").count()
        served = served_instead(run) or served_by(run)
    if run.started_at is None:
        metrics.began(run.created_at)
    tell(claim.tenant_id, claim.run_id, "started", id=str(claim.run_id), digest=served.digest)
    try:
        told = {"bespoke.run": str(run.pk), "bespoke.tenant": str(run.tenant_id), "bespoke.digest": served.digest}
        with tracing.span("run", "INTERNAL", {**told, "bespoke.feature": run.feature.key}, parent=trace):
            ending = Ending(State.SUCCEEDED, output=_converse(run, served, lease))
    except RunFailed as failure:
        ending = failed(failure)
    except Stopped:
        ending = Ending(State.CANCELLED)
    except AppError as unfit:  # a template that compiled, over its bounds with this input
        ending = failed(RunFailed("unrenderable", unfit.errors, unfit.detail))
    except ProviderFailed as away:
        if _wait_for_model(claim, away, tries + 1):
            return None
        ending = failed(RunFailed(away.outcome, detail=away.detail))
    if lease.lost:
        return None
    state = finish(claim.tenant_id, claim.run_id, ending, token=claim.token)
    log.info("run.finished", run=str(claim.run_id), tenant=str(claim.tenant_id), state=state)
    return state


class _Replaced(Exception):
    """The version that a run is on was withdrawn while it was carried out."""

    def __init__(self, served: Served) -> None:
        self.served = served


def _converse(run: Run, served: Served, lease: Lease) -> Json:
    """Hold the conversation; begin it anew with the replacement when the version is withdrawn before a call."""
    began = time.monotonic()
    while True:
        try:
            return _talk(run, served, lease, began)
        except _Replaced as replaced:
            served = replaced.served
            tell(run.tenant_id, run.pk, "repair", id=str(run.pk))  # what was heard so far does not count


def _talk(run: Run, served: Served, lease: Lease, began: float) -> Json:
    """Drive one conversation; every call has its attempt row before it is made, and its outcome after."""
    tenant: Tenant = run.tenant
    if run.receipt.get("withdrawn") and (wrong := served.compiled.input_problems(run.input)):
        raise RunFailed("unrenderable", tuple(wrong), "The version that replaces a withdrawn one takes other input.")
    messages = served.compiled.messages(run.input, tenant_name=tenant.name, user_key=served.who.key, now=run.now)
    deadline = began + served.compiled.limits.timeout_seconds
    flow = converse(served.compiled, messages, run.input)
    step: Callable[[], Call] = lambda: next(flow)  # noqa: E731
    while True:
        try:
            call = step()
        except StopIteration as ended:
            output: Json = ended.value
            return output
        try:
            reply = _call(run, served, call, deadline, lease)
        except ProviderFailed as failure:
            step = _thrower(flow, failure)
        else:
            step = _sender(flow, reply)


def _sender(flow: Any, reply: Reply) -> Callable[[], Call]:
    return lambda: flow.send(reply)


def _thrower(flow: Any, failure: ProviderFailed) -> Callable[[], Call]:
    return lambda: flow.throw(failure)


def _call(run: Run, served: Served, call: Call, deadline: float, lease: Lease) -> Reply:
    target = served.targets.get(call.model)
    if target is None:
        raise ProviderFailed("rejected", f"No model is called {call.model} any more.")
    if call.kind == "repair":
        tell(run.tenant_id, run.pk, "repair", id=str(run.pk))
    with tenant_tx(run.tenant_id):
        instead = served_instead(run)
        number = 0 if instead else _begin(run, call, target)
    let_go()
    if instead is not None:
        raise _Replaced(instead)
    reply = Reply(None, None)
    outcome, detail = "answered", call.wrong
    began, first = time.monotonic(), list[float]()

    def heard(text: str) -> None:
        if not first:
            first.append(time.monotonic() - began)
        tell(run.tenant_id, run.pk, "delta", text=text)

    try:
        with tracing.chat(target, served.compiled.settings) as span:
            reply = ask(
                call, target, served.compiled, deadline=deadline, stop=lambda: lease.stop,
                on_text=heard,
            )  # fmt: skip
            tracing.answered(span, reply)
        return reply
    except Stopped as stopped:
        reply, outcome = stopped.reply, "stopped"
        raise
    except ProviderFailed as failure:
        outcome, detail = failure.outcome, "; ".join(filter(None, (call.wrong, failure.detail)))[:500]
        raise
    finally:
        _settle(run, number, target, reply, outcome, detail)
        took = time.monotonic() - began
        metrics.attempted(
            target, call.kind, outcome, reply, price(target, reply), seconds=took, first=first[0] if first else None
        )


def _begin(run: Run, call: Call, target: ModelTarget) -> int:
    last = Attempt.objects.filter(run=run.pk).aggregate(last=Max("number"))["last"] or 0
    Attempt.objects.create(
        tenant_id=run.tenant_id, run=run.pk, number=last + 1, kind=call.kind, target=target, detail=call.wrong
    )
    return last + 1


def _settle(run: Run, number: int, target: ModelTarget, reply: Reply, outcome: str, detail: str) -> None:
    with tenant_tx(run.tenant_id):
        Attempt.objects.filter(run=run.pk, number=number).update(
            finished_at=Now(),
            outcome=outcome,
            detail=detail,
            input_tokens=reply.input_tokens,
            cached_input_tokens=reply.cached_input_tokens,
            output_tokens=reply.output_tokens,
            cost=price(target, reply),
        )


def price(target: ModelTarget, reply: Reply) -> int:
    """What a reply costs in micro-units, rounded up: prices are micro-units per million tokens."""
    fresh = max(0, reply.input_tokens - reply.cached_input_tokens)
    total = (
        fresh * target.input_price
        + reply.cached_input_tokens * target.cached_input_price
        + reply.output_tokens * target.output_price
    )
    return -(-total // 1_000_000)


def _wait_for_model(claim: Claim, away: ProviderFailed, tries: int) -> bool:
    """Put the run back into the queue for later, never sleeping in a worker; False when it has waited enough."""
    if away.outcome != "unavailable" or tries >= TRIES:
        return False
    seconds = PATIENCE[min(tries, len(PATIENCE)) - 1] if away.retry_after is None else away.retry_after
    if seconds > LONGEST_WAIT:
        return False
    with tenant_tx(claim.tenant_id):
        ours = Queued.objects.filter(pk=claim.run_id, token=claim.token, cancel_requested_at=None)
        moved = ours.update(token=None, lease_until=None, not_before=timezone.now() + timedelta(seconds=seconds))
        if moved:
            Run.objects.filter(pk=claim.run_id).update(state=State.QUEUED)
    if moved:
        tell(claim.tenant_id, claim.run_id, "queued", id=str(claim.run_id), wait_seconds=seconds)
    return bool(moved)


def attempts_of(run_id: UUID) -> list[dict[str, Any]]:
    """A run's calls, as the API shows them; within the tenant's transaction."""
    rows = Attempt.objects.select_related("target").filter(run=run_id).order_by("number")
    return [
        {
            "number": row.number, "kind": row.kind, "outcome": row.outcome or None, "detail": row.detail or None,
            "model": row.target.model, "provider": row.target.provider, "started": row.started_at,
            "finished": row.finished_at, "input_tokens": row.input_tokens, "output_tokens": row.output_tokens,
            "cost": row.cost,
        }
        for row in rows
    ]  # fmt: skip
