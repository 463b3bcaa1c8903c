"""A template as people read it: what is filled in is a word, the rest stays as it is written, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.web.comparing import as_read, pieces
from backend.web.slots import shortened, slots

TITLES = {"vars.tone": {"label": "Tone"}}
CONTRACT = {"type": "object", "properties": {"message": {"type": "string", "title": "Customer message"}}}


@pytest.mark.parametrize(
    ("template", "read"),
    [
        ("Write in a {{ vars.tone }} tone.", "Write in a [Tone] tone."),
        ("{{ vars.max_lines }} lines for {{ tenant.name }}", "[Max lines] lines for [Organisation]"),
        ("{{ input.message | fence }}", "[Customer message]"),
        ("{% if vars.tone %}Mind it.{% else %}Be plain.{% endif %}", "[if there is: Tone]Mind it.[else]Be plain.[end]"),
        ("{% for fact in input.facts %}{{ fact | strip }}{% endfor %}", "[for each of: Facts][Fact][end]"),
        ('{% if input.message == "x" %}y{% endif %}', "[if …]y[end]"),
        ("No braces, { one } alone", "No braces, { one } alone"),
        ("", ""),
    ],
)
def test_a_template_reads_as_words(template: str, read: str) -> None:
    assert "".join(f"[{one.text}]" if one.source else one.text for one in slots(template, TITLES, CONTRACT)) == read


@given(st.text(alphabet="ab {}%|.\n"))
def test_nothing_of_a_template_is_lost(template: str) -> None:
    assert "".join(one.source or one.text for one in slots(template, {}, None)) == template


def test_what_is_filled_in_is_kept_whole_where_two_templates_differ() -> None:
    found = as_read(pieces("Write in a {{ vars.tone }} tone.", "Write in {{ vars.tone | up }}."), TITLES, CONTRACT)
    assert [one.text for piece in found for one in piece.slots if one.source] == ["Tone", "Tone"]
    assert [piece.text for piece in found if piece.kind == "added"] == ["{{ vars.tone | up }}."]


def test_words_that_touch_what_is_filled_in_are_words_of_their_own() -> None:
    found = pieces("{% if vars.name %}End with it.{% endif %}", "End with it.")
    assert [(one.kind, one.text) for one in found if one.kind == "same"] == [("same", "End with it.")]


@given(st.text(alphabet="ab {}%.\n"), st.integers(1, 20))
def test_a_text_is_shortened_in_whole_slots(template: str, most: int) -> None:
    read = slots(template, {}, None)
    kept = shortened(read, most)
    assert kept == tuple(read) or (kept[-1].text.endswith("…") and sum(len(one.text) for one in kept) <= most + 1)
