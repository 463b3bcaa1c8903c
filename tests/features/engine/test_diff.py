from hypothesis import given
from hypothesis import strategies as st

from features.engine import diff
from features.engine.diff import compare

from .samples import fields


def test_only_fields_that_differ_are_listed() -> None:
    before, after = fields(), fields(vars={"tone": "formal", "mood": None})
    assert [(c.field, c.kind, c.before, c.after) for c in diff(before, after)] == [
        ("vars.tone", "changed", "warm", "formal"),
        ("vars.mood", "added", None, None),
        ("vars.language", "removed", "en", None),
    ]
    assert diff(before, before) == []


def test_texts_are_compared_line_by_line_and_other_values_whole() -> None:
    [change] = diff({"prompt": "a\nb\nc"}, {"prompt": "a\nB\nc"})
    assert change.lines == [("same", "a"), ("removed", "b"), ("added", "B"), ("same", "c")]
    assert diff({"vars.a": "x\ny"}, {"vars.a": "x"})[0].lines is None


def test_an_added_section_is_all_added_lines() -> None:
    [change] = diff({}, {"instructions.a": "x\ny"})
    assert change.lines == [("added", "x"), ("added", "y")]


def test_another_order_of_properties_or_true_for_one_is_a_change() -> None:
    assert len(diff({"output": {"a": 1, "b": 2}}, {"output": {"b": 2, "a": 1}})) == 1
    assert len(diff({"vars.a": 1}, {"vars.a": True})) == 1
    assert diff({"vars.a": 1}, {"vars.a": 1.0}) == []


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_both_texts_can_be_read_back_out_of_a_comparison(old: list[str], new: list[str]) -> None:
    lines = compare("\n".join(old), "\n".join(new))
    assert [line for kind, line in lines if kind != "added"] == "\n".join(old).splitlines()
    assert [line for kind, line in lines if kind != "removed"] == "\n".join(new).splitlines()


def test_very_long_texts_are_shown_whole_instead_of_compared_for_minutes() -> None:
    old, new = "\n".join(map(str, range(5000))), "\n".join(map(str, range(5000, 0, -1)))
    assert {kind for kind, _ in compare(old, new)} == {"removed", "added"}
    assert compare(old, old + "\nx")[-1] == ("added", "x")
