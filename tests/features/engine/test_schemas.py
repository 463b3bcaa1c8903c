import socket
from typing import Any

import pytest

from features.engine import SUPPORTED, Declared, Validator, check_schema, with_nulls


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def chain(length: int, link: Any) -> dict[str, Any]:
    """A schema whose definitions each refer to the next, `link` says how."""
    defs: dict[str, Any] = {f"d{i}": link(f"#/$defs/d{i + 1}") for i in range(length)}
    return {"type": "object", "$ref": "#/$defs/d0", "$defs": defs | {f"d{length}": {"type": "object"}}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = an_object(a=schema)
    return schema


LINKED = {"$ref": "#/$defs/node"}
TREE = {
    "type": "object",
    "properties": {"root": LINKED},
    "$defs": {"node": an_object(value={"type": "string"}, next={"anyOf": [LINKED, {"type": "null"}]})},
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        an_object(a={"type": ["string", "null"], "format": "email", "description": "x", "default": "$ref"}),
        an_object(a={"enum": [{"$ref": "data, not a reference"}, {"whatever": 1}]}),
        an_object(**{"$ref": {"type": "string"}, "$id": True}),
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "minProperties": 1},
        TREE,
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        chain(90, lambda target: {"$ref": target}),
        chain(200, lambda target: an_object(a={"$ref": target}, b={"$ref": target})),
        {**an_object(meta={"$ref": "#"}), "additionalProperties": {"$ref": "#"}},
        an_object(a={"pattern": r"^\p{L}+-\d{2,4}$"}),
        an_object(**{f"p{i}": {"type": "string"} for i in range(1_900)}),
        nested(14),
    ],
)
def test_ordinary_schemas_are_accepted(schema: Any) -> None:
    assert check_schema(schema) == []
    Validator(schema)


HOSTILE: dict[str, tuple[Any, str]] = {
    "not an object": ([], "/type"),
    "true": (True, "/type"),
    "another root": ({"type": "array"}, "/type"),
    "two types": ({"type": ["object", "null"]}, "/type"),
    "remote": (an_object(a={"$ref": "https://example.com/schema"}), "/properties/a/$ref"),
    "file": (an_object(a={"$ref": "file:///etc/passwd"}), "/properties/a/$ref"),
    "relative": (an_object(a={"$ref": "other.json"}), "/properties/a/$ref"),
    "anchor": (an_object(a={"$ref": "#here"}), "/properties/a/$ref"),
    "into properties": (an_object(a={"$ref": "#/properties/b"}, b={}), "/properties/a/$ref"),
    "nowhere": (an_object(a={"$ref": "#/$defs/x"}), "/properties/a/$ref"),
    "into data": ({**an_object(a={"$ref": "#/$defs/x/enum/0"}), "$defs": {"x": {"enum": [{}]}}}, "/properties/a/$ref"),
    "base": ({"type": "object", "$id": "https://example.com/"}, "/$id"),
    "dynamic": (an_object(a={"$dynamicRef": "#x"}), "/properties/a/$dynamicRef"),
    "unknown word": (an_object(a={"tpye": "string"}), "/properties/a/tpye"),
    "other draft": ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
    "wrong type": (an_object(a={"type": "text"}), "/properties/a/type"),
    "wrong limit": (an_object(a={"maxLength": -1}), "/properties/a/maxLength"),
    "properties as list": ({"type": "object", "properties": []}, "/properties"),
    "schema as text": (an_object(a="string"), "/properties/a"),
    "look-ahead": (an_object(a={"pattern": "(?=a)b"}), "/properties/a/pattern"),
    "back reference": (an_object(a={"pattern": r"(a)\1"}), "/properties/a/pattern"),
    "huge repetition": (an_object(a={"pattern": "(a{1000}){1000}"}), "/properties/a/pattern"),
    "long pattern": (an_object(a={"pattern": "a" * 1_001}), "/properties/a/pattern"),
    "many patterns": (an_object(**{f"p{i}": {"pattern": f"{i}"} for i in range(51)}), ""),
    "broken pattern": (an_object(a={"pattern": "("}), "/properties/a/pattern"),
    "pattern of names": ({"type": "object", "patternProperties": {"(?!x)": {}}}, "/patternProperties/(?!x)"),
    "unknown format": (an_object(a={"format": "phone"}), "/properties/a/format"),
    "itself": ({"type": "object", "$ref": "#"}, ""),
    "in a circle": (
        {"type": "object", "allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
        "/$defs/a",
    ),
    "doubling": (chain(25, lambda target: {"allOf": [{"$ref": target}, {"$ref": target}]}), ""),
    "a long chain": (chain(300, lambda target: {"$ref": target}), ""),
    "many alternatives": (an_object(a={"anyOf": [{"minLength": i} for i in range(101)]}), ""),
    "recursion twice": (an_object(a={"allOf": [{"$ref": "#"}, {"$ref": "#"}]}), ""),
    "recursion in two branches": (
        {"type": "object", "anyOf": [an_object(a={"$ref": "#"}), an_object(a={"$ref": "#"})]},
        "",
    ),
    "recursion by name and by pattern": (
        {**an_object(a={"$ref": "#"}), "patternProperties": {".": {"$ref": "#"}}},
        "",
    ),
    "deep": (nested(20), ""),
    "deeper than JSON may be": (nested(400), "/properties/a" * 32),
    "wide": (an_object(**{f"p{i}": {} for i in range(2_100)}), ""),
    "large": (an_object(a={"description": "x" * 64_001}), ""),
    "not JSON": (an_object(a={"const": float("nan")}), "/properties/a/const"),
}


@pytest.mark.parametrize(("schema", "at"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_schemas_are_refused_at_their_place_and_without_a_connection(
    schema: Any, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    problems = check_schema(schema, "/input")
    assert f"/input{at}" in [problem.pointer for problem in problems]
    assert all(len(problem.message) < 500 for problem in problems)


def test_linear_patterns_answer_where_backtracking_would_take_for_ever() -> None:
    validator = Validator(an_object(a={"type": "string", "pattern": "^(a+)+$"}))
    assert len(validator.problems({"a": "a" * 50_000 + "!"})) == 1
    assert validator.problems({"a": "a" * 50_000}) == []


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_large_value_that_is_wrong_everywhere_is_refused_without_listing_it_all(keyword: str) -> None:
    alternatives = [{"type": "string", "minLength": n} for n in range(95)]
    schema = an_object(a={"type": "array", "items": {keyword: alternatives}})
    assert check_schema(schema) == []
    assert len(Validator(schema).problems({"a": [1] * 50_000})) >= 1


def test_recursion_goes_as_deep_as_json_may() -> None:
    value: Any = None
    for _ in range(60):
        value = {"value": "x", "next": value}
    assert Validator(TREE).problems({"root": value}) == []
    value["next"]["value"] = 1
    assert [p.pointer for p in Validator(TREE).problems({"root": value})] == ["/root/next/value"]


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "mood": {"enum": ["good", "bad", None, 3]},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "steps": {"multipleOf": 5},
        "mail": {"type": ["string", "null"], "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
        "home": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["street"]}]},
        "id": {"type": "string", "pattern": "^[a-z]+$"},
        "kind": {"const": "person"},
        "choice": {"oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]},
        "never": False,
    },
    "required": ["name", "mood"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "at", "message"),
    [
        ({"mood": "good"}, "/name", "is missing"),
        ({"nam": "x"}, "/nam", "is not known here"),
        ({"name": ""}, "/name", "must not be empty"),
        ({"name": "Alexandra"}, "/name", "must have at most 5 characters"),
        ({"name": 7}, "/name", "must be text"),
        ({"mood": "fine"}, "/mood", "must be one of: good, bad, null, 3"),
        ({"age": 1.5}, "/age", "must be a whole number"),
        ({"age": True}, "/age", "must be a whole number"),
        ({"age": -1}, "/age", "must be 0 or more"),
        ({"age": 150}, "/age", "must be less than 150"),
        ({"steps": 7}, "/steps", "must be a multiple of 5"),
        ({"mail": 1}, "/mail", "must be text or null"),
        ({"mail": "x"}, "/mail", "must be a valid email"),
        ({"tags": []}, "/tags", "must not be empty"),
        ({"tags": ["a", "b", "c"]}, "/tags", "must have at most 2 items"),
        ({"tags": ["a", "a"]}, "/tags", "must not hold the same item twice"),
        ({"tags": ["a", 1]}, "/tags/1", "must be text"),
        ({"home": {}}, "/home/street", "is missing"),
        ({"home": 1}, "/home", "fits none of the forms that are allowed here"),
        ({"id": "A"}, "/id", "must match the pattern ^[a-z]+$"),
        ({"kind": "dog"}, "/kind", "must be person"),
        ({"choice": 1}, "/choice", "fits more than one of the forms that are allowed here"),
        ({"choice": True}, "/choice", "fits none of the forms that are allowed here"),
        ({"never": 1}, "/never", "is not allowed here"),
        ([], "", "must be an object"),
    ],
)
def test_violations_are_told_in_plain_words_at_their_place(value: Any, at: str, message: str) -> None:
    found = {problem.pointer: problem.message for problem in Validator(PERSON).problems(value)}
    assert found.get(at) == message


def test_all_violations_are_told_at_once_but_not_without_end() -> None:
    problems = Validator(PERSON).problems({"age": "x", "tags": [1], "extra": 1}, "/input")
    assert {p.pointer for p in problems} == {
        *("/input/name", "/input/mood", "/input/age", "/input/tags/0", "/input/extra"),
    }
    assert len(Validator(an_object()).problems({}, "")) == 0
    many = Validator({"type": "object", "additionalProperties": {"type": "string"}})
    assert len(many.problems({str(i): i for i in range(500)})) == 50


def test_what_json_cannot_hold_is_a_violation_too() -> None:
    assert [p.rule for p in Validator(PERSON).problems({"name": "\ud800", "mood": "good"})] == ["json"]


def test_a_schema_in_use_cannot_be_changed_from_outside() -> None:
    schema = an_object(a={"type": "string"})
    validator = Validator(schema)
    schema["properties"]["a"]["type"] = "integer"
    assert validator.problems({"a": "x"}) == []


def test_every_supported_keyword_is_one_of_the_draft() -> None:
    assert {"properties", "$defs", "$ref", "enum", "unevaluatedProperties"} <= SUPPORTED.keys()
    assert not {"$id", "$anchor", "$dynamicRef", "$vocabulary", "definitions"} & SUPPORTED.keys()


def test_declared_names_are_found_through_references_and_alternatives() -> None:
    tree = Declared(
        {
            "type": "object",
            "properties": {"b": {"$ref": "#/$defs/x"}, "a": {"type": "array", "items": {"$ref": "#/$defs/x"}}},
            "allOf": [{"properties": {"c": {"type": "string"}}}],
            "$defs": {"x": {"oneOf": [an_object(y={}), an_object(z={"type": "string"})]}},
        }
    )
    assert tree.names == ("b", "a", "c")
    b, items = tree.at("b"), (a := tree.at("a")) and a.items()
    assert b is not None
    assert items is not None
    assert b.names == items.names == ("y", "z")
    assert tree.at("d") is None


def test_absent_properties_are_given_as_null_nested_ones_too() -> None:
    filled = with_nulls(TREE, {"root": {"value": "x", "next": {}}})
    assert filled == {"root": {"value": "x", "next": {"value": None, "next": None}}}
    orders: dict[str, Any] = an_object(orders={"type": "array", "items": an_object(id={"type": "string"})})
    assert with_nulls(orders, {"orders": [{}, {"id": "a"}]}) == {"orders": [{"id": None}, {"id": "a"}]}
    assert with_nulls(orders, {}) == {"orders": None}
