"""What differs between two contracts is told in lines, unless the lines do not say it."""

from typing import Any

from backend.web.differing import difference_pieces
from features.engine import Change

BODY: dict[str, Any] = {"type": "string", "title": "Reply", "maxLength": 480}


def contract(*, needed: list[str], **parts: Any) -> dict[str, Any]:
    return {"type": "object", "properties": parts, "required": needed, "additionalProperties": False}


def told(before: Any, after: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in difference_pieces(Change("output", "changed", before, after, None), {}):
        found[piece.kind] = found.get(piece.kind, "") + piece.text
    return found


def test_a_new_part_of_an_output_is_a_line() -> None:
    before = contract(needed=["body"], body=BODY)
    after = contract(needed=["body"], body=BODY, subject={"type": "string", "maxLength": 80})
    found = told(before, after)
    assert "Subject: text, at most 80, optional" in found["added"] and "properties" not in str(found)


def test_what_the_lines_do_not_say_is_shown_as_it_is_written() -> None:
    before = contract(needed=["body"], body=BODY)
    after = contract(needed=["body"], body=BODY | {"pattern": "^Dear"})
    assert "^Dear" in told(before, after)["added"]
