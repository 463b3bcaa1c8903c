"""What differs between two outputs."""

from typing import Any

import pytest

from features.runs.differences import MOST, differences

CASES: dict[str, tuple[Any, Any, list[tuple[str, str, Any, Any]]]] = {
    "the same": ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, []),
    "the order of properties": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    "a value": ({"a": 1}, {"a": 2}, [("/a", "changed", 1, 2)]),
    "true is not 1": ({"a": True}, {"a": 1}, [("/a", "changed", True, 1)]),
    "null is a value": ({"a": None}, {}, [("/a", "removed", None, None)]),
    "a property more": ({}, {"a/b": {"c": 1}}, [("/a~1b", "added", None, {"c": 1})]),
    "another type": ({"a": [1]}, {"a": {"0": 1}}, [("/a", "changed", [1], {"0": 1})]),
    "an item put in first": ({"a": [1, 2, 3]}, {"a": [0, 1, 2, 3]}, [("/a/0", "added", None, 0)]),
    "an item taken out": ({"a": [1, 2, 3]}, {"a": [1, 3]}, [("/a/1", "removed", 2, None)]),
    "inside an item": ({"a": [{"b": 1}, 2]}, {"a": [{"b": 3}, 2]}, [("/a/0/b", "changed", 1, 3)]),
    "one for two": ({"a": [1, 9]}, {"a": [2, 3, 9]}, [("/a/0", "changed", 1, 2), ("/a/1", "added", None, 3)]),
    "all of it": ("a", "b", [("", "changed", "a", "b")]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_value_that_differs_is_told_with_its_place(case: str) -> None:
    before, after, told = CASES[case]
    assert [(d.pointer, d.kind, d.before, d.after) for d in differences(before, after)] == told


def test_long_texts_are_told_line_by_line_and_short_ones_whole() -> None:
    [long] = differences({"t": "Hello\nBob"}, {"t": "Hello\nAnn"})
    assert long.lines == [("same", "Hello"), ("removed", "Bob"), ("added", "Ann")]
    [short] = differences({"t": "Bob"}, {"t": "Ann"})
    assert short.lines is None


def test_outputs_that_differ_everywhere_are_not_told_for_ever() -> None:
    many = {"a": list(range(3000))}
    assert len(differences(many, {"a": [-n for n in range(1, 3001)]})) == MOST
