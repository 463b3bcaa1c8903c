"""A version as a form: every document comes back as it went in, and what the form cannot hold is drawn as YAML."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.web.examples import fits_forms
from backend.web.version_form import draw_version, read_version
from backend.web.version_parts import differing
from features.actions.written import comments_in, read_text, write_text
from features.engine import digest, flatten
from tenants.errors import Invalid, Problem
from tests.cast import GREET, GREET_RULES

CATALOG = sorted((Path(__file__).parents[3] / "features" / "catalog").glob("*.yaml"))
GREETING = {"feature": "greet", "title": "Greet", "behavior": GREET, "rules": GREET_RULES}


def back(document: dict[str, Any], **typed: Any) -> Any:
    """A document drawn, typed into, and read."""
    drawn = draw_version(document, ["standard"], new=False)
    assert drawn is not None
    data = {**drawn.form.data, **{f"in/{name}": [text] for name, text in typed.items()}}
    return read_version(document, data, ["standard"], new=False)


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(
    ["", " ", "no", "5", '"5"', "null", "2026-01-01", "a: b", "- x", "#", "two\nlines\n", "  indented", "ü", "{{ vars.a }}"]
)  # fmt: skip


def named(values: Any) -> Any:
    names = st.sampled_from(["a", "tone", "Bad name", "", "kind", "max", "input", "output"])
    return st.dictionaries(names, values, max_size=3)


ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | named(inner), max_leaves=4)
RULE = st.fixed_dictionaries(
    {},
    optional={
        "edit": st.sampled_from(["user", "locked", "any"]), "hidden": st.booleans(), "choices": st.lists(SCALARS, max_size=3),
        "min": SCALARS, "max_chars": SCALARS, "unknown": SCALARS,
    },
)  # fmt: skip
FIELDS = st.sampled_from(
    ["instructions.a", "instructions.tone", "vars.a", "vars.*", "examples.a", "checks.a", "prompt", "odd"]
)
DOCUMENTS = st.fixed_dictionaries(
    {"behavior": st.fixed_dictionaries(
        {"input": st.just(GREET["input"]) | ANYTHING, "output": st.just(GREET["output"]) | ANYTHING},
        optional={
            "instructions": named(SCALARS) | ANYTHING, "prompt": SCALARS, "vars": named(SCALARS) | ANYTHING,
            "examples": named(st.just(GREET["examples"]["first"]) | ANYTHING) | ANYTHING, "model": named(SCALARS) | ANYTHING,
            "checks": named(st.just(GREET["checks"]["short"]) | named(ANYTHING)) | ANYTHING, "limits": ANYTHING, "more": ANYTHING,
        },
    )},
    optional={
        "rules": st.dictionaries(FIELDS, RULE | ANYTHING, max_size=3), "titles": st.dictionaries(FIELDS, named(SCALARS), max_size=3),
        "samples": st.lists(st.just({"name": "Ann"}) | ANYTHING, max_size=2) | ANYTHING,
    },
)  # fmt: skip


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.stem)
def test_a_feature_of_the_catalog_comes_back_as_it_went_in_and_little_of_it_is_drawn_as_yaml(path):
    document = read_text(path.read_text())
    found = back(document)
    assert not differing(found.document, document) and found.own == ()
    assert digest(flatten(found.document["behavior"])) == digest(flatten(document["behavior"]))
    drawn = draw_version(document, ["standard"], new=False)
    assert [one.label for one in drawn.form.controls if one.schema.get("code")] == ["Input", "Output"]


@settings(deadline=None, max_examples=50)
@given(document=DOCUMENTS)
def test_whatever_somebody_wrote_is_there_after_the_form(document):
    try:
        document = read_text(write_text(document))
    except Invalid:
        return  # the editor of the text says so; there is no form of it
    # A text where only something else can stand is refused either way: as a text, or as what it says when it is read.
    refused = {part for part, value in document["behavior"].items() if isinstance(value, str)} | {"prompt"}
    assert differing(back(document).document, document) <= refused


def test_what_is_typed_into_the_form_is_in_the_document_and_all_else_as_it_was():
    found = back(
        GREETING, **{"vars/0/value": "warm", "instructions/1/more/edit": '"locked"', "limits/timeout_seconds": "20"}
    )
    assert differing(found.document, GREETING) == {"vars", "limits", "rules"}
    assert found.document["behavior"]["vars"] == {"tone": "warm", "language": "English"}
    assert found.document["behavior"]["limits"] == {"timeout_seconds": 20, "repairs": 1, "input_bytes": 2000}
    assert found.document["rules"] == {**GREET_RULES, "instructions.tone": {"edit": "locked"}}


def test_rows_are_added_moved_and_taken_out_by_their_order_in_the_form():
    data = dict(draw_version(GREETING, ["standard"], new=False).form.data)
    data["in/instructions"] = ["2", "n1", "0"]
    data |= {"in/instructions/n1/name": ["closing"], "in/instructions/n1/text": ["Say goodbye."]}
    found = read_version(GREETING, data, ["standard"], new=False)
    assert list(found.document["behavior"]["instructions"]) == ["safety", "closing", "role"]


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (Problem("/behavior/instructions/tone", "template", "…"), "in/instructions/1/text"),
        (Problem("/behavior/instructions/tone", "name", "…"), "in/instructions/1/name"),
        (Problem("/behavior/vars.language", "type", "…"), "in/vars/1/value"),
        (Problem("/behavior/examples/first/output/greeting/0", "type", "…"), "in/examples/0/output/greeting"),
        (Problem("/behavior/checks/short/max", "check", "…"), "in/checks/0/count"),
        (Problem("/behavior/model/temperature", "range", "…"), "in/model/temperature"),
        (Problem("/behavior/input/properties/name", "schema", "…"), "in/input"),
        (Problem("/rules/vars.tone/choices", "rule", "…"), "in/vars/0/more/choices"),
        (Problem("/rules/checks.*/edit", "rule", "…"), "in/rules/0/edit"),
        (Problem("/rules/checks.*/tighten", "rule", "…"), "in/rules/0/bounds/tighten"),
        (Problem("/titles/vars.tone", "title", "…"), "in/vars/0/more"),
        (Problem("/samples/0/name", "type", "…"), "in/samples/0/input/name"),
        (Problem("/behavior/checks/gone", "check", "…"), "in/checks"),
    ],
)
def test_what_publishing_finds_wrong_stands_beside_what_caused_it(problem, name):
    document = {
        **GREETING, "samples": [{"name": "Ann"}], "titles": {"vars.tone": {"label": "Tone"}},
        "rules": {**GREET_RULES, "checks.*": {"edit": "tenant", "tighten": True}},
    }  # fmt: skip
    found = back(document).with_problems([problem])
    wrong = {one.name for one in every(found.form.controls) if one.problems}
    assert found.name_at(problem) == name and wrong == {name}


def every(controls):
    for control in controls:
        yield control
        yield from every((*control.parts, *control.rows))


def test_a_name_that_is_given_twice_is_told_and_not_lost():
    found = back(GREETING, **{"vars/1/name": "tone"})
    assert [problem.message for problem in found.own] == ["vars.tone is given twice"]
    assert found.name_of(found.own[0]) == "in/vars/1/name"


def test_examples_are_forms_of_their_contract_with_the_same_names_of_definitions_in_both():
    person = {"type": "object", "properties": {"name": {"type": "string"}}}
    greeting = {"type": "object", "properties": {"text": {"type": "string"}, "again": {"$ref": "#/$defs/thing"}}}
    contract = {"type": "object", "properties": {"who": {"$ref": "#/$defs/thing"}}}
    example = {"input": {"who": {"name": "Eve"}}, "output": {"who": {"text": "Hello"}}}
    behavior = {
        **GREET, "input": {**contract, "$defs": {"thing": person}}, "output": {**contract, "$defs": {"thing": greeting}},
        "examples": {"first": example},
    }  # fmt: skip
    drawn = draw_version({"behavior": behavior}, ["standard"], new=False)
    pointers = {one.pointer: one.widget for one in every(drawn.form.controls)}
    assert pointers["/examples/0/input/who/name"] == "text"
    assert pointers["/examples/0/output/who"] == "json"  # which leads back to itself
    assert back({"behavior": behavior}).document["behavior"]["examples"] == {"first": example}


def test_a_version_of_too_many_parts_has_no_form():
    many = {f"v{n}": "x" for n in range(200)}
    assert draw_version({"behavior": {**GREET, "vars": many}}, ["standard"], new=False) is None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: b # c\nd: e", 1), ("# a\n# b\nc: d", 2), ("a: 'b # c'\nd: \"# e\"", 0), ("a: b#c", 0),
        ("a: |\n  # text\n  more\nb: c", 0), ("a: | # why\n  # text\nb: c", 1), ("a: |\n  text\n# after\nb: c", 1),
        ("a: [b, # c\n  d]", 1), ("", 0),
    ],
)  # fmt: skip
def test_lines_with_comments_are_counted_and_not_what_looks_like_one(text, lines):
    assert comments_in(text) == lines


@pytest.mark.parametrize("given", [{}, {"urgent": True}, {"urgent": False}], ids=["left out", "yes", "no"])
def test_an_example_that_leaves_an_optional_yes_or_no_out_is_drawn_as_a_form(given: dict[str, Any]) -> None:
    asked = {**GREET["input"], "properties": {**GREET["input"]["properties"], "urgent": {"type": "boolean"}}}
    example = {**GREET["examples"]["first"], "input": {**GREET["examples"]["first"]["input"], **given}}
    document = {**GREETING, "behavior": {**GREET, "input": asked, "examples": {"first": example}}}
    drawn = draw_version(document, ["standard"], new=False)
    assert drawn is not None
    assert [one.widget for one in drawn.form.controls if one.name == "in/examples"] == ["rows"]
    assert not differing(back(document).document, document)
    assert fits_forms({"input": asked, "output": GREET["output"]}, example)
