"""One run in a worker's hands, as the database has it: read, found what it is served, and each of its calls begun."""

import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from features.engine import ABSENT, Absent, Json
from features.models import ModelTarget
from features.served import Served
from tenants.isolation import APP, tenant_tx
from tenants.provider_keys import Credential

from . import metrics, tracing
from .breakers import Breakers, RetryBudgets
from .calls import BEGIN, Called, beginning
from .claimed import Claimed, read_claimed
from .costs import MICRO, most_per_run, worst
from .dispatch import Claim
from .finish import settle_lost
from .flow import Call, ProviderFailed, RunFailed
from .leases import Lease
from .models import Attempt, Queued, Run, State
from .outputs import output_for_item
from .own_keys import fate, own_key
from .receipts import keep_served, served_before, served_by, served_instead
from .reservations import Hold, Payer, Short, reserve, settle
from .tokens import NO_TOKENS, LayerTokens, layer_tokens
from .trips import app_trips

breakers, retries = Breakers(), RetryBudgets()
metrics.watch(breakers)


class NotOurs(Exception):
    """The claim has passed to somebody else."""


class Known(Exception):
    """An equal run has ended since this one was taken in: its output is this one's."""

    def __init__(self, output: Json) -> None:
        super().__init__()
        self.output = output


class Work:
    """One run in a worker's hands. Whatever it writes it writes only while the claim is its own, or raises NotOurs."""

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

    def read(self) -> None:
        """Read how the run stands. Raises NotOurs when somebody else has it."""
        found = None if self.lease.lost else read_claimed(self.claim)
        if found is None:
            raise NotOurs
        self.found = found

    def start(self) -> None:
        """Find what the run is served, and until when it may take."""
        served = served_before(self.found) if self.found.plain else None
        if served is None:
            with tenant_tx(self.claim.tenant_id):
                served = self._start_anew()
        self.served = served
        tracing.note(feature=self.found.feature_key, digest=served.digest)
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
            raise Known(known)
        if self.found.plain:
            keep_served(self.found, served)
        return served

    def _lock(self) -> Queued:
        """Our row in the queue, locked. Raises NotOurs when somebody else has it."""
        found = self.ours()
        if found is None:
            raise NotOurs
        return found

    def ours(self) -> Queued | None:
        ours = Queued.objects.filter(tenant_id=self.claim.tenant_id, pk=self.claim.run_id, token=self.claim.token)
        return ours.select_for_update().first()

    def _recount(self) -> None:
        """What earlier tries, here or elsewhere, have come to."""
        earlier = Attempt.objects.filter(tenant_id=self.claim.tenant_id, run=self.claim.run_id).aggregate(
            last=Max("number"), cost=Sum("cost"), away=Count("number", filter=Q(outcome="unavailable"))
        )
        self.calls, self.spent, self.tries = earlier["last"] or 0, earlier["cost"] or 0, earlier["away"]

    def replaced(self) -> bool:
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

    def messages(self) -> list[dict[str, Any]]:
        run, compiled = self.found.run, self.served.compiled
        if run.receipt.get("withdrawn") and (wrong := compiled.input_problems(run.input)):
            told = "The version that replaces a withdrawn one takes other input."
            raise RunFailed("unrenderable", tuple(wrong), told)
        named = {"tenant_name": self.found.tenant_name, "user_key": self.served.who.key}
        return list(compiled.messages(run.input, now=run.now, **named))

    def begin(self, call: Call) -> Called:
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
                raise NotOurs
            return called
        with tenant_tx(self.claim.tenant_id), connections[APP].cursor() as cursor:
            claim = self._lock()
            if before and before.hold.budgets:
                self.pay(before, claim)
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

    def pay(self, before: Called, claim: Queued) -> None:
        """Give back what the call before held and count what it cost, unless the reaper has settled it as lost."""
        attempt = Attempt.objects.filter(tenant_id=claim.tenant_id, run=claim.pk, number=before.number)
        if attempt.filter(finished_at=None).exists():
            settle(self._payer(), before.hold, before.cost)
            claim.reserved, claim.budgets = None, []
            claim.save(update_fields=["reserved", "budgets"])

    def _payer(self) -> Payer:
        return Payer(self.claim.tenant_id, self.found.run.subject_id, self.found.run.feature_id)
