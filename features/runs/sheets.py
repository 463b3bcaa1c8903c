"""Read the items of a batch out of a CSV sheet: a first line that names fields of the input, then a row for each item.

RFC 4180 in UTF-8, with or without a byte order mark; cells are parted by commas, semicolons or tabs, as spreadsheets
save them. The input's schema says how a cell is read: numbers and yes-or-no as such, lists and objects as JSON, all
else as the text that it is. An empty cell is a field left out. A column `key`, where the input has no field of that
name, is the caller's own name for the item. What does not fit is said of its line and column.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from features.engine import Json, check_json, dumps, loads, pointer
from tenants.errors import AppError, Invalid, Malformed, Problem

from .items import LONGEST_ITEM, LONGEST_KEY, Body, Item

MARKS = (",", ";", "\t")
KEY = "key"
TRUTHS: Mapping[str, bool] = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
LONGEST_SHOWN = 40  # characters of a cell that a message repeats

Schema = Mapping[str, Any]


def columns_of(contract: Json) -> dict[str, Schema]:
    """The columns that a sheet for an input schema may have: its fields by name, and `key`."""
    root = _mapping(contract)
    found = {name: _followed(part, root) for name, part in _mapping(root.get("properties")).items()}
    return {**found, **({} if KEY in found else {KEY: {"type": "string"}})}


def read_sheet(body: Body, contract: Json) -> Iterator[Item]:
    """Yield a sheet's items in their order, with no more than one of them in memory.

    Raises Invalid for a first line that does not name the columns, Malformed where it is no CSV from some line on, and
    what `Body` raises.
    """
    lines = _Lines(body)
    columns, mark = _header(lines, contract)
    has_key = KEY not in _mapping(_mapping(contract).get("properties"))
    place = 0
    for line, cells in _rows(lines, mark):
        if not any(cells):  # what spreadsheets leave below a table
            continue
        yield _item(place, line, cells, columns, has_key)
        place += 1


class _Lines:
    """The lines of a body as text. `begin` marks where a row begins, for what is said of it and for its length."""

    def __init__(self, body: Body) -> None:
        self._body, self._size, self.number, self.start = body, 0, 0, 1

    def begin(self) -> None:
        self._size, self.start = 0, self.number + 1

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._body.readline(LONGEST_ITEM + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        if self._size > LONGEST_ITEM:
            raise Malformed(
                f"The row that begins on line {self.start} is longer than {LONGEST_ITEM} bytes. Is a quote in it never"
                " closed?"
            )
        try:
            text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise Malformed(
                f"Line {self.number} is not text in UTF-8. From a spreadsheet, save the sheet as CSV in UTF-8."
            )
        return text


def _rows(lines: _Lines, mark: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line on which each begins; a cell may go over several."""
    reader = csv.reader(lines, delimiter=mark, strict=True)
    while True:
        lines.begin()
        try:
            yield lines.start, next(reader)
        except StopIteration:
            return
        except csv.Error as wrong:  # whatever follows may be read as anything: it is not guessed
            raise Malformed(f"The row that begins on line {lines.start} cannot be read as CSV: {wrong}.") from wrong


def _header(lines: _Lines, contract: Json) -> tuple[dict[str, Schema], str]:
    """The columns in the order of the sheet, and what parts the cells: with which most of the first line is known."""
    known = columns_of(contract)
    titles = {str(part.get("title", name)).casefold(): name for name, part in known.items()} | {n: n for n in known}
    first = next((line for line in lines if line.strip()), "")
    split = {mark: [cell.strip() for cell in _cells(first, mark)] for mark in MARKS}
    mark = max(MARKS, key=lambda one: sum(_named(cell, titles) is not None for cell in split[one]))
    given = split[mark]
    while given and not given[-1]:
        given.pop()
    names = [_named(cell, titles) for cell in given]
    wrong = list(_wrong_columns(given, names, contract, known))
    if wrong:
        raise Invalid("The first line does not name the columns of this feature's input.", errors=wrong)
    return {cast(str, name): known[cast(str, name)] for name in names}, mark


def _cells(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return [line]


def _named(cell: str, titles: Mapping[str, str]) -> str | None:
    return titles.get(cell) or titles.get(cell.casefold())


def _wrong_columns(
    given: Sequence[str], names: Sequence[str | None], contract: Json, known: Mapping[str, Schema]
) -> Iterator[Problem]:
    there = ", ".join(known)
    if not any(names):
        yield Problem("", "columns", f"Begin with a line that names them. There are: {there}")
        return
    for number, (cell, name) in enumerate(zip(given, names, strict=True), 1):
        if name is None:
            yield Problem("", "columns", f"Column {number}, “{cell[:LONGEST_SHOWN]}”, is none of them: {there}")
        elif name in names[: number - 1]:
            yield Problem("", "columns", f"Column {number}, “{name}”, is there twice")
    for name in _mapping(contract).get("required", []):
        if name not in names:
            yield Problem("", "columns", f"There is no column “{name}”, which every item needs")


def _item(place: int, line: int, cells: Sequence[str], columns: Mapping[str, Schema], has_key: bool) -> Item:
    if any(cells[len(columns) :]) or len(cells) < len(columns):
        told = f"Line {line} has {len(cells)} cells where the first line has {len(columns)}."
        return Item(place, line=line, refusal=Invalid(told, errors=[Problem("", "cells", told)]))
    value: dict[str, Json] = {}
    key, wrong = "", list[Problem]()
    for (name, schema), text in zip(columns.items(), cells, strict=False):
        try:
            if has_key and name == KEY:
                key = _key(text)
            elif text:
                value[name] = _value(text, schema)
        except _Unfit as unfit:
            wrong.append(
                Problem(pointer(KEY) if has_key and name == KEY else pointer("input", name), "cell", str(unfit))
            )
    wrong = wrong or check_json(value, "/input")
    if wrong:
        return Item(place, key, refusal=Invalid(f"Line {line} does not fit the input.", errors=wrong), line=line)
    return Item(place, key, value, line=line)


class _Unfit(Exception):
    """What a cell must be."""


def _key(text: str) -> str:
    if len(text) > LONGEST_KEY or not text.isprintable():
        raise _Unfit(f"must be a text of at most {LONGEST_KEY} printable characters")
    return text


def _value(text: str, schema: Schema) -> Json:
    """A cell as the schema wants it. Raises _Unfit; what the schema forbids besides is the schema's to say."""
    given = schema.get("type")
    types = {given} if isinstance(given, str) else set(given or ()) - {"null"}
    if types == {"boolean"}:
        if (truth := TRUTHS.get(text.strip().casefold())) is None:
            raise _Unfit(f"must be true or false; “{text[:LONGEST_SHOWN]}” is neither")
        return truth
    if types and types <= {"integer", "number"}:
        number = _json(text)
        if isinstance(number, bool) or not isinstance(number, int | float):
            like = "a whole number, such as 12" if types == {"integer"} else "a number, such as 12.5"
            raise _Unfit(f"must be {like}; “{text[:LONGEST_SHOWN]}” is none")
        return number
    if types and types <= {"object", "array"}:
        value = _json(text)
        if not isinstance(value, dict | list):
            raise _Unfit("must be JSON: " + ('{"…": …}' if "object" in types else '["…", "…"]'))
        return value
    if not types and isinstance(schema.get("enum"), list):
        return next((one for one in schema["enum"] if one == text or dumps(one) == text), text)
    return text


def _json(text: str) -> Json:
    try:
        return loads(text.strip())
    except AppError:
        return None


def _followed(part: Any, root: Schema) -> Schema:
    """A field's schema, a reference to a definition followed."""
    schema, seen = _mapping(part), set[str]()
    while (name := str(schema.get("$ref", ""))).startswith("#/$defs/") and name not in seen:
        seen.add(name)
        found = _mapping(_mapping(root.get("$defs")).get(name.removeprefix("#/$defs/")))
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _mapping(value: Any) -> Schema:
    return value if isinstance(value, Mapping) else {}
