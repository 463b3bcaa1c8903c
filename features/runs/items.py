"""Read the items of a batch out of a body of any length, one at a time: what is wrong with one is said of that one.

Two forms: a JSON list, and NDJSON, a JSON text on each line (https://github.com/ndjson/ndjson-spec). Each item is
{"input": …, "key": "…"}; the key is the caller's own, given back with the result. The third, a CSV sheet, is read by
runs/sheets.py.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

from features.engine import Json, check_json, loads, pointer
from tenants.errors import AppError, Invalid, Malformed, Problem, TooLarge

Form = Literal["list", "lines", "sheet"]
LONGEST_ITEM = 2 * 1024 * 1024  # bytes: what a request of one run may have
LONGEST_KEY = 255  # characters
PIECE = 64 * 1024
NAMES = ("input", "key")
BLANK = b" \t\r\n"
_MARK = re.compile(rb'["\\\[\]{},]')


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its place from 0, the caller's key for it, and its input or why there is none.

    `line` is the line of the body on which it begins, 0 in a list, whose items have no lines.
    """

    place: int
    key: str = ""
    input: Json = None
    refusal: AppError | None = None
    line: int = 0


class Body:
    """A body as it is read: counted, and digested. Raises TooLarge beyond `most` bytes."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._most, self._count = stream, most, 0
        self._sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        return self._seen(self._stream.read(size))

    def readline(self, size: int) -> bytes:
        return self._seen(self._stream.readline(size))

    def digest(self) -> str:
        """SHA-256 of the whole body, whose rest is read for it."""
        while self.read(PIECE):
            pass
        return self._sha256.hexdigest()

    def _seen(self, data: bytes) -> bytes:
        self._count += len(data)
        if self._count > self._most:
            raise TooLarge(f"A batch has at most {self._most} bytes. Send the rest as another one.")
        self._sha256.update(data)
        return data


def read_items(body: Body, form: Form) -> Iterator[Item]:
    """Yield the items of a list or of lines in their order, with no more than one of them in memory.

    Raises Malformed where a list is not one, and what `Body` raises.
    """
    texts = _lines(body) if form == "lines" else ((0, text) for text in _elements(body))
    for place, (line, text) in enumerate(texts):
        try:
            yield replace(_item(place, text), line=line)
        except AppError as refusal:
            yield Item(place, refusal=refusal, line=line)


def _item(place: int, text: bytes | None) -> Item:
    if text is None:
        raise TooLarge(f"An item has at most {LONGEST_ITEM} bytes.")
    value = loads(text)
    if not isinstance(value, dict):
        raise Invalid('An item is an object: {"input": …}.', errors=[Problem("", "type", "must be an object")])
    if unkept := check_json(value):
        raise Invalid("The item holds something that cannot be kept.", errors=unkept)
    key = value.get("key", "")
    wrong = [
        Problem(pointer(name), "unknown", f"is not known here; there is: {', '.join(NAMES)}")
        for name in value
        if name not in NAMES
    ]
    if "input" not in value:
        wrong.append(Problem("/input", "required", "is missing"))
    if not isinstance(key, str) or len(key) > LONGEST_KEY or not key.isprintable():
        key = ""
        wrong.append(Problem("/key", "type", f"must be a text of at most {LONGEST_KEY} printable characters"))
    if wrong:
        return Item(place, key, refusal=Invalid('An item is {"input": …} and may have a "key".', errors=wrong))
    return Item(place, key, value["input"])


def _lines(body: Body) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not blank, with their numbers; None for one that is too long."""
    number = 0
    while line := body.readline(LONGEST_ITEM + 1):
        number += 1
        if len(line) > LONGEST_ITEM and not line.endswith(b"\n"):
            while (rest := body.readline(PIECE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif stripped := line.strip(BLANK):
            yield number, stripped


def _elements(body: Body) -> Iterator[bytes | None]:
    """The texts between the commas of a list, whatever they are; None for one that is too long."""
    depth, quoted, escaped, closed, count = 0, False, False, False, 0
    text: bytearray | None = bytearray()
    while piece := body.read(PIECE):
        start = 0
        if closed:
            _nothing_more(piece)
            continue
        if depth == 0:  # up to the bracket that opens the list
            piece = piece.lstrip(BLANK)
            if not piece:
                continue
            if piece[:1] != b"[":
                raise Malformed('Send a JSON list of items: [{"input": …}, …], or one on each line as NDJSON.')
            depth, start = 1, 1
        if escaped:  # the character after a backslash that ended the piece before
            text, start, escaped = _add(text, piece[start : start + 1]), start + 1, False
        at = start
        while (mark := _MARK.search(piece, at)) is not None:
            at, sign = mark.end(), mark[0]
            if sign == b"\\":
                at += quoted
                escaped = at > len(piece)
            elif sign == b'"':
                quoted = not quoted
            elif not quoted and sign in b"[{":
                depth += 1
            elif not quoted and sign in b"]}":
                depth -= 1
                if depth == 0:
                    text = _add(text, piece[start : at - 1])
                    if count or text is None or text.strip(BLANK):
                        yield None if text is None else bytes(text).strip(BLANK)
                    _nothing_more(piece[at:])
                    closed = True
                    break
            elif not quoted and depth == 1:
                text = _add(text, piece[start : at - 1])
                yield None if text is None else bytes(text).strip(BLANK)
                text, start, count = bytearray(), at, count + 1
        else:
            text = _add(text, piece[start:])
    if not closed:
        raise Malformed("The list of items does not end: its last bracket is missing.")


def _add(text: bytearray | None, more: bytes) -> bytearray | None:
    """The text with more of it, and None from where it is too long for an item."""
    if text is None or len(text) + len(more) > LONGEST_ITEM:
        return None
    text += more
    return text


def _nothing_more(rest: bytes) -> None:
    if rest.strip(BLANK):
        raise Malformed("There is something after the list of items.")
