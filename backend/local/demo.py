"""The stage that the story is played on: the cast, what is shown of their behavior, and what must hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from backend.local.client import Caller, Json
from backend.local.paths import VAR

END_USER: Final = "customer-42"
LONGEST_TEXT: Final = 240  # characters of one property that a table shows
AT_ONCE: Final = 4  # the demo model's slots


class StoryBroke(Exception):
    """Something that the story promises did not hold."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody for whom behavior is resolved, and who may look at it."""

    label: str
    tenant: str
    asks: Caller
    query: str = ""


class Stage:
    """The cast from var/demo.json, with tables and checks."""

    def __init__(self, base_url: str, console: Console) -> None:
        known = json.loads((VAR / "demo.json").read_text(encoding="utf-8"))
        self.console = console
        self.operator, self.ada, self.alice, self.bob, self.gus, self.mallory = (
            Caller(name, base_url, known[name]["key"]) for name in ("operator", "ada", "alice", "bob", "gus", "mallory")
        )
        self.acme_software, self.globex_software = (
            Caller(f"{tenant}'s software", base_url, known["service_keys"][tenant], END_USER)
            for tenant in ("acme", "globex")
        )
        self.subjects = (
            Subject("Acme itself", "acme", self.ada, "?as=tenant"),
            Subject("Ada", "acme", self.ada),
            Subject("Alice", "acme", self.alice),
            Subject("Bob", "acme", self.bob),
            Subject(f"{END_USER} of Acme", "acme", self.acme_software),
            Subject("Globex itself", "globex", self.gus, "?as=tenant"),
            Subject("Gus", "globex", self.gus),
            Subject("Mallory", "globex", self.mallory),
            Subject(f"{END_USER} of Globex", "globex", self.globex_software),
        )

    def step(self, number: int, title: str) -> None:
        self.console.rule(f"[bold]{number}. {title}", align="left", style="blue")

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def expect(self, promise: str, kept: bool) -> None:
        """Show a promise as kept. Raises StoryBroke when it is not."""
        if not kept:
            raise StoryBroke(f"It did not hold that {promise}.")
        self.say(f"  [green]✓[/] {promise}")

    def digests(self, feature: str) -> dict[str, str]:
        """By subject's label, what names their effective behavior exactly."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            bodies = pool.map(lambda who: who.asks.get(f"/features/{feature}/behavior{who.query}"), self.subjects)
            return {who.label: body["receipt"]["digest"] for who, body in zip(self.subjects, bodies, strict=True)}

    def labels(self, tenant: str) -> set[str]:
        return {who.label for who in self.subjects if who.tenant == tenant}

    def show_change(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """A row per subject: digest before, digest after, and whether it moved."""
        table = Table("subject", "digest before", "digest after", "")
        for label, old in before.items():
            moved = old != after[label]
            table.add_row(label, short(old), short(after[label]), "[yellow]changed[/]" if moved else "[dim]same[/]")
        self.console.print(table)

    def show_impact(self, rows: Iterable[Mapping[str, Json]]) -> None:
        """A row per override or pin that a move reaches: whose, what becomes of it, and because of which fields."""
        table = Table("organisation", "whose", "what becomes of it", "fields")
        for row in sorted(rows, key=lambda row: (row["tenant_name"], row["layer"], row["name"])):
            whose = "the organisation's own" if row["layer"] == "tenant" else row["name"]
            table.add_row(row["tenant_name"], whose, row["outcome"], ", ".join(row["fields"]))
        self.console.print(table)

    def expect_moved(self, before: Mapping[str, str], after: Mapping[str, str], expected: Iterable[str]) -> None:
        """Exactly these subjects have another digest than before."""
        moved, wanted = {label for label in before if before[label] != after[label]}, set(expected)
        others = "" if len(wanted) == len(before) else ", and for nobody else"
        self.expect(f"behavior changed for {in_words(wanted)}{others}", moved == wanted)

    def run_all(self, runs: Sequence[tuple[Caller, str, Json]]) -> list[Json]:
        """Run features, a few at a time, behind a progress bar; results in the order asked."""
        shown = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*shown, console=self.console, transient=True) as progress, ThreadPoolExecutor(AT_ONCE) as pool:
            bar = progress.add_task("the model answers", total=len(runs))

            def one(run: tuple[Caller, str, Json]) -> Json:
                caller, feature, question = run
                result = caller.run(feature, question)
                progress.advance(bar)
                return result

            return list(pool.map(one, runs))

    def expect_sound(self, asked: Sequence[tuple[Caller, str, Json]], results: Sequence[Json]) -> None:
        """Each run succeeded, its output satisfies its subject's schema, its receipt names its subject's behavior."""
        for (caller, feature, _), run in zip(asked, results, strict=True):
            if run["state"] != "succeeded":
                raise StoryBroke(f"{caller.name}'s run of {feature} {run['state']}: {run['error']}")
            behavior = caller.get(f"/features/{feature}/behavior")
            if not jsonschema_rs.is_valid(behavior["fields"]["output"], run["output"]):
                raise StoryBroke(f"{caller.name}'s output of {feature} breaks its schema: {run['output']}")
            if run["receipt"]["digest"] != behavior["receipt"]["digest"]:
                raise StoryBroke(f"{caller.name}'s receipt of {feature} names another behavior than theirs.")
        self.say(f"  [green]✓[/] all {len(results)} outputs satisfy their schemas")
        self.say("  [green]✓[/] every receipt names its subject's behavior")

    def show_runs(self, asked: Sequence[tuple[Caller, str, Json]], results: Sequence[Json]) -> None:
        """A row per run: who, what came out, and the receipt that says why."""
        table = Table("who", "feature", "output", "receipt", show_lines=True)
        for (caller, feature, _), run in zip(asked, results, strict=True):
            table.add_row(caller.name, feature, output_lines(run["output"]), receipt_lines(run["receipt"]))
        self.console.print(table)


def short(digest: str) -> str:
    return f"{digest[:14]}…"


def output_lines(output: Mapping[str, Json] | None) -> str:
    """An output as people read it. Brackets are escaped: what a model says is never markup."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (output or {}).items()}
    return "\n".join(f"{name}: {text[:LONGEST_TEXT]}" for name, text in texts.items()).replace("[", r"\[")


def receipt_lines(receipt: Mapping[str, Any]) -> str:
    layers = {"version": receipt["base"], "tenant's": receipt["tenant"], "own": receipt["user"]}
    said = ", ".join(f"{name} {number}" for name, number in layers.items() if number is not None)
    return f"{short(receipt['digest'])}\n{said}" + ("\n[blue]pinned[/]" if receipt["pin"] else "")


def in_words(labels: Iterable[str]) -> str:
    names = sorted(labels)
    if len(names) < 2:
        return "".join(names) or "nobody"
    return f"{', '.join(names[:-1])} and {names[-1]}"
