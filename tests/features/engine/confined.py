"""What something takes: done in a child process whose time on the processor and memory are measured, and bounded."""

import json
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass

from tenants.errors import Invalid

SECONDS, MEGABYTES = 1.0, 64.0  # what reliability.md, L2 and L5, allow a hostile template or schema
STOPPED = 10  # seconds of processor time after which the kernel ends it
TRIES = 3


@dataclass(frozen=True)
class Took:
    """Whether it was refused or done, processor seconds, and by how many megabytes the process grew at most."""

    outcome: str
    seconds: float
    megabytes: float

    @property
    def harmless(self) -> bool:
        return self.outcome in ("refused", "done") and self.seconds <= SECONDS and self.megabytes <= MEGABYTES


def confined(work: Callable[[], object], *, before: Callable[[], object] = lambda: None) -> Took:
    """Do some work in a fork of this process. `before` is done there first, and not measured.

    What takes longer than it may is done again, each time in a fork of its own, and the quickest counts: a processor
    that others share only adds to the time that work takes (as the documentation of timeit has it).
    """
    took = _forked(work, before)
    for _ in range(TRIES - 1):
        if took.seconds > SECONDS:
            took = min(took, _forked(work, before), key=lambda one: one.seconds)
    return took


def _forked(work: Callable[[], object], before: Callable[[], object]) -> Took:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (STOPPED, STOPPED))
        try:
            before()
            os.write(writing, json.dumps(_measured(work)).encode())
        finally:
            os._exit(0)  # nothing of pytest's happens twice
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return Took(*json.loads(said)) if said else Took("killed", STOPPED, 0)


def _measured(work: Callable[[], object]) -> tuple[str, float, float]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        work()
        outcome = "done"
    except Invalid:
        outcome = "refused"
    except BaseException as error:  # noqa: BLE001
        outcome = repr(error)[:500]
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return outcome, seconds, (after.ru_maxrss - before.ru_maxrss) / 1024
