"""A batch of as many items as there may be, in a web process that keeps its size."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.runs.batches import MOST_ITEMS
from tests.processes import Stack

GROWS = 64 * 1024  # kB at most; the items are ten times that


def lines() -> Iterator[bytes]:
    for first in range(0, MOST_ITEMS, 1000):
        text = "x" * 150  # so that the whole is larger than what the process may grow
        yield b"".join(
            f'{{"input": {{"name": "{number} {text}"}}, "key": "k{number}"}}\n'.encode()
            for number in range(first, first + 1000)
        )


class Grown:
    """By how many kB a process grows at the most while something is done (Linux: proc(5), clear_refs)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def __enter__(self) -> "Grown":
        (self._folder / "clear_refs").write_text("5")
        self._before = self._read("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.kilobytes = self._read("VmHWM") - self._before

    def _read(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")
def test_a_hundred_thousand_items_are_taken_in_and_given_back_in_bounded_memory(stack: Stack) -> None:
    assert stack.knock("alice").run().status_code == 200 and stack.web.process is not None
    stack.worker.kill()  # they wait: how fast they are carried out is another matter
    alice = stack.knock("alice")
    alice.client.timeout = 600
    pid = stack.web.process.pid
    with Grown(pid) as taking:
        headers = {"Content-Type": "application/x-ndjson"}
        batch = alice.client.post("/features/greet/batches", content=lines(), headers=headers)
    assert batch.status_code == 202, batch.text
    assert batch.json()["counts"]["queued"] == MOST_ITEMS
    with Grown(pid) as giving, alice.client.stream("GET", f"/batches/{batch.json()['id']}/results") as results:
        keys = [line.partition('"key":')[2].split('"')[1] for line in results.iter_lines()]
    assert keys == [f"k{number}" for number in range(MOST_ITEMS)]
    assert taking.kilobytes < GROWS and giving.kilobytes < GROWS
    print(f"taking in {taking.kilobytes} kB, giving back {giving.kilobytes} kB")  # noqa: T201
    assert alice.post(f"/batches/{batch.json()['id']}/cancel").status_code == 200
