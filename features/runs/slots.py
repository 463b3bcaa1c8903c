"""The slots of a worker's process: one look claims as many runs as there are free ones, and threads carry them out.

Bells are Celery's, and of those that come while somebody looks none does more than ask for another look. While they
come thick and fast they are masked: doors ring none, and who looks does so by itself every few milliseconds, until
there is little to find again or nothing free (what Linux does with the interrupts of a busy network card:
https://docs.kernel.org/networking/napi.html).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import Error

from .dispatch import Claim, claim_many, let_go, mask_bells, unmask_bells
from .execute import carry_out
from .trips import app_trips, operator_trips

log = structlog.get_logger(__name__)

TOGETHER_SECONDS = 0.02  # slots that get free within it are filled by one claim; a run that comes meanwhile rings
LOOK_SECONDS = 0.01  # how often is looked while bells are masked
MANY, WITHIN_SECONDS = 5, 0.2  # so many bells within so long are masked
QUIET_SECONDS = 0.1  # after so long without a run they are rung again
MASK_SECONDS = 0.3  # after so long the mask is put on again, which falls off by itself


class Slots:
    """So many runs at once, each on a thread; of the callers of `look` one at a time claims for all of them."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._threads = ThreadPoolExecutor(number, "run")
        self._changed = threading.Condition()
        self._busy = 0
        self._looks = self._rung = self._ended = False
        self._bells: deque[float] = deque(maxlen=MANY)
        self._mask = _Mask()

    def look(self, stopping: Callable[[], bool]) -> int:
        """Claim and carry out runs until none waits and all have ended; if somebody does that already, have them look.

        Once `stopping` says so none is claimed any more. Returns how many runs were carried out, whatever came of each.
        """
        with self._changed:
            self._rung = True
            self._bells.append(time.monotonic())
            self._changed.notify()
            if self._looks:
                return 0
            self._looks = True
        taken = 0
        with app_trips.kept(), operator_trips.kept():
            while self._wait():
                taken += self._take(stopping())
        return taken

    def _wait(self) -> bool:
        """Wait until there is a reason to look; False, and nobody looks from then on, where there will be none."""
        with self._changed:
            if self._mask.on:
                self._changed.wait_for(lambda: self._rung, LOOK_SECONDS)
                return True
            self._changed.wait_for(lambda: self._rung or self._ended or not self._busy)
            if self._busy and not self._rung:
                self._changed.wait_for(lambda: self._rung, TOGETHER_SECONDS)
            self._looks = self._rung or self._ended
            return self._looks

    def _take(self, stopping: bool) -> int:
        """Claim runs for all free slots and begin them. Returns how many."""
        with self._changed:
            self._rung = self._ended = False
            free = self._number - self._busy
            often = len(self._bells) == MANY and time.monotonic() - self._bells[0] < WITHIN_SECONDS
        claims: list[Claim] = []
        if free and not stopping:
            try:
                claims = claim_many(free)
            except Error as error:
                log.warning("runs.not_claimed", error=type(error).__name__)
        with self._changed:
            self._busy += len(claims)
        for claim in claims:
            self._threads.submit(self._carry_out, claim)
        if self._mask.turn(found=bool(claims), often=often, able=not stopping and free > len(claims)):
            with self._changed:
                self._rung = True  # what was taken in before the mask fell rang no bell
        return len(claims)

    def _carry_out(self, claim: Claim) -> None:
        try:
            carry_out(claim)
        except Exception:  # of this run alone: its lease is dropped, and the reaper takes it back
            log.exception("run.broken", run=str(claim.run_id), tenant=str(claim.tenant_id))
        finally:
            let_go()
            with self._changed:
                self._busy -= 1
                self._ended = True
                self._changed.notify()


class _Mask:
    """Whether bells are masked, which is said in Valkey for as long as it is said again."""

    def __init__(self) -> None:
        self.on = False
        self._found = self._said = 0.0

    def turn(self, *, found: bool, often: bool, able: bool) -> bool:
        """After a look: put it on where bells come too often, off where little is found or no more can be claimed.

        Returns whether it was taken off.
        """
        now = time.monotonic()
        if found:
            self._found = now
        before, self.on = self.on, able and (now - self._found < QUIET_SECONDS if self.on else found and often)
        if self.on and (not before or now - self._said > MASK_SECONDS):
            self._said = now
            mask_bells()
        if before and not self.on:
            unmask_bells()
        return before and not self.on
