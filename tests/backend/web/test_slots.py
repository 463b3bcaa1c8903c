"""A template as people read it: what is filled in is a word, the rest stays as it is written, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.web.slots import slots

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
