"""Keeps programs running: starts each, starts it again with growing pauses if it dies, and stops them all in order."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from backend.local.processes import Register

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
SETTLED: Final = 30.0  # a program that ran this long has earned a quick restart again


@dataclass(slots=True)
class Part:
    """One program: how to start it (in a session of its own) and how to ask it to stop.

    stage: parts of a higher stage stand on those of lower ones, and are stopped before them.
    """

    name: str
    stage: int
    launch: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE
    again_at: float | None = None
    deaths: int = 0


class Keeper:
    """Watches its parts from a thread of its own, so that whoever started them is free to do something else."""

    def __init__(self, register: Register, tell: Callable[[str], None]) -> None:
        self._register = register
        self._tell = tell
        self._parts: list[Part] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="keeper", daemon=True)
        self._watcher.start()

    def keep(self, part: Part) -> subprocess.Popen[bytes]:
        """Start a part and keep it running; returns its first process. Raises what its launch raises."""
        with self._lock:
            process = self._start(part)
            self._parts.append(part)
        return process

    def failing(self) -> list[str]:
        """The parts that have died more than once: they will hardly come up by themselves."""
        return [part.name for part in self._parts if part.deaths > 1]

    def _start(self, part: Part) -> subprocess.Popen[bytes]:
        part.process = process = part.launch()
        part.started, part.again_at = time.monotonic(), None
        self._register.add(part.name, process.pid, part.stop_signal)
        return process

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            with self._lock:
                for part in self._parts:
                    if not self._stopping.is_set():
                        self._look_after(part)

    def _look_after(self, part: Part) -> None:
        now = time.monotonic()
        if part.again_at is not None:
            if now >= part.again_at:
                self._start_again(part)
        elif part.process is not None and part.process.poll() is not None:
            self._register.remove(part.process.pid)
            part.deaths += 1
            part.pause = FIRST_PAUSE if now - part.started > SETTLED else min(part.pause * 2, LONGEST_PAUSE)
            part.again_at = now + part.pause
            self._tell(f"{part.name} ended ({how_it_ended(part.process)}); starting it again in {part.pause:g} s")

    def _start_again(self, part: Part) -> None:
        try:
            self._start(part)
        except (OSError, RuntimeError) as error:
            part.pause = min(part.pause * 2, LONGEST_PAUSE)
            part.again_at = time.monotonic() + part.pause
            self._tell(f"{part.name} does not start: {error}")

    def stop(self, patience: float = 10) -> None:
        """Stop everything, those that stand on others first; by force what takes longer than `patience` seconds."""
        self._stopping.set()
        with self._lock:
            for stage in sorted({part.stage for part in self._parts}, reverse=True):
                self._stop_stage([part for part in self._parts if part.stage == stage], patience)

    def _stop_stage(self, parts: list[Part], patience: float) -> None:
        running = [part.process for part in parts if part.process is not None and part.process.poll() is None]
        for part in parts:
            if part.process in running and part.process is not None:
                part.process.send_signal(part.stop_signal)
        deadline = time.monotonic() + patience
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for part in parts:
            if part.process is not None:
                self._register.remove(part.process.pid)


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """ "status 1" or "killed by SIGKILL"."""
    status = process.wait()
    if status >= 0:
        return f"status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
