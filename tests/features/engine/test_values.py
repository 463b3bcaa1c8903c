import pytest

from features.engine import check_json, dumps, loads, pointer, same
from tenants.errors import Malformed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": "\xff"}', "UTF-8 at byte 7"),
        ('{"a": 1, "a": 2}', '"a" comes twice'),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "too large"),
        ("[" + "9" * 301 + "]", "digits"),
        ("[" * 100_000, "Nested deeper"),
        ('{"a": }', "line 1, column 7"),
        ("", "line 1, column 1"),
        ("[1] x", "Extra data"),
    ],
)
def test_what_is_not_strictly_json_is_refused_and_says_where(text: str | bytes, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        loads(text)
    assert says in refused.value.detail


def test_order_and_umlauts_survive_being_written_and_read() -> None:
    text = '{"z":"Grüße","a":[1,2.5,true,null]}'
    assert dumps(loads(text)) == text
    assert loads(text.encode()) == loads(text)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"a": [0, 2**53]}, "/a/1"),
        ({"a": -(2**53)}, "/a"),
        ({"a": float("nan")}, "/a"),
        ({"a/b": {"c~d": "\ud800"}}, "/a~1b/c~0d"),
        ({"a": "x\x00"}, "/a"),
        ({"\x00": 1}, ""),
        ({"a": {"\ud800": "\ud800"}}, "/a"),
        ({1: "x"}, ""),
        ({"a": {1, 2}}, "/a"),
        (__import__("datetime").date(2026, 3, 3), ""),
    ],
)
def test_what_the_database_cannot_hold_is_named_with_its_place(value: object, at: str) -> None:
    problems = check_json(value)
    assert [problem.pointer for problem in problems] == [at]


def test_depth_and_number_of_problems_are_bounded() -> None:
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert [problem.pointer.count("/") for problem in check_json(deep)] == [64]
    assert len(check_json([2**60] * 1000)) == 50
    assert check_json({"a": [1, 2**53 - 1, "x", None, True, 0.5]}) == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("1", 1, False),
        (None, False, False),
        ([1, [True]], [1.0, [True]], True),
        ([1], [True], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({}, [], False),
    ],
)
def test_one_is_one_point_zero_but_never_true(one: object, other: object, alike: bool) -> None:
    assert same(one, other) is alike
    assert same(other, one) is alike


def test_pointers_escape_what_rfc_6901_escapes() -> None:
    assert pointer("set", "a/b~c", 0) == "/set/a~1b~0c/0"
    assert pointer() == ""
