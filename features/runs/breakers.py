"""PURE: when to leave a model alone. A circuit breaker for each (credential, provider, model), retry budgets by tenant.

Both are kept by each process for itself: nothing to reach for when everything else is down, and one process's bad
network is not another's. The clock is handed in, as time.monotonic() has it.

Breaker: M. Nygard, Release It! (2nd ed.), "Circuit Breaker"; retry budget: Google SRE book, "Handling Overload".
"""

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FAILURES = 5  # in a row, after which a breaker opens
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds it stays open, doubled each time that the trial call fails too
TRIAL_SECONDS = 120.0  # after which a trial that nobody reported on counts as lost
KEPT = 10_000  # keys and tenants remembered, the longest unused forgotten first

RETRY_SHARE = 0.1  # of a tenant's first calls that may be made again
RETRIES_AT_FIRST, MOST_RETRIES = 10.0, 100.0


@dataclass(slots=True)
class _State:
    failures: int = 0
    opened: int = 0  # how often in a row
    until: float = 0.0
    trial: float | None = None  # since when a trial call is on its way


class Breakers:
    """Closed, a key's calls go through; open, none does until a pause is over; then one tries for all (half-open)."""

    def __init__(self) -> None:
        self._states: OrderedDict[Hashable, _State] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds for which a call must not be made; 0.0 lets it through, and it must then be reported on."""
        with self._lock:
            state = self._states.get(key)
            if state is None or state.failures < FAILURES:
                return 0.0
            if now < state.until:
                return state.until - now
            if state.trial is not None and now - state.trial < TRIAL_SECONDS:
                return FIRST_PAUSE
            state.trial = now
            return 0.0

    def report(self, key: Hashable, answered: bool, now: float) -> bool:
        """Say how a call ended: whether the model was there at all. Returns whether that opens the breaker (again)."""
        with self._lock:
            if answered:
                self._states.pop(key, None)
                return False
            state = self._states.setdefault(key, _State())
            self._states.move_to_end(key)
            if len(self._states) > KEPT:
                self._states.popitem(last=False)
            state.failures += 1
            opens = state.failures >= FAILURES and (state.trial is not None or state.opened == 0)
            if opens:
                state.until = now + min(FIRST_PAUSE * 2**state.opened, LONGEST_PAUSE)
                state.opened, state.trial = state.opened + 1, None
            return opens

    def forget_trial(self, key: Hashable) -> None:
        """Say that a call which was let through came to nothing that says anything of the model (it was cancelled)."""
        with self._lock:
            if (state := self._states.get(key)) is not None:
                state.trial = None

    def open_now(self, now: float) -> list[Hashable]:
        """The keys whose calls do not go through."""
        with self._lock:
            return [key for key, state in self._states.items() if state.failures >= FAILURES and now < state.until]

    def clear(self) -> None:
        """Forget everything: for tests."""
        with self._lock:
            self._states.clear()


class RetryBudgets:
    """A tenant may make a tenth of its calls again: a storm of retries cannot outgrow the traffic it comes from."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def earn(self, key: Hashable) -> None:
        """Count a first call."""
        with self._lock:
            self._tokens[key] = min(self._tokens.get(key, RETRIES_AT_FIRST) + RETRY_SHARE, MOST_RETRIES)
            self._tokens.move_to_end(key)
            if len(self._tokens) > KEPT:
                self._tokens.popitem(last=False)

    def spend(self, key: Hashable) -> bool:
        """Take a retry out; False when there is none."""
        with self._lock:
            left = self._tokens.get(key, RETRIES_AT_FIRST)
            if left < 1:
                return False
            self._tokens[key] = left - 1
            return True

    def clear(self) -> None:
        """Forget everything: for tests."""
        with self._lock:
            self._tokens.clear()


def full_jitter(attempt: int, *, base: float, most: float, draw: Callable[[], float] = random.random) -> float:
    """Seconds to wait before the next try, after `attempt` (1, 2, …) failed ones: anywhere up to a doubling bound.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return draw() * min(most, base * 2.0 ** (attempt - 1))
