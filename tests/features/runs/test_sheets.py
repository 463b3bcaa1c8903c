"""Batches from CSV sheets: cells as the input's schema reads them, and what does not fit said of its line and column."""

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.runs.items import LONGEST_ITEM, Body, Item
from features.runs.sheets import columns_of, read_sheet
from tenants.errors import AppError, Invalid, Malformed, TooLarge

CONTRACT: dict[str, Any] = {
    "type": "object",
    "$defs": {"many": {"$ref": "#/$defs/whole"}, "whole": {"type": "integer"}},
    "properties": {
        "name": {"type": "string", "title": "Full name"},
        "age": {"type": ["integer", "null"]},
        "score": {"type": "number"},
        "vip": {"type": "boolean"},
        "tags": {"type": "array"},
        "size": {"enum": ["s", 2, None]},
        "count": {"$ref": "#/$defs/many"},
        "free": {},
    },
    "required": ["name"],
}


def read(text: str | bytes, contract: Any = CONTRACT, most: int = 10**9) -> list[Item]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_sheet(Body(io.BytesIO(data), most), contract))


def problems(error: AppError | None) -> list[tuple[str, str]]:
    assert error is not None
    return [(problem.pointer, problem.message) for problem in error.errors]


def test_cells_are_read_as_the_schema_says() -> None:
    [item] = read('name,age,score,vip,tags,size,count,free\nAnn,34,-1.5e1,TRUE,"[1, ""a""]",2,7,007\n')
    assert item.input == {
        "name": "Ann", "age": 34, "score": -15.0, "vip": True, "tags": [1, "a"], "size": 2, "count": 7, "free": "007",
    }  # fmt: skip
    assert (item.place, item.line, item.key, item.refusal) == (0, 2, "", None)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_sheets_as_spreadsheets_save_them(mark: str) -> None:
    rows = [["Full name", "age", "key"], ["Zoë; with, all", "1", "k 1"], ["Two\nlines", "", ""], ["", "", ""]]
    text = io.StringIO()
    csv.writer(text, delimiter=mark).writerows(rows)
    first, second = read(b"\xef\xbb\xbf" + text.getvalue().encode())
    assert (first.input, first.key, first.line) == ({"name": "Zoë; with, all", "age": 1}, "k 1", 2)
    assert (second.input, second.line) == ({"name": "Two\nlines"}, 3)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.integers(0, 99)),
                min_size=1, max_size=8), st.sampled_from(",;\t"))  # fmt: skip
def test_whatever_is_written_as_csv_is_read_back(rows: list[tuple[str, int]], mark: str) -> None:
    text = io.StringIO()
    written = csv.writer(text, delimiter=mark)
    written.writerows([("name", "age"), *rows])
    assert [item.input for item in read(text.getvalue())] == [{"name": name, "age": age} for name, age in rows]


@pytest.mark.parametrize(("column", "cell", "told"), [
    ("age", "1,5", "must be a whole number, such as 12; “1,5” is none"), ("score", "abc", "must be a number, such as 12.5; “abc” is none"),
    ("score", "NaN", "“NaN” is none"), ("age", "true", "“true” is none"), ("vip", "maybe", "must be true or false; “maybe” is neither"),
    ("tags", "a b", "must be JSON"), ("count", "many", "“many” is none"), ("age", "9" * 30, "2^53-1"),
])  # fmt: skip
def test_a_cell_that_does_not_fit_is_said_with_its_line_and_column(column: str, cell: str, told: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["name", column], ["Ann", ""], ["Bea", cell], ["Cid", ""]])
    found = read(text.getvalue())
    assert [item.refusal is None for item in found] == [True, False, True]
    [(pointer, message)] = problems(found[1].refusal)
    assert pointer == f"/input/{column}" and told in message
    assert found[1].line == 3 and "Line 3" in found[1].refusal.detail  # type: ignore[union-attr]


def test_rows_of_another_length_are_said_of_their_line() -> None:
    found = read("name,age\nAnn\nBea,1,2\nCid,3,,\n")
    assert [(item.line, item.refusal is None) for item in found] == [(2, False), (3, False), (4, True)]
    assert "Line 2 has 1 cells where the first line has 2" in problems(found[0].refusal)[0][1]


@pytest.mark.parametrize(("head", "told"), [
    ("", "Begin with a line that names them"), ("Ann,34", "Begin with a line that names them"),
    ("name,foo", "Column 2, “foo”, is none of them"), ("name,Full name", "Column 2, “name”, is there twice"),
    ("age,vip", "There is no column “name”, which every item needs"),
])  # fmt: skip
def test_a_first_line_that_does_not_name_the_columns_refuses_the_sheet(head: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(f"{head}\nx,1\n")
    assert told in " ".join(message for _, message in problems(refused.value))


@pytest.mark.parametrize(("text", "told"), [
    (b'name,age\nAnn,1\n"Bea,2\n', "The row that begins on line 3 cannot be read as CSV"),
    (b'name,age\nAnn,1\n"B"ea,2\n', "line 3"), (b"name,age\nZo\xeb,2\n", "Line 2 is not text in UTF-8"),
    (b"PK\x03\x04\0\0\0\0", "Line 1 is not text in UTF-8. From a spreadsheet, save the sheet as CSV in UTF-8."),
])  # fmt: skip
def test_what_is_no_csv_is_told_with_the_line(text: bytes, told: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(text)
    assert told in refused.value.detail


def test_a_field_called_key_is_a_field() -> None:
    contract = {"properties": {"key": {"type": "integer"}, "a/b": {"type": "number"}}}
    assert list(columns_of(contract)) == ["key", "a/b"]
    first, second = read("key,a/b\n7,1\n8,x\n", contract)
    assert (first.input, first.key) == ({"key": 7, "a/b": 1}, "")
    assert problems(second.refusal)[0][0] == "/input/a~1b"


def test_more_bytes_than_allowed_are_refused_while_they_are_read() -> None:
    with pytest.raises(TooLarge):
        read("name\n" + "Ann\n" * 100, most=200)


class Endless(io.RawIOBase):
    """A quote that is never closed, in a file that never ends."""

    def __init__(self) -> None:
        self.head = b'name,age\n"'

    def readline(self, size: int | None = -1, /) -> bytes:
        head, self.head = self.head, b""
        return head[:9] if head else b'a","b","\n'


def test_a_row_without_end_is_given_up_and_never_held_in_memory() -> None:
    tracemalloc.start()
    with pytest.raises(Malformed) as refused:
        list(read_sheet(Body(Endless(), 10**12), CONTRACT))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than" in refused.value.detail and peak < 32 * LONGEST_ITEM


def test_json_in_a_cell_is_what_the_engine_reads() -> None:
    [item] = read('name,tags\nAnn,"' + json.dumps({"a": 1}).replace('"', '""') + '"\n')
    assert item.input == {"name": "Ann", "tags": {"a": 1}}  # which the schema then refuses
