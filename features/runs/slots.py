"""The slots of a worker's process: one claim is for as many runs as there are free ones, and threads carry them out."""

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import Error

from .bells import HEAR_SECONDS, Ear, ring
from .dispatch import Claim, claim_many, let_go
from .execute import carry_out
from .trips import app_trips, operator_trips

log = structlog.get_logger(__name__)

TOGETHER_SECONDS = 0.02  # slots that get free within it are filled by one claim where more runs wait than could begin


class Slots:
    """So many runs at once, each on a thread. One thread at a time takes runs for them."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._threads = ThreadPoolExecutor(number, "run")
        self._changed = threading.Condition()
        self._busy = self._ended = 0
        self._more = False  # whether the last claim left runs behind that could start

    @property
    def busy(self) -> int:
        """How many are at work."""
        return self._busy

    def take(self) -> int:
        """Claim runs for all free slots and begin them. Returns how many; none where the database is away."""
        taken, ended = 0, -1
        while self._ended != ended and (free := self._number - self._busy):
            ended = self._ended
            claims = self._claim(free)
            taken += len(claims)
            with self._changed:
                self._busy += len(claims)
            for claim in claims:
                self._threads.submit(self._carry_out, claim)
            if not self._more:  # else what ended before that was known has rung for nobody
                break
        return taken

    def _claim(self, most: int) -> list[Claim]:
        try:
            claims, self._more = claim_many(most)
        except Error as error:
            log.warning("runs.not_claimed", error=type(error).__name__)
            return []
        return claims

    def wait_for_free(self, seconds: float) -> int:
        """Wait, for at most so long, until there is a free slot. Returns how many there are."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self._number, seconds)
            if self._busy and self._more:
                self._changed.wait_for(lambda: not self._busy, TOGETHER_SECONDS)
            return self._number - self._busy

    def wait_for_all(self, seconds: float | None = None) -> bool:
        """Wait, for at most so long, until all are free. Returns whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def _carry_out(self, claim: Claim) -> None:
        try:
            carry_out(claim)
        except Exception:  # of this run alone: its lease is dropped, and the reaper takes it back
            log.exception("run.broken", run=str(claim.run_id), tenant=str(claim.tenant_id))
        finally:
            let_go()
            with self._changed:
                self._busy -= 1
                self._ended += 1
                self._changed.notify_all()
            if self._more:  # for this slot or, where the tenant had its share, for one of another worker
                ring()


class Porter:
    """The thread of a worker that answers bells: it has runs taken for the slots that are free, until it is stopped."""

    def __init__(self, slots: Slots) -> None:
        self._slots, self._ear = slots, Ear()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="porter", daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether no more runs are taken."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin to answer bells."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more runs; those begun go on."""
        self._stopping.set()

    def leave(self, seconds: float | None) -> bool:
        """Stop, and wait, for at most so long, until all runs begun have ended. Returns whether they have."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join()
        return self._slots.wait_for_all(seconds)

    def _serve(self) -> None:
        while not self.stopping:
            try:
                if self._hears():
                    with app_trips.kept(), operator_trips.kept():
                        self._work()
            except Exception:  # whatever it was: a worker that answers no bell looks alive and is not
                log.exception("porter.broken")
                self._stopping.wait(HEAR_SECONDS)
        self._ear.close()

    def _work(self) -> None:
        """Take runs at each bell, until for a while none is heard and nobody is at work."""
        rung = True
        while (rung or self._slots.busy) and not self.stopping:
            if rung:
                self._slots.take()
            rung = self._hears()

    def _hears(self) -> bool:
        free = self._slots.wait_for_free(HEAR_SECONDS)
        return free > 0 and self._ear.hear(free)
