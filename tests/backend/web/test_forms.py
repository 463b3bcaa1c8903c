"""The run form: what people type is read back as the JSON input, and every problem stands beside its field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.web.forms import blank_form, read_form
from tenants.errors import Problem

SCHEMA = {
    "type": "object",
    "required": ["message", "channel"],
    "properties": {
        "message": {"type": "string", "title": "Customer message", "maxLength": 6000},
        "name": {"type": "string", "maxLength": 80},
        "channel": {"enum": ["email", "chat"]},
        "formal": {"type": "boolean"},
        "words": {"type": "integer"},
        "rate": {"type": "number"},
        "facts": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
        "tags": {"type": "array", "items": {"enum": ["vip", "late"]}},
        "address": {"type": "object", "required": ["street"], "properties": {"street": {"type": "string"}}},
        "orders": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["number"],
                "properties": {"number": {"type": "string", "maxLength": 20}, "amount": {"type": "number"}},
            },
        },
        "extra": {"type": "object"},
        "note": {"type": ["string", "null"], "maxLength": 40},
    },
}
TYPED = {"in/message": ["Where is my card?"], "in/channel": ['"email"']}


def control(form, pointer):
    def walk(controls):
        for one in controls:
            if one.pointer == pointer:
                return one
            if found := walk((*one.parts, *one.rows)):
                return found
        return None

    return walk(form.controls)


@pytest.mark.parametrize(
    ("pointer", "widget"),
    [
        ("/message", "text"),
        ("/name", "line"),
        ("/channel", "segments"),
        ("/formal", "flag"),
        ("/words", "number"),
        ("/facts", "lines"),
        ("/tags", "many"),
        ("/address", "group"),
        ("/orders", "rows"),
        ("/extra", "json"),
        ("/note", "line"),
    ],
)
def test_each_part_gets_the_control_that_suits_it(pointer, widget):
    assert control(blank_form(SCHEMA), pointer).widget == widget


def test_many_choices_become_a_list_instead_of_segments():
    schema = {"properties": {"language": {"enum": ["en", "de", "fr", "es", "it"]}}}
    assert blank_form(schema).controls[0].widget == "select"


def test_labels_come_from_titles_and_else_from_names():
    form = blank_form({"properties": {"message": {"title": "Customer message"}, "follow_up": {"type": "string"}}})
    assert [one.label for one in form.controls] == ["Customer message", "Follow up"]


def test_what_is_left_blank_and_optional_is_left_out():
    form = read_form(
        SCHEMA, {**TYPED, "in/name": [" "], "in/facts": ["", " "], "in/address/street": [""], "in/extra": [""]}
    )
    assert form.problems == ()
    assert form.value == {"message": "Where is my card?", "channel": "email", "formal": False}


def test_what_is_blank_and_required_is_named_beside_its_field():
    form = read_form(SCHEMA, {"in/message": [""]})
    assert control(form, "/message").problems == ("Fill this in.",)
    assert control(form, "/channel").problems == ("Choose one.",)


def test_everything_typed_comes_back_as_json():
    form = read_form(
        SCHEMA,
        {
            **TYPED,
            "in/formal": ["true"],
            "in/words": ["120"],
            "in/rate": ["0.5"],
            "in/facts": ["booked twice", "", "refunded"],
            "in/tags": ['"late"'],
            "in/address/street": ["Main Street 1"],
            "in/orders": ["0", "n1", "n2"],
            "in/orders/0/number": ["A-1"],
            "in/orders/n1/number": [""],
            "in/orders/n2/number": ["A-2"],
            "in/orders/n2/amount": ["12.50"],
            "in/extra": ['{"a": [1, null]}'],
        },
    )
    assert form.problems == ()
    assert form.value == {
        "message": "Where is my card?",
        "channel": "email",
        "formal": True,
        "words": 120,
        "rate": 0.5,
        "facts": ["booked twice", "refunded"],
        "tags": ["late"],
        "address": {"street": "Main Street 1"},
        "orders": [{"number": "A-1"}, {"number": "A-2", "amount": 12.5}],
        "extra": {"a": [1, None]},
    }


def test_a_form_is_filled_from_its_schemas_own_defaults():
    form = blank_form({"properties": {"channel": {"enum": ["email", "chat"], "default": "chat"}}})
    assert [option.chosen for option in form.controls[0].options] == [False, True]


@pytest.mark.parametrize(("text", "name", "message"), [
    ("many", "words", "Write a whole number."),
    ("1.5", "words", "Write a whole number."),
    ("a lot", "rate", "Write a number."),
    ("Infinity", "rate", "Write a number."),
])  # fmt: skip
def test_what_is_no_number_is_refused_and_kept_in_the_field(text, name, message):
    form = read_form(SCHEMA, {**TYPED, f"in/{name}": [text]})
    found = control(form, f"/{name}")
    assert (found.problems, found.text) == ((message,), text)
    assert name not in form.value


def test_broken_json_is_named_with_the_place_where_it_breaks():
    form = read_form(SCHEMA, {**TYPED, "in/extra": ["{nope"]})
    assert control(form, "/extra").problems[0].startswith("This is not JSON: ")


def test_a_choice_that_was_not_offered_counts_as_none():
    form = read_form(SCHEMA, {**TYPED, "in/channel": ['"pigeon"']})
    assert control(form, "/channel").problems == ("Choose one.",)


def test_line_ends_of_browsers_are_not_part_of_the_input():
    form = read_form(SCHEMA, {**TYPED, "in/message": ["one\r\ntwo"]})
    assert form.value["message"] == "one\ntwo"


def test_an_optional_group_that_is_begun_must_be_complete():
    schema = {
        "properties": {
            "address": {
                "type": "object",
                "required": ["street"],
                "properties": {"street": {"type": "string"}, "zip": {"type": "string"}},
            }
        }
    }
    form = read_form(schema, {"in/address/zip": ["1234"]})
    assert control(form, "/address/street").problems == ("Fill this in.",)


def test_problems_that_the_engine_finds_stand_beside_their_fields():
    form = read_form(SCHEMA, {**TYPED, "in/facts": ["a", "b"], "in/orders": ["n7"], "in/orders/n7/number": ["A"]})
    marked = form.with_problems([
        Problem("/input/message", "maxLength", "At most 3 characters."),
        Problem("/input/facts/1", "minLength", "At least 2 characters."),
        Problem("/input/orders/0/number", "pattern", "A letter, a dash, digits."),
        Problem("/input", "additionalProperties", "There is no property colour."),
    ])  # fmt: skip
    assert control(marked, "/message").problems == ("At most 3 characters.",)
    assert control(marked, "/facts").problems == ("At least 2 characters.",)
    assert control(marked, "/orders/0/number").problems == ("A letter, a dash, digits.",)
    assert marked.general == ("There is no property colour.",)


def test_references_to_definitions_are_followed():
    schema = {"$defs": {"tone": {"enum": ["warm", "formal"]}}, "properties": {"tone": {"$ref": "#/$defs/tone"}}}
    assert read_form(schema, {"in/tone": ['"warm"']}).value == {"tone": "warm"}


def test_names_with_slashes_and_tildes_keep_apart():
    schema = {
        "properties": {"a/b": {"type": "string"}, "a": {"type": "object", "properties": {"b": {"type": "string"}}}}
    }
    form = read_form(schema, {"in/a~1b": ["one"], "in/a/b": ["two"]})
    assert form.value == {"a/b": "one", "a": {"b": "two"}}


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
inputs = st.fixed_dictionaries(
    {"message": text, "channel": st.sampled_from(["email", "chat"]), "formal": st.booleans()},
    optional={
        "words": st.integers(-(2**53) + 1, 2**53 - 1),
        "rate": st.floats(allow_nan=False, allow_infinity=False),
        "facts": st.lists(text, min_size=1),
        "tags": st.sampled_from([["vip"], ["late"], ["vip", "late"]]),
        "address": st.fixed_dictionaries({"street": text}),
        "orders": st.lists(
            st.fixed_dictionaries({"number": text}, optional={"amount": st.integers(0, 99)}), min_size=1
        ),
        "extra": st.dictionaries(text, st.one_of(st.none(), st.integers(0, 9), text)),
    },
)


@given(inputs)
def test_an_old_input_in_the_form_is_sent_again_unchanged(value):
    again = read_form(SCHEMA, blank_form(SCHEMA, value).data)
    assert again.problems == ()
    assert json.loads(json.dumps(again.value)) == json.loads(json.dumps(value))


def test_a_definition_that_leads_back_to_itself_is_written_as_json():
    node = {
        "type": "object",
        "title": "Node",
        "properties": {"next": {"$ref": "#/$defs/node"}, "name": {"type": "string"}},
    }
    schema = {"properties": {"first": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
    value = {"first": {"name": "a", "next": {"name": "b"}}}
    form = blank_form(schema, value)
    assert (form.controls[0].widget, form.controls[0].label) == ("json", "Node")
    assert read_form(schema, form.data).value == value
