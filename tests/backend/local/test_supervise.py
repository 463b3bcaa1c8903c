"""Starting and stopping everything on one machine, with a stand-in product."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.backend.local.standin import checkout, gone, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill"])
def test_asked_to_stop_it_ends_every_process_it_started(place: Path, number: int) -> None:
    with checkout(place) as ours:
        parts = ours.ready().parts
        assert ours.answers() == b"here"
        assert set(parts) == {"postgres", "valkey", "web", "worker", "beat"}
        assert ours.stop(number) == 0
        assert gone(parts)


def test_killed_outright_its_processes_end_and_the_next_start_finds_the_data(place: Path) -> None:
    with checkout(place) as ours:
        parts = ours.ready().parts
        ours.process.kill()
        ours.process.wait()
        wait_for(lambda: gone(parts), "the end of its processes")
    with checkout(place) as again:
        again.ready()
        assert json.loads((place / "var/demo.json").read_text())["starts"] == 2


def test_a_second_one_in_the_same_checkout_says_so_and_disturbs_nothing(place: Path) -> None:
    with checkout(place) as ours:
        ours.ready()
        (place / "said.txt").rename(place / "first.txt")
        with checkout(place) as second:
            assert second.process.wait(30) == 1
            assert "already running" in second.said.read_text()
        assert ours.answers() == b"here"


def test_two_checkouts_side_by_side_do_not_collide(place: Path) -> None:
    with checkout(place / "one") as one, checkout(place / "two") as two:
        assert one.ready().base_url != two.ready().base_url
        assert one.answers() == two.answers() == b"here"
        one.stop()
        assert two.answers() == b"here"


@pytest.mark.parametrize("name", ["web", "worker", "postgres", "valkey"])
def test_a_part_that_dies_comes_back_where_it_was(place: Path, name: str) -> None:
    with checkout(place) as ours:
        first = ours.ready().parts[name]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: ours.parts.get(name, first) != first, f"{name} again")
        assert ours.answers() == b"here"
        assert name in ours.said.read_text()


def test_a_wanted_port_that_is_taken_is_named(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with checkout(place, PORT=port) as ours:
            assert ours.process.wait(30) == 1
            assert f"Port {port} cannot be used" in ours.said.read_text()
