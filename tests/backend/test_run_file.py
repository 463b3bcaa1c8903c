"""A file through a feature, by the command that people call: every row is accounted for, and nothing is paid twice."""

import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from tests.cast import Cast
from tests.fakes.model import Answer, FakeModel, greeting
from tests.working import look


@pytest.fixture
def working(model: FakeModel) -> Iterator[None]:
    """Somebody who carries out what waits, as a worker does."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            look()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def results(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(file: Path, out: Path, **options: Any) -> None:
    call_command("run_file", "greet", str(file), email="alice@acme.example", out=out, **options)


def test_every_row_of_a_file_has_its_line_whatever_is_wrong_with_it(
    cast: Cast, model: FakeModel, working: None, tmp_path: Path, capsys: Any
) -> None:
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    file.write_bytes(b'who\nAnn\n""\ncaf\xe9\n' + b"x" * 5000 + b"\n=1+1\n")
    run(file, out, column="who")
    rows = results(out)
    assert [row["state"] for row in rows] == ["succeeded", "refused", "refused", "refused", "succeeded"]
    assert [row["error"] for row in rows[1:3]] == ["is empty", "is not UTF-8"]
    assert rows[4]["text"] == "'=1+1"
    assert "2 succeeded" in capsys.readouterr().err


def test_calling_it_again_runs_only_what_failed(cast: Cast, model: FakeModel, working: None, tmp_path: Path) -> None:
    file, out = tmp_path / "in.txt", tmp_path / "out.csv"
    file.write_text("Ann\nBea\nCem\n")
    model.script(greeting(), Answer(None, refusal="no"), greeting())
    run(file, out, window=1)
    assert [row["state"] for row in results(out)] == ["succeeded", "failed", "succeeded"]
    run(file, out, window=1)
    assert [row["state"] for row in results(out)] == ["succeeded"] * 3
    assert len(model.requests) == 4


def test_a_call_that_was_interrupted_finds_the_runs_it_had_paid_for(
    cast: Cast, model: FakeModel, working: None, tmp_path: Path
) -> None:
    file, out = tmp_path / "in.txt", tmp_path / "out.csv"
    file.write_text("Ann\nBea\n")
    run(file, out)
    out.unlink()
    run(file, out)
    assert [row["state"] for row in results(out)] == ["succeeded", "succeeded"]
    assert len(model.requests) == 2


def test_a_stranger_or_a_wrong_column_is_told_what_to_do(cast: Cast, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("who\nAnn\n")
    with pytest.raises(CommandError, match="no member"):
        call_command("run_file", "greet", str(file), email="x@y.example", out=tmp_path / "o.csv", column="who")
    with pytest.raises(CommandError, match="the file has: who"):
        run(file, tmp_path / "o.csv", column="text")
