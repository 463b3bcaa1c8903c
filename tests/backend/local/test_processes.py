"""Whose process is whose, and who ends them when we cannot."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend.local.processes import Guard, Register, end, identity
from tests.backend.local.standin import wait_for

WAITS = [sys.executable, "-c", "import signal; signal.pause()"]
STUBBORN = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"]


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(WAITS, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_process_keeps_its_identity_and_loses_it_when_it_ends(waiting: subprocess.Popen[bytes]) -> None:
    assert identity(waiting.pid) == identity(waiting.pid) is not None
    assert identity(waiting.pid) != identity(os.getpid())
    waiting.kill()
    wait_for(lambda: identity(waiting.pid) is None, "its end, though nobody has waited for it yet")


def test_leftovers_of_a_killed_predecessor_are_known_and_ended(
    waiting: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    Register(tmp_path / "ours.json").add("web", waiting.pid)
    end(Register(tmp_path / "ours.json").leftovers())
    assert waiting.wait(30) == -signal.SIGTERM


def test_another_process_with_the_same_number_is_not_ours(waiting: subprocess.Popen[bytes], tmp_path: Path) -> None:
    register = Register(tmp_path / "ours.json")
    register.add("web", waiting.pid)
    [ours] = register.leftovers()
    end([replace(ours, identity="somebody else's start time")])
    assert waiting.poll() is None


def test_who_ignores_the_request_is_ended_by_force(tmp_path: Path) -> None:
    with subprocess.Popen(STUBBORN, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        register = Register(tmp_path / "ours.json")
        register.add("web", process.pid)
        end(register.leftovers(), patience=0.2)
        assert process.wait(30) == -signal.SIGKILL


def test_the_guard_ends_what_is_listed_when_its_pipe_closes(waiting: subprocess.Popen[bytes], tmp_path: Path) -> None:
    register = Register(tmp_path / "run" / "ours.json")
    guard = Guard(register.path, remove=tmp_path / "run")
    register.add("web", waiting.pid)
    guard.dismiss()  # for the guard no different from our death: the pipe is closed
    assert waiting.wait(30) == -signal.SIGTERM
    assert not (tmp_path / "run").exists()


def test_the_guard_leaves_alone_what_was_stopped_in_good_order(
    waiting: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    register = Register(tmp_path / "ours.json")
    guard = Guard(register.path)
    register.add("web", waiting.pid)
    register.remove(waiting.pid)
    guard.dismiss()
    assert waiting.poll() is None
