"""Work on one claimed run: render, call, check, repair, finish. No transaction stays open across a model call.

What a call came to is written in the transaction that comes next anyway, that of the next call or of the run's end: the
attempt's row stands before the call, so a worker that dies in between leaves an attempt that is known to be lost. A run
that nothing is unusual about takes three round trips: it is read, its call begins, it ends (runs/trips.py).
"""

import time
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from features.engine import ABSENT, Absent, Json
from features.models import ModelTarget
from features.served import Served
from tenants.errors import AppError
from tenants.isolation import APP, tenant_tx
from tenants.provider_keys import Credential

from . import metrics, tracing
from .breakers import Breakers, RetryBudgets, full_jitter
from .calls import BEGIN, SETTLE_ALONE, Called, beginning, settling
from .canary import end_canary, is_canary
from .claimed import Claimed, read_claimed
from .costs import MICRO, most_per_run, worst
from .dispatch import Claim, let_go
from .events import hear, tell
from .finish import Ending, failed, finish, settle_lost
from .flow import Call, ProviderFailed, RunFailed, converse
from .leases import Lease, leases
from .models import Attempt, Queued, Run, State
from .output import Reply
from .outputs import output_for_item
from .own_keys import fate, own_key, refused
from .provider import Stopped, ask
from .receipts import keep_served, served_before, served_by, served_instead
from .reservations import Hold, Payer, Short, note_refusal, reserve, settle
from .tokens import NO_TOKENS, LayerTokens, layer_tokens
from .trips import app_trips

log = structlog.get_logger(__name__)

TRIES = 3  # calls that found the model unavailable, before the run fails as such
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0  # seconds: bounds of the jittered pause before the second and the third

breakers, retries = Breakers(), RetryBudgets()
metrics.watch(breakers)
Conversation = Generator[Call, Reply, Json]


def execute(claim: Claim, lease: Lease) -> State | None:
    """Carry a claimed run out to its end, or back into the queue while the model is away.

    Returns the state it ended in; None when it was requeued, or is no longer ours.
    """
    work = _Work(claim, lease)
    told = {"bespoke.run": str(claim.run_id), "bespoke.tenant": str(claim.tenant_id)}
    try:
        with tracing.span("run", "INTERNAL", told, parent=claim.trace):
            ending = Ending(State.SUCCEEDED, output=work.converse(), tokens=work.tokens)
    except _NotOurs:
        return None
    except _Known as known:
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


class _NotOurs(Exception):
    """The claim has passed to somebody else."""


class _Known(Exception):
    """An equal run has ended since this one was taken in: its output is this one's."""

    def __init__(self, output: Json) -> None:
        super().__init__()
        self.output = output


class _Work:
    """One run in a worker's hands."""

    def __init__(self, claim: Claim, lease: Lease) -> None:
        self.claim, self.lease = claim, lease
        self.found: Claimed
        self.served: Served
        self.begun = False  # whether that it runs is written, by us
        self.calls = self.tries = self.spent = 0
        self.until: datetime  # the run may take, and as time.monotonic() has it
        self.deadline = 0.0
        self.unsettled: Called | None = None

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
                self._read()
                if not self.begun:
                    self._start()
                if self._replaced() or flow is None:
                    flow = converse(self.served.compiled, self._messages(), self.found.run.input)
                    call = next(flow)
                else:
                    replaced = False
                called = self._begin(call)
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

    def _read(self) -> None:
        """Read how the run stands. Raises _NotOurs when somebody else has it."""
        found = None if self.lease.lost else read_claimed(self.claim)
        if found is None:
            raise _NotOurs
        self.found = found

    def _start(self) -> None:
        """Find what the run is served, and until when it may take."""
        served = served_before(self.found) if self.found.plain else None
        if served is None:
            with tenant_tx(self.claim.tenant_id):
                served = self._start_anew()
        self.served = served
        tracing.note(feature=self.found.run.feature.key, digest=served.digest)
        now, seconds = timezone.now(), served.compiled.limits.timeout_seconds
        self.until = self.found.deadline or now + timedelta(seconds=seconds)
        self.deadline = time.monotonic() + min((self.until - now).total_seconds(), seconds)

    def _start_anew(self) -> Served:
        """Settle what an earlier worker began, and resolve what the run is served; within the tenant's transaction."""
        self._lock()
        run = self.found.run
        if run.started_at is not None:
            settle_lost(run.pk)
            self._recount()
        Run.objects.filter(tenant_id=run.tenant_id, pk=run.pk, state__in=(State.QUEUED, State.RUNNING)).update(
            state=State.RUNNING, started_at=run.started_at or Now()
        )
        instead = served_instead(run)
        served = instead or served_by(run)
        known = ABSENT if instead or self.calls else output_for_item(served, run)
        if not isinstance(known, Absent):
            raise _Known(known)
        if self.found.plain:
            keep_served(self.found, served)
        return served

    def _lock(self) -> Queued:
        """Our row in the queue, locked. Raises _NotOurs when somebody else has it."""
        found = self._ours()
        if found is None:
            raise _NotOurs
        return found

    def _ours(self) -> Queued | None:
        ours = Queued.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id, token=self.claim.token)
        return ours.select_for_update().first()

    def _recount(self) -> None:
        """What earlier tries, here or elsewhere, have come to."""
        earlier = Attempt.objects.filter(tenant_id=self.claim.tenant_id, run=self.claim.run_id).aggregate(
            last=Max("number"), cost=Sum("cost"), away=Count("number", filter=Q(outcome="unavailable"))
        )
        self.calls, self.spent, self.tries = earlier["last"] or 0, earlier["cost"] or 0, earlier["away"]

    def _replaced(self) -> bool:
        """Whether the version served was withdrawn since; what replaces it is served from here on."""
        if not self.begun or not self.found.withdrawn:
            return False
        with tenant_tx(self.claim.tenant_id):
            self._lock()
            instead = served_instead(self.found.run)
        if instead is None:
            return False
        self.served = instead
        return True

    def _messages(self) -> list[dict[str, Any]]:
        run, compiled = self.found.run, self.served.compiled
        if run.receipt.get("withdrawn") and (wrong := compiled.input_problems(run.input)):
            told = "The version that replaces a withdrawn one takes other input."
            raise RunFailed("unrenderable", tuple(wrong), told)
        named = {"tenant_name": self.found.tenant_name, "user_key": self.served.who.key}
        return list(compiled.messages(run.input, now=run.now, **named))

    def _begin(self, call: Call) -> Called:
        """Write the attempt and hold what it may cost. Raises ProviderFailed where nobody can be called."""
        target = self.served.targets.get(call.model)
        if target is None:
            raise ProviderFailed("rejected", f"No model is called {call.model} any more.")
        own = self._own_key(target) if self.found.own_keys else None
        pause = breakers.wait(fate(target, own), time.monotonic())
        if pause:
            told = f"{call.model} has failed again and again, and is left alone for a while."
            raise ProviderFailed("unavailable", told, pause, called=False)
        try:
            called = self._write(call, target, own)
        except BaseException:
            breakers.forget_trial(fate(target, own))
            raise
        self.calls, before = called.number, self.unsettled
        self.unsettled, self.spent = None, self.spent + (before.cost if before else 0)
        return called

    def _own_key(self, target: ModelTarget) -> Credential | None:
        with tenant_tx(self.claim.tenant_id):
            return own_key(self.claim.tenant_id, target)

    def _write(self, call: Call, target: ModelTarget, own: Credential | None) -> Called:
        """Write the attempt, with what it holds: in one trip where there is nothing to be held anew."""
        amount = 0 if own else self._worst(call, target)
        number, before = self.calls + 1, self.unsettled
        held = Hold(0) if own else self._holds(amount)
        if held is not None and not (before and before.hold.budgets):
            called = Called(number, call, target, held, own)
            begin = (BEGIN, beginning(self.claim, called, before, begun=self.begun, until=self.until))
            if app_trips.in_tenant(self.claim.tenant_id, begin) == [[]]:
                raise _NotOurs
            return called
        with tenant_tx(self.claim.tenant_id), connections[APP].cursor() as cursor:
            claim = self._lock()
            if before and before.hold.budgets:
                self._pay(before, claim)
            hold = Hold(0) if own else self._reserve(amount, claim)
            called = Called(number, call, target, hold, own)
            cursor.execute(BEGIN, beginning(self.claim, called, before, begun=self.begun, until=self.until))
        return called

    def _worst(self, call: Call, target: ModelTarget) -> int:
        """What a call can cost at the worst. Raises RunFailed where the run may not come to so much."""
        amount, most = worst(target, call.messages, self.served.compiled), most_per_run(self.served.compiled)
        spent = self.spent + (self.unsettled.cost if self.unsettled else 0)
        if most is not None and spent + amount > most:
            told = f"{spent / MICRO:g} {settings.CURRENCY} is spent; the next call may cost {amount / MICRO:g}."
            raise RunFailed("over_cost", detail=told)
        return amount

    def _holds(self, amount: int) -> Hold | None:
        """What is held for the call already, None where something else must be."""
        held, budgets = self.found.reserved, self.found.budgets
        return Hold(held, budgets) if held is not None and (held == amount or not budgets) else None

    def _reserve(self, amount: int, claim: Queued) -> Hold:
        """Hold an amount instead of what the queue's row holds. Raises RunFailed where a budget has less left."""
        settle(self._payer(), Hold(claim.reserved or 0, claim.budgets), cost=0)
        try:
            hold = reserve(self._payer(), amount)
        except Short as short:
            raise RunFailed("over_budget", detail=short.detail) from short
        claim.reserved, claim.budgets = hold.amount, list(hold.budgets)
        claim.save(update_fields=["reserved", "budgets"])
        return hold

    def _pay(self, before: Called, claim: Queued) -> None:
        """Give back what the call before held and count what it cost, unless the reaper has settled it as lost."""
        attempt = Attempt.objects.filter(tenant_id=claim.tenant_id, run=claim.pk, number=before.number)
        if attempt.filter(finished_at=None).exists():
            settle(self._payer(), before.hold, before.cost)
            claim.reserved, claim.budgets = None, []
            claim.save(update_fields=["reserved", "budgets"])

    def _payer(self) -> Payer:
        return Payer(self.claim.tenant_id, self.found.run.subject_id, self.found.run.feature_id)

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
            claim = self._ours()
            if claim is None or claim.cancel_requested_at is not None:
                return False
            if self.unsettled:
                if self.unsettled.hold.budgets:
                    self._pay(self.unsettled, claim)
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
