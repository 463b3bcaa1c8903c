"""Read rows out of other people's files: whatever is wrong with one is said of that one, and never stops the rest."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from features.engine import Json, loads
from tenants.errors import AppError

Kind = Literal["csv", "jsonl", "txt"]
LONGEST = 10_000_000  # characters in one field; beyond that the csv module gives up on the file
ALLOWED = "\t\n\r"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, numbered from 1: either what it says (a text, or a whole input) or why it cannot be read."""

    number: int
    value: Json = None
    problem: str = ""


class NoColumn(ValueError):
    """The file has no column of that name."""


def read_rows(file: BinaryIO, kind: Kind, column: str | None) -> Iterator[Row]:
    """Yield the rows of a CSV file's column, of JSON lines (their `column`, or the whole object), or of plain lines.

    Bytes that are not UTF-8 are the row's problem alone. Raises NoColumn when a CSV file has no such column.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    values = _csv(text, column) if kind == "csv" else _lines(text)
    for number, value in enumerate(values, start=1):
        if isinstance(value, csv.Error):
            yield Row(number, problem=f"cannot be read as CSV: {value}")
        elif kind == "jsonl" and not _unreadable(value):
            yield _of_json(number, value, column)
        else:
            yield Row(number, None if _unreadable(value) else value, _unreadable(value))


def _csv(text: io.TextIOWrapper, column: str | None) -> Iterator[Any]:
    csv.field_size_limit(LONGEST)
    reader = csv.DictReader(text)
    names = reader.fieldnames or []
    if column is None or column not in names:
        raise NoColumn(f"Say --column; the file has: {', '.join(names) or 'no header'}")
    while True:
        try:
            yield next(reader)[column] or ""
        except StopIteration:
            return
        except csv.Error as wrong:
            yield wrong


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in text)


def _of_json(number: int, line: str, column: str | None) -> Row:
    try:
        value = loads(line)
    except AppError as wrong:
        return Row(number, problem=wrong.detail)
    if column is None:
        return Row(number, value) if isinstance(value, dict) else Row(number, problem="is not a JSON object")
    if not isinstance(value, dict) or column not in value:
        return Row(number, problem=f"has no {column}")
    told = value[column]
    problem = _unreadable(told) if isinstance(told, str) else ""
    return Row(number, None if problem else told, problem)


def _unreadable(text: str) -> str:
    if not text.strip():
        return "is empty"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "is not UTF-8"
    if any(ord(character) < 32 and character not in ALLOWED for character in text):
        return "has control characters"
    return ""
