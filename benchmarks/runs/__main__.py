"""`make bench`: what a run costs, in CPU, in time added and in runs a second, beside the floor of the same machine.

CPU is user and system time of a process and its children by /proc, divided by what was answered meanwhile; PostgreSQL,
Valkey and the load itself are not in it. Added times are ours minus the upstream's own, asked directly at the same
rate in the same run. Wall times are noisy on a shared machine; ratios and CPU are what to compare.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.runs.load import Client, Heard, Request, as_many, at_rate
from benchmarks.runs.stage import Stage, everything

RESULTS = Path(__file__).parent.parent / "results.json"
FIRST_TEXT = b"event: delta"
TARGETS = {
    "cpu_uncached_us": 3000, "cpu_cached_us": 800, "added_100_p50_ms": 6, "added_100_p99_ms": 25, "added_first_ms": 8,
    "behavior_per_core_second": 1000,
}  # fmt: skip
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--slots", type=int, default=32, help="runs that the one worker process drives at once")
    parser.add_argument("--delay", type=float, default=20, help="milliseconds until the upstream's first word")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures are written as JSON")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="bespoke-bench-") as folder:
        console.print("Starting PostgreSQL, Valkey, web, worker, beat and an upstream …")
        with everything(Path(folder), slots=chosen.slots, milliseconds=chosen.delay) as stage:
            figures = asyncio.run(_Bench(stage, chosen.seconds, chosen.slots, console).all())
    machine = {
        "cores": os.cpu_count(), "processor": _processor(), "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(), "python": platform.python_version(),
    }  # fmt: skip
    options = {"seconds": chosen.seconds, "slots": chosen.slots, "delay_ms": chosen.delay}
    chosen.out.write_text(json.dumps({"machine": machine, "options": options, "figures": figures}, indent=2) + "\n")
    _print(console, figures)


class _Bench:
    def __init__(self, stage: Stage, seconds: float, slots: int, console: Console) -> None:
        self.stage, self.seconds, self.slots, self.console = stage, seconds, slots, console
        self.headers = {"Authorization": f"Bearer {stage.key}"}
        self.numbers = count()
        self.figures: Figures = {}

    async def all(self) -> Figures:
        """Take every measurement, one after the other."""
        await self._load("warming up", self.stage.web, self._fresh, min(self.seconds, 5), self.slots)
        await self._floor()
        await self._bare()
        await self._uncached()
        await self._cached()
        await self._behavior()
        await self._added()
        await self._first()
        return self.figures

    async def _floor(self) -> None:
        heard, used = await self._load("the floor: bare ASGI", self.stage.upstream, _floor, self.seconds, self.slots)
        self._note("floor_cpu_us", used["upstream"] / len(heard.whole) * 1e6)
        self._note("floor_per_second", heard.rate)

    async def _bare(self) -> None:
        heard, used = await self._load(
            "a run's round trips alone", self.stage.bare, self._fresh, self.seconds, self.slots
        )
        for name in ("web", "worker"):
            self._note(f"cpu_bare_{name}_us", used[f"bare_{name}"] / len(heard.whole) * 1e6)
        self._note("cpu_bare_us", (used["bare_web"] + used["bare_worker"]) / len(heard.whole) * 1e6)

    async def _uncached(self) -> None:
        heard, used = await self._load("runs, not cached", self.stage.web, self._fresh, self.seconds, self.slots)
        each = {name: seconds / len(heard.whole) * 1e6 for name, seconds in used.items()}
        self._note("cpu_uncached_web_us", each["web"])
        self._note("cpu_uncached_worker_us", each["worker"])
        self._note("cpu_uncached_us", each["web"] + each["worker"])
        self._note("postgresql_uncached_us", each["postgresql"])
        self._note("valkey_uncached_us", each["valkey"])
        self._note("uncached_per_second", heard.rate)

    async def _cached(self) -> None:
        await self._load("filling the cache", self.stage.web, self._same, 1, 1)
        heard, used = await self._load("runs, cached", self.stage.web, self._same, self.seconds, self.slots)
        self._note("cpu_cached_us", (used["web"] + used["worker"]) / len(heard.whole) * 1e6)
        self._note("postgresql_cached_us", used["postgresql"] / len(heard.whole) * 1e6)
        self._note("cached_per_second", heard.rate)

    async def _behavior(self) -> None:
        heard, used = await self._load("behavior", self.stage.web, self._asked_behavior, self.seconds, 8)
        self._note("cpu_behavior_us", used["web"] / len(heard.whole) * 1e6)
        self._note("behavior_per_core_second", len(heard.whole) / used["web"])
        self._note("behavior_p99_ms", heard.percentile(heard.whole, 0.99) * 1000)

    async def _added(self) -> None:
        for rate in (20, 100):
            direct = await self._rate(f"the upstream alone, {rate}/s", self.stage.upstream, _chat, rate)
            bare = await self._rate(f"round trips alone, {rate}/s", self.stage.bare, self._fresh, rate)
            ours = await self._rate(f"runs, {rate}/s", self.stage.web, self._fresh, rate)
            for whose, heard in (("_bare", bare), ("", ours)):
                for name, share in (("p50", 0.5), ("p99", 0.99)):
                    added = heard.percentile(heard.whole, share) - direct.percentile(direct.whole, share)
                    self._note(f"added{whose}_{rate}_{name}_ms", added * 1000)

    async def _first(self) -> None:
        direct = await self._rate("the upstream's first word", self.stage.upstream, _chat, 20, b"word0")
        ours = await self._rate("the first streamed word", self.stage.web, self._streamed, 20, FIRST_TEXT)
        self._note("added_first_ms", (ours.percentile(ours.first, 0.5) - direct.percentile(direct.first, 0.5)) * 1000)

    async def _load(
        self, told: str, url: str, make: Callable[[], Request], seconds: float, at_once: int
    ) -> tuple[Heard, Figures]:
        before, client = self.stage.cpu(), Client(url)
        heard = await as_many(client, make, seconds, at_once)
        client.close()
        after = self.stage.cpu()
        self._say(told, heard)
        return heard, {name: after[name] - before[name] for name in after}

    async def _rate(self, told: str, url: str, make: Callable[[], Request], rate: float, first: bytes = b"") -> Heard:
        client = Client(url, first)
        heard = await at_rate(client, make, self.seconds, rate)
        client.close()
        self._say(told, heard)
        return heard

    def _say(self, told: str, heard: Heard) -> None:
        self.console.print(f"  {told}: {len(heard.whole)} answers in {heard.seconds:.1f} s ({heard.rate:.0f}/s)")
        if set(heard.statuses) != {200}:
            raise SystemExit(f"{told}: not every answer was 200: {heard.statuses}")

    def _note(self, name: str, figure: float) -> None:
        self.figures[name] = round(figure, 2)

    def _run(self, name: str, **more: str) -> Request:
        body = json.dumps({"input": {"name": name}}).encode()
        headers = {**self.headers, "Content-Type": "application/json", "Prefer": "wait=30", **more}
        return Request("POST", "/api/v1/features/greet/runs", headers, body)

    def _fresh(self) -> Request:
        return self._run(f"Person {next(self.numbers)}")

    def _same(self) -> Request:
        return self._run("Always the same")

    def _streamed(self) -> Request:
        return self._run(f"Person {next(self.numbers)}", Accept="text/event-stream")

    def _asked_behavior(self) -> Request:
        return Request("GET", "/api/v1/features/greet/behavior", self.headers)


def _floor() -> Request:
    return Request("GET", "/", {})


def _chat() -> Request:
    body = {"model": "bench", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    return Request("POST", "/v1/chat/completions", {"Content-Type": "application/json"}, json.dumps(body).encode())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _print(console: Console, figures: Figures) -> None:
    table = Table("figure", "measured", "target")
    for name, figure in figures.items():
        target: Any = TARGETS.get(name, "")
        table.add_row(name, f"{figure:,.1f}", str(target))
    console.print(table)


if __name__ == "__main__":
    main()
