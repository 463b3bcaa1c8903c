"""Run a file through a feature: a row, a line or a JSON object at a time, with progress, and again where it stopped."""

import csv
import hashlib
import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from backend.actors import actor_of_login, memberships
from features.find import find_feature
from features.runs.canary import worker_answers
from features.runs.filing import Done, field_for_text, run_rows
from features.runs.rows import Kind, NoColumn, Row, read_rows
from tenants.actor import Actor
from tenants.errors import AppError
from tenants.models import User

KINDS: dict[str, Kind] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "txt"}
COLUMNS = ["row", "text", "state", "error", "run", "output", "digest"]
SHOWN = 20


class Command(BaseCommand):
    """Resumable: rows that the --out file has as succeeded are not run again."""

    help = "Run each row of a file (.csv, .jsonl, .txt by line, - for lines on standard input) through a feature."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("feature")
        parser.add_argument("file", help="a .csv, .jsonl or .txt file, or - for standard input")
        parser.add_argument("--column", help="the column of a CSV file, or the property of JSON lines")
        parser.add_argument("--field", help="the input that the text goes to; else the only required text")
        parser.add_argument("--as", dest="email", required=True, help="the member to run as, by e-mail address")
        parser.add_argument("--tenant", help="the organisation, by its slug, for a member of several")
        parser.add_argument("--out", type=Path, required=True, help="the CSV file to write, and to resume from")
        parser.add_argument("--limit", type=int, help="only the first so many rows")
        parser.add_argument("--window", type=int, default=8, help="rows in flight at a time")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._run(**{n: options[n] for n in ("feature", "file", "column", "field", "email", "tenant", "out",
                                                          "limit", "window")})  # fmt: skip
        except (AppError, NoColumn) as refused:
            raise CommandError(str(refused)) from refused
        except OSError as wrong:
            raise CommandError(f"{wrong.filename}: {wrong.strerror}") from wrong

    def _run(self, feature: str, file: str, column: str | None, field: str | None, email: str, tenant: str | None,
             out: Path, limit: int | None, window: int) -> None:  # fmt: skip
        by = _actor(email, tenant)
        found = find_feature(feature, by)
        field = field or field_for_text(found, by)
        console = Console(stderr=True)
        if not worker_answers():
            console.print("[yellow]No worker has answered lately: rows wait until one is there (`make serve`).")
        kept = _kept(out)
        total = None if file == "-" else min(limit or sys.maxsize, _count(Path(file), column))
        with _open(file) as source, _Out(out, kept) as written, _progress(console) as progress:
            task = progress.add_task(feature, total=total, failed=0)
            rows = _limited(read_rows(source, _kind(file), column), limit)
            failures: list[Done] = []
            todo = _todo(rows, kept, lambda: progress.advance(task))
            for done in run_rows(found, todo, field, window=window, by=by):
                written.add(done)
                if done.state != "succeeded":
                    failures.append(done)
                progress.update(task, advance=1, failed=len(failures))
            seen, seconds = progress.tasks[0].completed, progress.tasks[0].elapsed or 0.0
        _report(console, out, int(seen), len(kept), failures, seconds)


def _actor(email: str, tenant: str | None) -> Actor:
    user = User.objects.filter(email=email.lower()).first()
    mine = memberships(user) if user else []
    chosen = next((m for m in mine if tenant in (None, m.tenant.slug)), None)
    actor = actor_of_login(user, str(chosen.tenant_id)) if user and chosen else None
    if actor is None:
        raise CommandError(f"{email} is no member of {tenant or 'any organisation'}.")
    return actor


def _kind(file: str) -> Kind:
    kind = "txt" if file == "-" else KINDS.get(Path(file).suffix.lower())
    if kind is None:
        raise CommandError(f"What kind of file is {file}? Its name ends in one of {', '.join(KINDS)}.")
    return kind


def _open(file: str) -> BinaryIO:
    return cast(BinaryIO, sys.stdin.buffer if file == "-" else Path(file).open("rb"))


def _count(path: Path, column: str | None) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in read_rows(file, _kind(str(path)), column))


def _limited(rows: Iterator[Row], limit: int | None) -> Iterator[Row]:
    return rows if limit is None else (row for row in rows if row.number <= limit)


def _todo(rows: Iterator[Row], kept: dict[int, dict[str, str]], skipped: Any) -> Iterator[Row]:
    for row in rows:
        if row.number in kept and kept[row.number]["digest"] == _digest(row):
            skipped()
        else:
            kept.pop(row.number, None)
            yield row


def _kept(out: Path) -> dict[int, dict[str, str]]:
    """The rows that an earlier call has finished well."""
    if not out.exists():
        return {}
    with out.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != COLUMNS:
            raise CommandError(f"{out} is not a file that run_file wrote: name another, or move it away.")
        return {int(row["row"]): row for row in reader if row["state"] == "succeeded" and row["digest"]}


class _Out:
    """The file of results: written row by row as they end, and put in the file's order at the end."""

    def __init__(self, path: Path, kept: dict[int, dict[str, str]]) -> None:
        self.path, self.kept, self.rows = path, kept, list[dict[str, str]]()

    def __enter__(self) -> "_Out":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write(self.kept.values())
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._write(sorted([*self.kept.values(), *self.rows], key=lambda row: int(row["row"])))

    def add(self, done: Done) -> None:
        """Write one row's end down at once: what was paid for is never lost."""
        value = done.row.value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value is not None else ""
        output = "" if done.output is None else json.dumps(done.output, ensure_ascii=False)
        row = dict(zip(COLUMNS, [str(done.row.number), _inert(text), done.state, _inert(done.error),
                                 str(done.run or ""), output, _digest(done.row)], strict=True))  # fmt: skip
        self.rows.append(row)
        self._writer.writerow(row)
        self._file.flush()

    def _write(self, rows: Any) -> None:
        new = self.path.with_suffix(f"{self.path.suffix}.new")
        with new.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        new.replace(self.path)


def _digest(row: Row) -> str:
    return hashlib.sha256(json.dumps(row.value).encode()).hexdigest()[:16]


def _inert(text: str) -> str:
    """Keep a spreadsheet from taking text for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


class Rate(ProgressColumn):
    """Rows a second, lately."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f} rows/s" if task.speed else "")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[failed]} failed"), console=console,
    )  # fmt: skip


def _report(console: Console, out: Path, seen: int, kept: int, failures: list[Done], seconds: float) -> None:
    ran = max(0, seen - kept)
    rate = f", {ran / seconds:.2f} rows a second" if seconds and ran else ""
    console.print(
        f"{seen} rows: {seen - len(failures)} succeeded ({kept} of them before), {len(failures)} failed{rate}. {out}"
    )
    if failures:
        table = Table(
            "row", "what", "why", title="Failed" if len(failures) <= SHOWN else f"The first {SHOWN} that failed"
        )
        for done in sorted(failures, key=lambda item: item.row.number)[:SHOWN]:
            table.add_row(str(done.row.number), done.state, done.error)
        console.print(table)
        console.print("Call the same again to try these, and these alone, once more.")
