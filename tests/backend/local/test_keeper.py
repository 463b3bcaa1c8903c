"""Parts that die are started again with growing pauses; stopping goes from the top down."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.local.keeper import Keeper, Part, how_it_ended
from backend.local.processes import Register
from tests.backend.local.standin import wait_for

WRITES_ITS_END = """
import signal, sys, time
def ended(*_):
    open(sys.argv[1], "a").write(sys.argv[2])
    sys.exit()
signal.signal(15, ended)
open(sys.argv[1] + sys.argv[2], "w").close()
signal.pause()
"""
DEAF = "import signal, sys; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w').close(); signal.pause()"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def keeper(tmp_path: Path, told: list[str]) -> Iterator[Keeper]:
    keeper = Keeper(Register(tmp_path / "ours.json"), told.append)
    yield keeper
    keeper.stop()


def part(name: str, code: str, *arguments: object, stage: int = 0) -> Part:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return Part(name, stage, lambda: subprocess.Popen(command, start_new_session=True))


def test_what_always_dies_is_tried_again_ever_more_slowly_and_reported(keeper: Keeper, told: list[str]) -> None:
    keeper.keep(part("broken", "raise SystemExit(3)"))
    wait_for(lambda: keeper.failing() == ["broken"], "a second death")
    assert told[0] == "broken ended (status 3); starting it again in 1 s"
    assert told[1] == "broken ended (status 3); starting it again in 2 s"


def test_a_part_that_cannot_even_be_started_again_is_tried_later(keeper: Keeper, told: list[str]) -> None:
    starts = [[sys.executable, "-c", ""], ["/no/such/program"], [sys.executable, "-c", "import signal; signal.pause()"]]
    lost = Part("lost", 0, lambda: subprocess.Popen(starts.pop(0), start_new_session=True))
    keeper.keep(lost)
    wait_for(lambda: not starts, "a third try")
    assert "lost does not start" in told[1]


def test_what_stands_on_others_is_stopped_before_them(keeper: Keeper, tmp_path: Path) -> None:
    end = tmp_path / "end"
    for stage, name in enumerate(["ground", "middle", "top"]):
        keeper.keep(part(name, WRITES_ITS_END, end, f" {name}", stage=stage))
    wait_for(lambda: all((tmp_path / f"end {name}").exists() for name in ("ground", "middle", "top")), "their start")
    keeper.stop()
    assert end.read_text() == " top middle ground"


def test_who_does_not_stop_in_time_is_killed(keeper: Keeper, tmp_path: Path) -> None:
    process = keeper.keep(part("stubborn", DEAF, tmp_path / "deaf"))
    wait_for((tmp_path / "deaf").exists, "its deafness")
    keeper.stop(patience=0.2)
    assert how_it_ended(process) == "killed by SIGKILL"
