"""What differed is read as words for short texts and as lines for long ones, and nothing is lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from backend.web.comparing import WORDS_UNDER, pieces


def side(found, gone):
    return "".join(piece.text for piece in found if piece.kind != gone)


def test_a_changed_word_is_one_removal_and_one_addition():
    found = [(piece.kind, piece.text) for piece in pieces("Write warm answers.", "Write formal answers.")]
    assert found == [("same", "Write "), ("removed", "warm"), ("added", "formal"), ("same", " answers.")]


def test_a_word_between_two_changes_does_not_cut_them_up():
    found = pieces("Start with the mood and priority.", "Start with amounts and references.")
    assert [piece.kind for piece in found] == ["same", "removed", "added"]


def test_a_field_that_was_not_there_is_all_added():
    assert [(piece.kind, piece.text) for piece in pieces(None, "fast-1")] == [("added", "fast-1")]


def test_long_texts_are_read_line_by_line_with_what_is_far_away_left_out():
    before = "\n".join(f"line {number}" for number in range(100))
    found = pieces(before, before.replace("line 50", "line fifty"))
    changed = [(piece.kind, piece.text) for piece in found if piece.kind != "same"]
    assert changed == [("removed", "line 50"), ("added", "line fifty")]
    assert len(found) < 10


def test_values_that_are_no_text_are_compared_as_people_write_them():
    assert [piece.text for piece in pieces(True, False)] == ["Yes", "No"]


short = st.text(max_size=WORDS_UNDER - 1)


@given(short, short)
def test_either_side_can_be_read_back_from_the_pieces(before, after):
    found = pieces(before, after)
    assert side(found, "added") == before
    assert side(found, "removed") == after
