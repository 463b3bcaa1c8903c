"""Work on one claimed run: render, call, check, repair, finish. No transaction stays open across a model call.

What a call came to is written in the transaction that comes next anyway, that of the next call or of the run's end: the
attempt's row stands before the call, so a worker that dies in between leaves an attempt that is known to be lost.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from features.engine import ABSENT, Absent, Json
from features.models import ModelTarget
from features.served import Served
from tenants.errors import AppError, OverBudget
from tenants.isolation import APP, tenant_tx
from tenants.models import Tenant
from tenants.provider_keys import Credential

from . import metrics, tracing
from .breakers import Breakers, RetryBudgets, full_jitter
from .canary import end_canary, is_canary
from .costs import MICRO, most_per_run, price, worst
from .dispatch import Claim, let_go
from .events import hear, tell
from .finish import Ending, failed, finish, settle_lost
from .flow import Call, ProviderFailed, RunFailed, converse
from .leases import Lease, leases
from .models import Attempt, Queued, Run, State
from .output import Reply
from .outputs import output_for_item
from .own_keys import CLAIMED, fate, own_key, refused
from .provider import Stopped, ask
from .receipts import served_by, served_instead
from .reservations import Hold, Payer, reserve, settle
from .tokens import NO_TOKENS, LayerTokens, layer_tokens

log = structlog.get_logger(__name__)

TRIES = 3  # calls that found the model unavailable, before the run fails as such
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0  # seconds: bounds of the jittered pause before the second and the third

breakers, retries = Breakers(), RetryBudgets()
Conversation = Generator[Call, Reply, Json]


def execute(claim: Claim, lease: Lease) -> State | None:
    """Carry a claimed run out to its end, or back into the queue while the model is away.

    Returns the state it ended in; None when it was requeued, or is no longer ours.
    """
    work = _Work(claim, lease)
    try:
        told = {"bespoke.run": str(claim.run_id), "bespoke.tenant": str(claim.tenant_id)}
        with tracing.span("run", "INTERNAL", told, parent=claim.trace):
            ending = Ending(State.SUCCEEDED, output=work.converse(), tokens=work.tokens)
    except _NotOurs:
        return None
    except _Known as known:
        ending = Ending(State.SUCCEEDED, output=known.output, cached=True)
    except RunFailed as failure:
        ending = failed(failure, work.tokens)
    except Stopped:
        ending = Ending(State.CANCELLED, tokens=work.tokens)
    except AppError as unfit:  # a template that compiled, over its bounds with this input
        ending = failed(RunFailed("unrenderable", unfit.errors, unfit.detail))
    except ProviderFailed as away:
        if work.wait_for_model(away):
            return None
        ending = failed(RunFailed(away.outcome, detail=away.detail), work.tokens)
    if lease.lost:
        return None
    state = finish(claim.tenant_id, claim.run_id, ending, token=claim.token, before=work.settle)
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


class _NotOurs(Exception):
    """The claim has passed to somebody else."""


class _Known(Exception):
    """An equal run has ended since this one was taken in: its output is this one's."""

    def __init__(self, output: Json) -> None:
        super().__init__()
        self.output = output


@dataclass(slots=True)
class _Called:
    """A call whose attempt stands, and in the end what it came to."""

    number: int
    call: Call
    target: ModelTarget
    hold: Hold
    own: Credential | None = None  # the tenant's own key, if it has one
    reply: Reply = field(default_factory=lambda: Reply(None, None))
    outcome: str = "lost"
    detail: str = ""

    @property
    def cost(self) -> int:
        """What it came to, in micro-units: nothing with the tenant's own key."""
        return 0 if self.own else price(self.target, self.reply)


class _Work:
    """One run in a worker's hands."""

    def __init__(self, claim: Claim, lease: Lease) -> None:
        self.claim, self.lease = claim, lease
        self.run: Run
        self.served: Served
        self.own_keys = False  # whether the tenant has any of its own for providers
        self.begun = False  # whether that it runs is written, by us
        self.calls = self.tries = self.spent = 0
        self.deadline = 0.0  # as time.monotonic() has it
        self.unsettled: _Called | None = None

    @property
    def tokens(self) -> LayerTokens:
        return layer_tokens(self.served) if self.calls else NO_TOKENS

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
                with tenant_tx(self.claim.tenant_id):
                    self.settle()
                    claim = self._claimed()
                    if not self.begun:
                        self._start(claim)
                    if self._withdrawn() or flow is None:
                        flow = converse(self.served.compiled, self._messages(), self.run.input)
                        call = next(flow)
                    else:
                        replaced = False
                    called = self._begin(call, claim)
            except ProviderFailed as failure:  # nobody was called
                step = _thrower(failure)
                continue
            finally:
                let_go()
            if not self.begun and self.run.started_at is None:
                metrics.began(self.run.created_at)
            self.unsettled, self.begun = called, True
            self._say(call, replaced)
            step = self._ask(called)

    def _claimed(self) -> Queued:
        """Our row in the queue, locked. Raises _NotOurs when somebody else has it."""
        found = list(Queued.objects.raw(CLAIMED, [self.claim.tenant_id, self.claim.run_id, self.claim.token]))
        if not found or self.lease.lost:
            raise _NotOurs
        self.own_keys = found[0].own_keys  # type: ignore[attr-defined]  # which the statement adds
        return found[0]

    def _start(self, claim: Queued) -> None:
        """Read the run and what it is served, note that it runs, and from when on its time counts."""
        rows = Run.objects.select_related("feature", "tenant")
        self.run = rows.get(tenant_id=self.claim.tenant_id, pk=self.claim.run_id)
        if self.run.started_at is not None:
            settle_lost(self.run.pk)
            self._recount()
        Run.objects.filter(
            tenant_id=self.run.tenant_id, pk=self.run.pk, state__in=(State.QUEUED, State.RUNNING)
        ).update(state=State.RUNNING, started_at=self.run.started_at or Now())
        instead = served_instead(self.run)
        self.served = instead or served_by(self.run)
        known = ABSENT if instead or self.calls else output_for_item(self.served, self.run)
        if not isinstance(known, Absent):
            raise _Known(known)
        now, seconds = timezone.now(), self.served.compiled.limits.timeout_seconds
        until = claim.deadline or now + timedelta(seconds=seconds)
        if claim.deadline is None:
            Queued.objects.filter(tenant_id=claim.tenant_id, pk=claim.pk).update(deadline=until)
        self.deadline = time.monotonic() + min((until - now).total_seconds(), seconds)

    def _recount(self) -> None:
        """What earlier tries, here or elsewhere, have come to."""
        earlier = Attempt.objects.filter(tenant_id=self.run.tenant_id, run=self.run.pk).aggregate(
            last=Max("number"), cost=Sum("cost"), away=Count("number", filter=Q(outcome="unavailable"))
        )
        self.calls, self.spent, self.tries = earlier["last"] or 0, earlier["cost"] or 0, earlier["away"]

    def _withdrawn(self) -> bool:
        """Whether the version served was withdrawn since; what replaces it is served from here on."""
        instead = served_instead(self.run) if self.begun else None
        if instead is None:
            return False
        self.served = instead
        return True

    def _messages(self) -> list[dict[str, Any]]:
        run, compiled = self.run, self.served.compiled
        if run.receipt.get("withdrawn") and (wrong := compiled.input_problems(run.input)):
            told = "The version that replaces a withdrawn one takes other input."
            raise RunFailed("unrenderable", tuple(wrong), told)
        tenant: Tenant = run.tenant
        return list(compiled.messages(run.input, tenant_name=tenant.name, user_key=self.served.who.key, now=run.now))

    def _begin(self, call: Call, claim: Queued) -> _Called:
        """Write the attempt and hold what it may cost. Raises ProviderFailed where nobody can be called."""
        target = self.served.targets.get(call.model)
        if target is None:
            raise ProviderFailed("rejected", f"No model is called {call.model} any more.")
        own = own_key(self.claim.tenant_id, target) if self.own_keys else None
        pause = breakers.wait(fate(target, own), time.monotonic())
        if pause:
            told = f"{call.model} has failed again and again, and is left alone for a while."
            raise ProviderFailed("unavailable", told, pause, called=False)
        try:
            hold = self._hold(call, target, claim, own)
            number = self.calls + 1
            Attempt.objects.create(
                tenant_id=self.run.tenant_id, run=self.run.pk, number=number, kind=call.kind, target=target,
                detail=call.wrong, reserved=hold.amount, own_key=own.id if own else None,
            )  # fmt: skip
        except BaseException:
            breakers.forget_trial(fate(target, own))
            raise
        self.calls = number
        return _Called(number, call, target, hold, own)

    def _hold(self, call: Call, target: ModelTarget, claim: Queued, own: Credential | None) -> Hold:
        """Hold the call's worst cost, instead of what the queue's row holds. Raises RunFailed where it is too much."""
        if own is not None:  # what may be held since before there was that key is given back at the end
            return Hold(0)
        amount, most = worst(target, call.messages, self.served.compiled), most_per_run(self.served.compiled)
        spent = self.spent + (self.unsettled.cost if self.unsettled else 0)
        if most is not None and spent + amount > most:
            told = f"{spent / MICRO:g} {settings.CURRENCY} is spent; the next call may cost {amount / MICRO:g}."
            raise RunFailed("over_cost", detail=told)
        held = claim.reserved
        if held is not None and (held == amount or not claim.budgets):
            return Hold(held, claim.budgets)
        payer = self._payer()
        settle(payer, Hold(held or 0, claim.budgets), cost=0)
        try:
            hold = reserve(payer, amount)
        except OverBudget as short:
            raise RunFailed("over_budget", detail=short.detail) from short
        self._keep(hold.amount, hold.budgets)
        return hold

    def settle(self) -> None:
        """Write what the last call came to, and give back what it held; in the transaction that comes next anyway.

        An attempt that the reaper has settled as lost meanwhile stays as it is.
        """
        called = self.unsettled
        if called is None:
            return
        cost = called.cost
        ours = Attempt.objects.filter(tenant_id=self.run.tenant_id, run=self.run.pk, number=called.number)
        written = ours.filter(finished_at=None).update(
            finished_at=Now(),
            outcome=called.outcome,
            detail=called.detail,
            input_tokens=called.reply.input_tokens,
            cached_input_tokens=called.reply.cached_input_tokens,
            output_tokens=called.reply.output_tokens,
            cost=cost,
        )
        if written and called.hold.budgets and self._keep(None, []):
            settle(self._payer(), called.hold, cost)
        # Not before COMMIT is it certain: whoever rolls back settles again, in the transaction after.
        transaction.on_commit(partial(self._settled, cost), using=APP)

    def _settled(self, cost: int) -> None:
        self.unsettled, self.spent = None, self.spent + cost

    def _keep(self, amount: int | None, budgets: Any) -> bool:
        ours = Queued.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id, token=self.claim.token)
        return bool(ours.update(reserved=amount, budgets=list(budgets)))

    def _payer(self) -> Payer:
        return Payer(self.run.tenant_id, self.run.subject_id, self.run.feature_id)

    def _say(self, call: Call, replaced: bool) -> None:
        run_id = str(self.claim.run_id)
        if self.calls == 1:
            tell(self.claim.tenant_id, self.claim.run_id, "started", id=run_id, digest=self.served.digest)
        if call.kind == "repair" or replaced:  # what was heard so far does not count
            tell(self.claim.tenant_id, self.claim.run_id, "repair", id=run_id)

    def _ask(self, called: _Called) -> Callable[[Conversation], Call]:
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
            breakers.report(key, failure.outcome not in ("timeout", "unavailable"), time.monotonic())
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
        seconds = full_jitter(tries, base=FIRST_PAUSE, most=LONGEST_PAUSE)
        if away.retry_after is not None:
            seconds += away.retry_after
        if seconds >= self.deadline - time.monotonic():
            return False
        if away.called and (tries >= TRIES or not retries.spend(self.claim.tenant_id)):
            return False
        return self._requeue(seconds)

    def _requeue(self, seconds: float) -> bool:
        with tenant_tx(self.claim.tenant_id):
            self.settle()
            ours = Queued.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id, token=self.claim.token)
            later = timezone.now() + timedelta(seconds=seconds)
            moved = ours.filter(cancel_requested_at=None).update(
                token=None, process=None, lease_until=None, not_before=later
            )
            if moved:
                Run.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id).update(state=State.QUEUED)
        if moved:
            tell(self.claim.tenant_id, self.claim.run_id, "queued", id=str(self.claim.run_id), wait_seconds=seconds)
        return bool(moved)


def _sender(reply: Reply) -> Callable[[Conversation], Call]:
    return lambda flow: flow.send(reply)


def _thrower(failure: ProviderFailed) -> Callable[[Conversation], Call]:
    return lambda flow: flow.throw(failure)
