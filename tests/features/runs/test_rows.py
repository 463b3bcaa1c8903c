"""Other people's files: each bad row is told by itself, and the others are read."""

import io

import pytest

from features.runs.rows import NoColumn, Row, read_rows


def read(data: bytes, kind: str, column: str | None = None) -> list[Row]:
    return list(read_rows(io.BytesIO(data), kind, column))  # type: ignore[arg-type]


def test_a_csv_files_column_is_read_with_its_quotes_and_line_breaks() -> None:
    rows = read(b'text,label\n"Hello, you",a\n"two\nlines",b\n', "csv", "text")
    assert [(row.number, row.value) for row in rows] == [(1, "Hello, you"), (2, "two\nlines")]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert read(b"\xef\xbb\xbftext\nHi\n", "csv", "text") == [Row(1, "Hi")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"caf\xe9", "is not UTF-8"),
        (b"a\x00b", "has control characters"),
        (b"\x1b[31mred", "has control characters"),
    ],
)
def test_a_bad_line_is_told_and_does_not_stop_the_rest(line: bytes, problem: str) -> None:
    rows = read(b"before\n" + line + b"\nafter\n", "txt")
    assert [row.value for row in rows] == ["before", None, "after"]
    assert rows[1].problem == problem


def test_json_lines_give_whole_inputs_or_one_property() -> None:
    lines = b'{"name": "Ann"}\n[1]\n{"name": "a", "name": "b"}\nnot json\n{"other": 1}\n'
    whole = read(lines, "jsonl")
    assert whole[0].value == {"name": "Ann"} and all(row.problem for row in whole[1:4])
    named = read(lines, "jsonl", "name")
    assert named[0].value == "Ann" and named[4].problem == "has no name"


def test_a_column_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(NoColumn, match="text, label"):
        read(b"text,label\n", "csv", "txt")


def test_a_row_with_fewer_fields_is_an_empty_one() -> None:
    assert read(b"a,text\n1\n2,Hi\n", "csv", "text") == [Row(1, None, "is empty"), Row(2, "Hi")]
