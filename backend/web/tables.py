"""Tables to take away, as CSV (RFC 4180) that no spreadsheet runs anything of."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import chain

from django.http import HttpResponse

FORMULAE = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell's first character for


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows below their head as CSV; a text that would be read as a formula gets an apostrophe before it."""
    return "".join(csv_lines(head, rows))


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the same a row at a time; without a head the rows alone, to go on with a table that was begun."""
    for row in chain([head] if head else [], rows):
        out = StringIO()
        csv.writer(out).writerow([_harmless(value) for value in row])
        yield out.getvalue()


def csv_answer(name: str, text: str) -> HttpResponse:
    """Answer a table as a file to keep."""
    named = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "private, no-store"}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=named)


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAE) else value
