from typing import Any

import pytest

from features.engine import Declared, check_check, run_check

OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "points": {"type": "array", "items": {"type": "object", "properties": {"quote": {"type": "string"}}}},
        "a/b": {"type": "string"},
    },
}
GIVEN = {"message": "My  parcel\nis LATE.", "more": ["It is a red box."]}


def failing(check: dict[str, Any], output: Any) -> str | None:
    problem = run_check("it", check, output, GIVEN)
    return problem and problem.message


@pytest.mark.parametrize(
    ("check", "output", "fails"),
    [
        ({"kind": "max_words", "at": "/summary", "max": 2}, {"summary": "one two"}, False),
        ({"kind": "max_words", "at": "/summary", "max": 2}, {"summary": "one two three"}, True),
        ({"kind": "max_words", "at": "", "max": 2}, {"summary": "a", "points": [{"quote": "a b c"}]}, True),
        ({"kind": "min_words", "at": "/summary", "min": 2}, {"summary": "one"}, True),
        ({"kind": "min_words", "at": "/summary", "min": 2}, {"summary": "one two"}, False),
        ({"kind": "min_words", "at": "/summary", "min": 2}, {}, False),
        ({"kind": "min_words", "at": "/summary", "min": 2}, {"summary": None}, False),
        ({"kind": "max_chars", "at": "/summary", "max": 3}, {"summary": "abcd"}, True),
        ({"kind": "max_chars", "at": "/summary", "max": 3}, {"summary": "äöü"}, False),
        ({"kind": "contains", "at": "/summary", "text": "Kind regards"}, {"summary": "… kind\n regards"}, False),
        ({"kind": "contains", "at": "/summary", "text": ["a", "z"]}, {"summary": "abc"}, True),
        ({"kind": "contains", "at": "/points", "text": "b"}, {"points": [{"quote": "a"}, {"quote": "b"}]}, False),
        ({"kind": "excludes", "at": "/summary", "text": ["refund", "free"]}, {"summary": "A full REFUND"}, True),
        ({"kind": "excludes", "at": "/summary", "text": "refund"}, {"summary": "no"}, False),
        ({"kind": "quoted", "at": "/points"}, {"points": [{"quote": "parcel is late."}]}, False),
        ({"kind": "quoted", "at": "/points"}, {"points": [{"quote": "my Parcel  is\nLate."}]}, False),
        ({"kind": "quoted", "at": "/points"}, {"points": [{"quote": "red box"}, {"quote": "blue box"}]}, True),
        ({"kind": "quoted", "at": "/points/1/quote"}, {"points": [{"quote": "blue"}, {"quote": "red"}]}, False),
        ({"kind": "shorter_than_input", "at": ""}, {"summary": "Late."}, False),
        ({"kind": "shorter_than_input", "at": "/summary"}, {"summary": "x" * 36}, True),
        ({"kind": "shorter_than_input", "at": "/summary"}, {"summary": "x" * 35}, True),
        ({"kind": "shorter_than_input", "at": "/summary"}, {"summary": "x" * 34}, False),
    ],
)
def test_checks_find_what_they_are_for(check: dict[str, Any], output: Any, fails: bool) -> None:
    assert check_check(check, Declared(OUTPUT), "") == []
    assert (failing(check, output) is not None) is fails


def test_a_failed_check_says_where_which_and_why_in_the_authors_words_if_there_are_any() -> None:
    check = {"kind": "max_words", "at": "/summary", "max": 1}
    problem = run_check("brief", check, {"summary": "too long"}, GIVEN)
    assert problem is not None
    assert (problem.pointer, problem.rule) == ("/summary", "checks.brief")
    assert problem.message == "has 2 words; at most 1 are allowed"
    assert failing(check | {"message": "Be brief."}, {"summary": "too long"}) == "Be brief."


@pytest.mark.parametrize(
    ("check", "at"),
    [
        ({"kind": "python", "at": ""}, "/kind"),
        ({"at": ""}, "/kind"),
        ([], "/kind"),
        ({"kind": "quoted"}, "/at"),
        ({"kind": "quoted", "at": "summary"}, "/at"),
        ({"kind": "quoted", "at": "/nothing"}, "/at"),
        ({"kind": "quoted", "at": "/summary/deeper"}, "/at"),
        ({"kind": "quoted", "at": "/points/x"}, "/at"),
        ({"kind": "quoted", "at": "", "max": 3}, "/max"),
        ({"kind": "max_words", "at": ""}, "/max"),
        ({"kind": "max_words", "at": "", "max": True}, "/max"),
        ({"kind": "max_words", "at": "", "max": -1}, "/max"),
        ({"kind": "max_words", "at": "", "max": 1, "message": 5}, "/message"),
        ({"kind": "contains", "at": "", "text": []}, "/text"),
        ({"kind": "contains", "at": "", "text": " "}, "/text"),
        ({"kind": "excludes", "at": "", "text": ["x"] * 101}, "/text"),
    ],
)
def test_a_check_that_could_not_run_is_refused_when_it_is_saved(check: Any, at: str) -> None:
    assert [problem.pointer for problem in check_check(check, Declared(OUTPUT), "/checks.it")] == [f"/checks.it{at}"]


def test_places_are_json_pointers() -> None:
    check = {"kind": "max_chars", "at": "/a~1b", "max": 1}
    assert check_check(check, Declared(OUTPUT), "") == []
    assert failing(check, {"a/b": "xx"}) is not None
    assert failing({"kind": "quoted", "at": "/points/99999999999"}, {"points": []}) is None
