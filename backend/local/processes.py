"""Knows which processes are ours, so that exactly those are stopped: by process id *and* start time, never by name."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.local.paths import ROOT, write_private


def identity(pid: int) -> str | None:
    """What tells a live process from a later one with the same number: its start time. None when it has ended."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            # The command's name may hold spaces and parentheses; what follows the last one is the third field on.
            fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else f"{boot} {fields[19]}"
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.split()
    return None if not shown or shown[0].startswith("Z") else " ".join(shown[1:])


@dataclass(frozen=True, slots=True)
class Owned:
    """A process that we started as the leader of its own group, and the signal that stops it in good order."""

    name: str
    pid: int
    identity: str
    stop_signal: int = signal.SIGTERM

    def lives(self) -> bool:
        return identity(self.pid) == self.identity

    def signal_group(self, number: int) -> None:
        """Signals the process and what it started; does nothing when the process is not the one we mean."""
        if self.lives():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Register:
    """The list of our running processes in a file, so that a killed supervisor's can be ended by somebody else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owned: dict[int, Owned] = {}

    def add(self, name: str, pid: int, stop_signal: int = signal.SIGTERM) -> None:
        """Note a process right after it was started."""
        if found := identity(pid):
            self._owned[pid] = Owned(name, pid, found, stop_signal)
            self._write()

    def remove(self, pid: int) -> None:
        if self._owned.pop(pid, None):
            self._write()

    def _write(self) -> None:
        write_private(self.path, json.dumps([asdict(owned) for owned in self._owned.values()]))

    def leftovers(self) -> list[Owned]:
        """What the file lists and still runs: ours from before, if nobody stopped them."""
        if not self.path.exists():
            return []
        return [owned for row in json.loads(self.path.read_text()) if (owned := Owned(**row)).lives()]


def end(processes: Iterable[Owned], *, patience: float = 10) -> None:
    """Stop processes that are not our children: last started first, all at once, by force after `patience` seconds."""
    waiting = list(processes)[::-1]
    for owned in waiting:
        owned.signal_group(owned.stop_signal)
    deadline = time.monotonic() + patience
    while (waiting := [owned for owned in waiting if owned.lives()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for owned in waiting:
        owned.signal_group(signal.SIGKILL)


class Guard:
    """A small process that outlives us if we are killed outright, and then ends what our register lists.

    It waits for the end of a pipe whose other end we hold: the kernel closes it however we die. (prctl's
    PDEATHSIG is Linux only, follows a thread and is lost when the child changes its user.)
    """

    def __init__(self, register: Path, *, remove: Path | None = None) -> None:
        command = [sys.executable, "-m", "backend.local.guard", str(register), *([str(remove)] if remove else [])]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def dismiss(self) -> None:
        """Everything is stopped: nothing is left to guard."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
