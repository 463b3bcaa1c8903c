"""The leases of a process's runs: one thread renews them all in one statement, and learns of cancels and losses."""

import threading
import time
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, connections

from tenants.isolation import OPERATOR

from .dispatch import renew, say_present

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0  # how soon a cancel is noticed; leases are renewed at least each third of their time


@dataclass(slots=True)
class Lease:
    """One claim of this process. `stop` closes its stream at the next chunk; `lost` says that it is no longer ours."""

    token: UUID
    stop: bool = False
    lost: bool = False


class Leases:
    """What this process works on, and the thread that keeps it."""

    def __init__(self) -> None:
        self._held: dict[UUID, Lease] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._serves = False
        self._said = float("-inf")

    def hold(self, token: UUID) -> Lease:
        """Keep a claim alive until `drop`."""
        lease = Lease(token)
        with self._lock:
            self._held[token] = lease
            self._start()
        return lease

    def serve(self) -> None:
        """Say from now on, and regularly, that this process is there to be given runs."""
        with self._lock:
            self._serves = True
            self._start()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
            self._thread.start()

    def drop(self, lease: Lease) -> None:
        """Let a claim go that has ended."""
        with self._lock:
            self._held.pop(lease.token, None)

    def _keep(self) -> None:
        pause = min(LOOK_SECONDS, settings.LEASE_SECONDS / 3)
        while not self._wake.wait(pause):
            with self._lock:
                held = dict(self._held)
            if held:
                self._renew(held)
            if self._serves:
                self._say_present()

    def _say_present(self) -> None:
        if time.monotonic() - self._said < settings.LEASE_SECONDS / 3:
            return
        try:
            say_present()
            self._said = time.monotonic()
        except Error as error:
            log.warning("worker.not_present", error=type(error).__name__)
        finally:
            connections[OPERATOR].close()

    def _renew(self, held: dict[UUID, Lease]) -> None:
        try:
            ours = renew(list(held))
        except Error as error:
            log.warning("leases.not_renewed", error=type(error).__name__, runs=len(held))
            return
        finally:
            connections[OPERATOR].close()
        for token, lease in held.items():
            lease.lost = token not in ours
            lease.stop = lease.lost or ours[token]


leases = Leases()
