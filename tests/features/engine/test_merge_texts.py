import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import merge_texts
from features.engine.diff import MAX_LINES

texts = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8).map("\n".join)


@pytest.mark.parametrize(
    ("then", "now", "mine", "merged"),
    [
        ("one\ntwo\nthree", "ONE\ntwo\nthree", "one\ntwo\nTHREE", "ONE\ntwo\nTHREE"),
        ("one\ntwo\nthree", "one\ntwo", "ONE\ntwo\nthree", "ONE\ntwo"),
        ("one\ntwo", "zero\none\ntwo", "one\ntwo\nthree", "zero\none\ntwo\nthree"),
        ("one\ntwo\nthree", "ONE\ntwo\nthree\n", "ONE\ntwo\nthree", "ONE\ntwo\nthree\n"),
        ("a\nb\nc\nd", "a\nB\nc\nd", "a\nB\nc\nD", "a\nB\nc\nD"),
        ("one", "two", "three", None),
        ("one\ntwo", "ONE\ntwo", "one\nTWO", None),
        ("one\ntwo", "one\nnew\ntwo", "one\nmine\ntwo", None),
        ("", "theirs", "mine", None),
        (
            "one\r\ntwo\nx\nthree\r\n",
            "ONE\r\ntwo\nx\nthree\r\n",
            "one\r\ntwo\nx\nTHREE\r\n",
            "ONE\r\ntwo\nx\nTHREE\r\n",
        ),
    ],
)
def test_two_changes_become_one_text_unless_they_touch(then: str, now: str, mine: str, merged: str | None) -> None:
    assert merge_texts(then, now, mine) == merged


@given(texts, texts)
def test_what_only_one_side_changed_is_taken_as_it_is(then: str, changed: str) -> None:
    assert merge_texts(then, changed, then) == changed
    assert merge_texts(then, then, changed) == changed
    assert merge_texts(then, changed, changed) == changed


@given(texts, texts, texts)
def test_which_side_is_which_makes_no_difference(then: str, one: str, other: str) -> None:
    assert merge_texts(then, one, other) == merge_texts(then, other, one)


@given(st.data())
def test_changes_that_do_not_touch_are_never_lost(data: st.DataObject) -> None:
    lines = [f"line {n}" for n in range(data.draw(st.integers(3, 12)))]
    gap = data.draw(st.integers(1, len(lines) - 2))
    head = data.draw(st.integers(0, gap - 1))  # the line that one side changes: before the gap
    tail = data.draw(st.integers(gap + 1, len(lines) - 1))  # and after it the other's
    theirs = data.draw(st.lists(st.sampled_from(["x", "y"]), max_size=3))
    ours = data.draw(st.lists(st.sampled_from(["p", "q"]), max_size=3))
    now = [*lines[:head], *theirs, *lines[head + 1 :]]
    mine = [*lines[:tail], *ours, *lines[tail + 1 :]]
    both = [*lines[:head], *theirs, *lines[head + 1 : tail], *ours, *lines[tail + 1 :]]
    assert merge_texts("\n".join(lines), "\n".join(now), "\n".join(mine)) == "\n".join(both)


def test_texts_too_long_to_compare_are_left_to_people() -> None:
    long = "\n".join(map(str, range(MAX_LINES + 1)))
    assert merge_texts(long, f"{long}\nx", f"y\n{long}") is None
    assert merge_texts(long, f"{long}\nx", long) == f"{long}\nx"
    assert merge_texts(long, long, f"y\n{long}") == f"y\n{long}"
