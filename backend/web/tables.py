"""Tables to take away, as CSV (RFC 4180) that no spreadsheet runs anything of."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from django.http import HttpResponse

FORMULAE = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell's first character for


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows below their head as CSV; a text that would be read as a formula gets an apostrophe before it."""
    out = StringIO()
    written = csv.writer(out)
    written.writerow(head)
    written.writerows([_harmless(value) for value in row] for row in rows)
    return out.getvalue()


def csv_answer(name: str, text: str) -> HttpResponse:
    """Answer a table as a file to keep."""
    named = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "private, no-store"}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=named)


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAE) else value
