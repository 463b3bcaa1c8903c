"""An output is drawn by its schema, and whatever a model wrote stays text."""

from django.template.loader import render_to_string

from backend.web.rendering import coming_output, copy_text, field_summary, render_output, summary_line

SCHEMA = {
    "type": "object",
    "$defs": {
        "amount": {"type": "object", "properties": {"value": {"type": "number"}, "currency": {"type": "string"}}}
    },
    "properties": {
        "subject": {"type": "string", "title": "Subject line"},
        "body": {"type": "string"},
        "mood": {"enum": ["calm", "angry"]},
        "needs_a_colleague": {"type": "boolean"},
        "next_steps": {"type": "array", "items": {"type": "string"}},
        "amounts": {"type": "array", "items": {"$ref": "#/$defs/amount"}},
    },
}
OUTPUT = {
    "body": "Dear Marta,\n\nYou are right.",
    "subject": "Refund",
    "mood": "angry",
    "needs_a_colleague": False,
    "next_steps": ["Watch it", "Tell her"],
    "amounts": [{"value": 25, "currency": "EUR"}, {"value": 3}],
    "unforeseen": "extra",
}


def drawn(output, schema=SCHEMA):
    nodes = render_output(output, schema)
    return "".join(render_to_string("web/parts/node.html", {"node": node}) for node in nodes)


def test_parts_come_in_the_order_of_the_schema_with_undeclared_ones_last():
    labels = [node.label for node in render_output(OUTPUT, SCHEMA)]
    assert labels == ["Subject line", "Body", "Mood", "Needs a colleague", "Next steps", "Amounts", "Unforeseen"]


def test_each_type_is_drawn_as_what_it_is():
    kinds = {node.pointer: node.kind for node in render_output(OUTPUT, SCHEMA)}
    assert kinds["/mood"] == "choice"
    assert kinds["/needs_a_colleague"] == "flag"
    assert kinds["/next_steps"] == "list"
    assert kinds["/amounts"] == "table"


def test_text_is_cut_into_paragraphs_and_answers_are_in_words():
    nodes = {node.pointer: node for node in render_output(OUTPUT, SCHEMA)}
    assert nodes["/body"].paragraphs == ["Dear Marta,", "You are right."]
    assert nodes["/needs_a_colleague"].text == "No"


def test_a_list_of_objects_is_a_table_with_a_column_for_every_property():
    table = next(node for node in render_output(OUTPUT, SCHEMA) if node.kind == "table")
    assert table.columns == ("Value", "Currency")
    assert [[cell.kind for cell in row.parts] for row in table.parts] == [["number", "text"], ["number", "empty"]]


def test_markup_that_a_model_wrote_is_shown_and_never_run():
    wicked = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    page = drawn({"subject": wicked, "mood": wicked, "next_steps": [wicked], "amounts": [{wicked: wicked}]})
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_places_of_a_coming_output_match_those_of_the_finished_one():
    coming = [(node.pointer, node.label) for node in coming_output(SCHEMA)]
    finished = [(node.pointer, node.label) for node in render_output(OUTPUT, SCHEMA)]
    assert coming == finished[:-1]


def test_a_run_is_called_by_its_first_text_on_one_short_line():
    assert summary_line({"n": 3, "message": "Where is\n my card?"}) == "Where is my card?"
    assert len(summary_line({"message": "word " * 100})) <= 90


def test_a_copied_output_reads_as_plain_text():
    assert copy_text(render_output({"summary": "Only this."}, {})) == "Only this."
    assert "Mood: angry" in copy_text(render_output(OUTPUT, SCHEMA))
    assert "Next steps\n- Watch it\n- Tell her" in copy_text(render_output(OUTPUT, SCHEMA))


def test_structured_fields_are_told_in_one_line():
    assert field_summary("output", SCHEMA).startswith("Subject line, Body, Mood")
    assert field_summary("examples.x", {"input": {"message": "Hi"}, "output": {"mood": "calm"}}) == "Hi → calm"


def test_an_output_that_is_no_object_is_still_shown():
    assert drawn("just text", {}).strip() == '<p class="b-paragraph">just text</p>'


def test_a_list_calls_an_input_by_the_text_that_says_most() -> None:
    assert summary_line({"customer_name": "Nora Winter", "message": "My kettle is late."}) == "My kettle is late."
    assert summary_line({"request": "Be brief", "fields": [{"value": "A very long value of a field"}]}) == "Be brief"
    assert summary_line({"parts": [{"text": "Inside"}]}) == "Inside"


def test_a_check_is_told_in_a_line() -> None:
    assert field_summary("checks.short", {"kind": "max_words", "at": "/s", "max": 70}) == "At most so many words: 70"
    assert field_summary("checks.kind", {"kind": "excludes", "at": "/b", "message": "never ask"}) == "never ask"
