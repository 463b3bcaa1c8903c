"""Work on one claimed run: render, call, check, repair, finish. No transaction stays open across a model call.

What a call came to is written in the transaction that comes next anyway, that of the next call or of the run's end: the
attempt's row stands before the call, so a worker that dies in between leaves an attempt that is known to be lost. A run
that nothing is unusual about takes three round trips: it is read, its call begins, it ends (runs/trips.py).
"""

import time
from collections.abc import Callable, Generator
from datetime import timedelta

import structlog
from django.db import connections
from django.utils import timezone

from features.engine import Json
from tenants.errors import AppError
from tenants.isolation import APP, tenant_tx

from . import metrics, tracing
from .breakers import full_jitter
from .calls import SETTLE_ALONE, Called, settling
from .canary import end_canary, is_canary
from .dispatch import Claim, let_go
from .events import hear, tell
from .finish import Ending, failed, finish
from .flow import Call, ProviderFailed, RunFailed, converse
from .leases import Lease, leases
from .models import Run, State
from .output import Reply
from .own_keys import fate, refused
from .provider import Stopped, ask
from .reservations import note_refusal
from .work import Known, NotOurs, Work, breakers, retries

log = structlog.get_logger(__name__)

TRIES = 3  # calls that found the model unavailable, before the run fails as such
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0  # seconds: bounds of the jittered pause before the second and the third

Conversation = Generator[Call, Reply, Json]


def execute(claim: Claim, lease: Lease) -> State | None:
    """Carry a claimed run out to its end, or back into the queue while the model is away.

    Returns the state it ended in; None when it was requeued, or is no longer ours.
    """
    work = _Asking(claim, lease)
    told = {"bespoke.run": str(claim.run_id), "bespoke.tenant": str(claim.tenant_id)}
    try:
        with tracing.span("run", "INTERNAL", told, parent=claim.trace):
            ending = Ending(State.SUCCEEDED, output=work.converse(), tokens=work.tokens)
    except NotOurs:
        return None
    except Known as known:
        ending = Ending(State.SUCCEEDED, output=known.output, cached=True)
    except RunFailed as failure:
        ending = failed(failure, work.tokens)
        note_refusal(failure.__cause__)
    except Stopped:
        ending = Ending(State.CANCELLED, tokens=work.tokens)
    except AppError as unfit:  # a template that compiled, over its bounds with this input; or a receipt tampered with
        ending = failed(RunFailed(getattr(unfit, "outcome", "unrenderable"), unfit.errors, unfit.detail))
    except ProviderFailed as away:
        if work.wait_for_model(away):
            return None
        ending = failed(RunFailed(away.outcome, detail=away.detail), work.tokens)
    if lease.lost:
        return None
    with tracing.span("finish", "INTERNAL", {**told, "bespoke.state": str(ending.state)}, parent=claim.trace):
        state = finish(claim.tenant_id, claim.run_id, ending, token=claim.token, called=work.unsettled)
    log.info("run.finished", run=str(claim.run_id), tenant=str(claim.tenant_id), state=state)
    return state


def carry_out(claim: Claim) -> None:
    """Carry a claimed run out, a canary without a model, its lease renewed meanwhile."""
    lease = leases.hold(claim.token)
    try:
        with structlog.contextvars.bound_contextvars(run=str(claim.run_id), tenant=str(claim.tenant_id)):
            end_canary(claim) if is_canary(claim) else execute(claim, lease)
    finally:
        leases.drop(lease)
        let_go()


class _Asking(Work):
    """One run in a worker's hands, and its conversation with models."""

    def converse(self) -> Json:
        """Hold the conversation; begin it anew with the replacement when the version is withdrawn before a call."""
        flow: Conversation | None = None
        step: Callable[[Conversation], Call] = next
        while True:
            if flow is not None:
                try:
                    call = step(flow)
                except StopIteration as ended:
                    output: Json = ended.value
                    return output
            replaced = self.begun and self.calls > 0
            try:
                self.read()
                if not self.begun:
                    self.start()
                if self.replaced() or flow is None:
                    flow = converse(self.served.compiled, self.messages(), self.found.run.input)
                    call = next(flow)
                else:
                    replaced = False
                called = self.begin(call)
            except ProviderFailed as failure:  # nobody was called
                step = _thrower(failure)
                continue
            finally:
                let_go()
            if not self.begun and self.found.run.started_at is None:
                metrics.began(self.found.run.created_at)
            self.unsettled, self.begun = called, True
            self._say(call, replaced)
            step = self._ask(called)

    def _say(self, call: Call, replaced: bool) -> None:
        run_id = str(self.claim.run_id)
        if self.calls == 1:
            tell(self.claim.tenant_id, self.claim.run_id, "started", id=run_id, digest=self.served.digest)
        if call.kind == "repair" or replaced:  # what was heard so far does not count
            tell(self.claim.tenant_id, self.claim.run_id, "repair", id=run_id)

    def _ask(self, called: Called) -> Callable[[Conversation], Call]:
        """Make the call. Returns how the conversation goes on; raises Stopped."""
        key, told = fate(called.target, called.own), called.call.wrong
        began, first = time.monotonic(), list[float]()

        def heard(text: str) -> None:
            hear(self.claim.tenant_id, self.claim.run_id, text, first=not first)
            if not first:
                first.append(time.monotonic() - began)

        if called.number == 1:
            retries.earn(self.claim.tenant_id)
        try:
            with tracing.chat(called.target, self.served.compiled.settings) as span:
                called.reply = ask(
                    called.call, called.target, self.served.compiled, deadline=self.deadline,
                    stop=lambda: self.lease.stop, on_text=heard, name=f"{self.claim.run_id}-{called.number}",
                    own=called.own,
                )  # fmt: skip
                tracing.answered(span, called.reply)
            called.outcome, called.detail = "answered", told
            breakers.report(key, True, time.monotonic())
        except Stopped as stopped:
            called.reply, called.outcome, called.detail = stopped.reply, "stopped", told
            breakers.forget_trial(key)
            raise
        except ProviderFailed as failure:
            called.reply = failure.reply or called.reply
            called.outcome, called.detail = failure.outcome, "; ".join(filter(None, (told, failure.detail)))[:500]
            there = failure.outcome not in ("timeout", "unavailable")
            metrics.reported(called.target, opens=breakers.report(key, there, time.monotonic()))
            if called.own and failure.outcome == "key_refused":
                refused(self.claim.tenant_id, called.own)
            return _thrower(failure)
        finally:
            metrics.attempted(
                called.target, called.call.kind, called.outcome, called.reply, called.cost,
                seconds=time.monotonic() - began, first=first[0] if first else None,
            )  # fmt: skip
        return _sender(called.reply)

    def wait_for_model(self, away: ProviderFailed) -> bool:
        """Put the run back into the queue for later, never sleeping in a worker; False when it has waited enough.

        It has while its deadline would pass, after three calls that found nobody, and when the tenant has made too
        many calls again already.
        """
        if away.outcome != "unavailable":
            return False
        tries = self.tries + 1
        seconds = full_jitter(tries, base=FIRST_PAUSE, most=LONGEST_PAUSE) + (away.retry_after or 0.0)
        if seconds >= self.deadline - time.monotonic():
            return False
        if away.called and (tries >= TRIES or not metrics.retried(retries.spend(self.claim.tenant_id))):
            return False
        return self._requeue(seconds)

    def _requeue(self, seconds: float) -> bool:
        with tenant_tx(self.claim.tenant_id), connections[APP].cursor() as cursor:
            claim = self.ours()
            if claim is None or claim.cancel_requested_at is not None:
                return False
            if self.unsettled:
                if self.unsettled.hold.budgets:
                    self.pay(self.unsettled, claim)
                cursor.execute(SETTLE_ALONE, {"tenant": claim.tenant_id, "run": claim.pk, **settling(self.unsettled)})
            claim.token = claim.process = claim.lease_until = None
            claim.not_before = timezone.now() + timedelta(seconds=seconds)
            claim.save(update_fields=["token", "process", "lease_until", "not_before"])
            Run.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id).update(state=State.QUEUED)
        tell(self.claim.tenant_id, self.claim.run_id, "queued", id=str(self.claim.run_id), wait_seconds=seconds)
        return True


def _sender(reply: Reply) -> Callable[[Conversation], Call]:
    return lambda flow: flow.send(reply)


def _thrower(failure: ProviderFailed) -> Callable[[Conversation], Call]:
    return lambda flow: flow.throw(failure)
