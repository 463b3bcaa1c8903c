"""Hostile schemas and values (L5, M17): refused or harmless within a second and 64 MB, without a socket or a file."""

import random
import resource
import socket
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from features.engine import Validator, check_schema, compile_behavior, flatten
from tenants.errors import Invalid

from .confined import confined
from .samples import REPLY
from .test_schemas import HOSTILE, an_object, chain


def cut_off() -> None:
    """From now on this process can open nothing: no file, no socket, also not from native code."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def listing(schema: Any) -> Any:
    return an_object(a={"type": "array", "items": schema})


def many(keyword: str, schemas: list[Any]) -> Any:
    return an_object(a={keyword: schemas})


draw = random.Random(1)
MIXED = "".join(draw.choice("ab") for _ in range(900_000))
LONG, WIDE = "a" * 900_000, "é" * 450_000
NUMBERS = list(range(140_000))
OBJECTS = [{"k": n} for n in range(60_000)]
NAMES = {MIXED[n : n + 1_000]: 1 for n in range(0, 900_000, 1_000)}

# A schema that may be saved, or not, and the worst value for it that fits into the largest input (1,000,000 bytes).
BOMBS: dict[str, tuple[Any, Any]] = {
    # patterns: linear, and still without end
    "nested plus": (an_object(a={"pattern": "^(a+)+$"}), LONG + "!"),
    "three hundred states": (an_object(a={"pattern": "a[ab]{300}c"}), MIXED),
    "nine hundred states": (an_object(a={"pattern": "a[ab]{900}c"}), MIXED),
    "counted in counted": (an_object(a={"pattern": "((a|b){1,30}a){1,30}c"}), MIXED),
    "three in one": (an_object(a={"pattern": "(a[ab]{90}c|b[ab]{91}c|ab[ab]{93}d)"}), MIXED),
    "letters of all languages": (an_object(a={"pattern": r"\p{L}{30}x"}), WIDE),
    "fifty patterns on one text": (many("allOf", [{"pattern": f"[a-q][^u-z]{{{n}}}x"} for n in range(250, 299)]), LONG),
    "fifty that all look far": (many("allOf", [{"pattern": f"a[ab]{{{n}}}c"} for n in range(50, 98)]), MIXED),
    "a pattern on many texts": (listing({"pattern": "a[ab]{300}c"}), [MIXED[:1000]] * 900),
    "patterns of names": ({"type": "object", "patternProperties": {f"a[ab]{{{n}}}c": {} for n in range(200, 249)}}, NAMES),
    "names by a pattern": ({"type": "object", "propertyNames": {"pattern": "[a-q][^u-z]{300}x"}}, NAMES),
    "names too short": ({"type": "object", "propertyNames": {"minLength": 2_000}}, NAMES),
    # what goes over a list or an object many times
    "unique numbers": (an_object(a={"uniqueItems": True}), NUMBERS),
    "unique objects": (an_object(a={"uniqueItems": True}), OBJECTS),
    "unique, many times": (many("allOf", [{"uniqueItems": True}] * 24), [[n] for n in range(90_000)]),
    "unique lists of lists": (listing({"uniqueItems": True}), [[[j] for j in range(300)] for _ in range(500)]),
    "multiples of next to nothing": (listing({"multipleOf": 1e-300}), [1e300] * 140_000),
    "multiples, a few at most": (listing({"multipleOf": 1e-300}), [1e300] * 21_000),
    "multiples of a tenth": (listing({"multipleOf": 0.1}), [1e300] * 140_000),
    "multiples of many": (an_object(a={"items": {"allOf": [{"multipleOf": 0.1}] * 90}}), [1e300] * 9_000),
    "contains in contains": (an_object(a={"contains": {"contains": {"contains": {"const": 1}}}}), [[[0] * 100] * 100] * 40),
    "contains, many times": (many("allOf", [{"contains": {"const": -1}, "minContains": 0}] * 40), NUMBERS),
    "prefix items": (an_object(a={"prefixItems": [{"minLength": n} for n in range(1_900)]}), ["x"] * 2_000),
    "unevaluated items": (an_object(a={"anyOf": [{"prefixItems": [{}] * n} for n in range(1, 40)], "unevaluatedItems": False}), NUMBERS),
    "unevaluated names": ({"type": "object", "allOf": [{"properties": {f"p{n}": {}}} for n in range(90)],
                           "unevaluatedProperties": False}, {f"q{n}": 1 for n in range(60_000)}),
    # alternatives, and what is named of them
    "one of ninety-five": (listing({"oneOf": [{"const": n} for n in range(95)]}), [-1] * 140_000),
    "any of ninety on a long text": (many("anyOf", [{"maxLength": n} for n in range(95)]), LONG),
    "all of ninety on a long text": (many("allOf", [{"maxLength": n} for n in range(95)]), LONG),
    "none of none of none": (listing({"not": {"not": {"not": {"not": {"const": 1}}}}}), [1] * 140_000),
    "if and else": (listing({"if": {"type": "string"}, "then": {"minLength": 9}, "else": {"minimum": 10}}), [1] * 140_000),
    "two thousand choices": (listing({"enum": [{"k": n} for n in range(1_800)]}), [{"k": -1}] * 60_000),
    "a large constant": (listing({"const": {"a": NUMBERS[:1_000]}}), [{"a": NUMBERS[:999]}] * 200),
    "four thousand names missing": ({"type": "object", "required": [f"p{n}" for n in range(4_000)]}, {"x": LONG}),
    "names that ask for names": ({"type": "object", "dependentRequired": {f"p{n}": [f"q{m}" for m in range(30)] for n in range(150)}},
                                 {f"p{n}": LONG[:6_000] for n in range(150)}),
    "two thousand properties": ({"type": "object", "properties": {f"p{n}": {"minLength": 3} for n in range(1_900)}},
                                {f"p{n}": "x" for n in range(1_900)}),
    # recursion
    "as deep as JSON may be": ({"type": "object", "additionalProperties": {"$ref": "#"}}, reduce(lambda v, _: {"a": v}, range(60), {})),
    "wide and deep": ({"type": "object", "additionalProperties": {"$ref": "#"}, "minProperties": 1}, {f"p{n}": {} for n in range(60_000)}),
    "doubling": (chain(25, lambda target: {"allOf": [{"$ref": target}, {"$ref": target}]}), {}),
    "a list of itself": ({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#"}}}},
                         reduce(lambda v, _: {"a": [v, v]}, range(14), {})),
    # formats
    "e-mail": (an_object(a={"format": "email"}), "a@" * 300_000 + "x"),
    "e-mail in quotes": (an_object(a={"format": "email"}), '"' + LONG),
    "address of the web": (an_object(a={"format": "uri"}), "http://" + "%41" * 300_000),
    "host name": (an_object(a={"format": "hostname"}), "a." * 400_000),
    "host name in Punycode": (an_object(a={"format": "hostname"}), "xn--" + LONG),
    "many in Punycode": (listing({"format": "hostname"}), [".".join(["xn--" + "a9" * 25] * 4)] * 4_000),
    "IPv6": (an_object(a={"format": "ipv6"}), ":" * 900_000),
    "duration": (an_object(a={"format": "duration"}), "P" + "1D" * 400_000),
    "date and time": (an_object(a={"format": "date-time"}), "9" * 900_000),
}  # fmt: skip
BOMBS = {name: (schema, value if isinstance(value, dict) else {"a": value}) for name, (schema, value) in BOMBS.items()}


@pytest.mark.parametrize("name", BOMBS)
def test_no_schema_takes_long_with_the_worst_value_there_is(name: str) -> None:
    schema, value = BOMBS[name]

    def hold() -> None:
        if check_schema(schema):
            raise Invalid("The schema is not accepted.")
        Validator(schema).problems(value)

    took = confined(hold, before=cut_off)
    assert took.harmless, took


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_refused_at_once_and_opens_nothing(name: str) -> None:
    schema, at = HOSTILE[name]

    def refuse() -> None:
        assert f"/input{at}" in [problem.pointer for problem in check_schema(schema, "/input")]

    took = confined(refuse, before=cut_off)
    assert took.outcome == "done" and took.harmless, took


REMOTE = ["http://127.0.0.1:{port}/s", "https://127.0.0.1:{port}/s", "//127.0.0.1:{port}/s", "file://{file}", "{file}"]


@pytest.mark.parametrize("address", REMOTE)
@pytest.mark.parametrize("keyword", ["$ref", "$id", "$schema", "$dynamicRef", "$recursiveRef", "$vocabulary"])
def test_nothing_that_a_schema_names_is_fetched(address: str, keyword: str, tmp_path: Path) -> None:
    """Not through the door, and not by the library either, were the door left open."""
    (tmp_path / "s.json").write_text('{"type": "object"}')
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        named = address.format(port=listener.getsockname()[1], file=tmp_path / "s.json")
        schema = {
            "type": "object",
            "properties": {"a": {keyword: named}},
            **({} if keyword == "$ref" else {keyword: named}),
        }
        assert check_schema(schema)
        try:
            Validator(schema)
        except Exception as refused:  # noqa: BLE001
            assert type(refused).__module__.split(".")[0] in ("jsonschema_rs", "builtins")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_there_are_many_hostile_ones() -> None:
    assert len(BOMBS) >= 30 and len(HOSTILE) >= 30


def test_who_is_cut_off_can_open_nothing() -> None:
    """The guard itself."""
    assert "OSError" in confined(lambda: Path("/dev/null").read_bytes(), before=cut_off).outcome
    assert "OSError" in confined(socket.socket, before=cut_off).outcome


def test_a_text_too_long_for_its_pattern_is_told_so_and_shorter_ones_are_matched() -> None:
    held = Validator(an_object(a={"pattern": "a[ab]{900}c"}))
    fits = "a" * 901 + "c"
    assert held.problems({"a": fits}) == []
    assert [p.message for p in held.problems({"a": "abc"})] == ["must match the pattern a[ab]{900}c"]
    assert [p.message for p in held.problems({"a": MIXED})] == [
        "is too long to be matched with the pattern a[ab]{900}c"
    ]
    assert held.problems({"a": fits}) == []  # each validation has a budget of its own


@pytest.mark.parametrize("pattern", [r"^[A-Z]{2}-[0-9]{6}$", r"^[\w.+-]+@[\w-]+\.[\w.]+$", r"^[^<>]*$", r"^\S(.*\S)?$"])
def test_ordinary_patterns_match_texts_of_any_allowed_length(pattern: str) -> None:
    problems = Validator(an_object(a={"pattern": pattern})).problems({"a": LONG[:300_000]})
    assert all("too long" not in problem.message for problem in problems)


def test_of_a_large_value_one_violation_is_named_and_of_a_very_large_one_that_there_is_one() -> None:
    strict = Validator(listing({"type": "string", "maxLength": 3}))
    small = strict.problems({"a": ["abcd"] * 9})
    assert len(small) == 9
    [large] = strict.problems({"a": ["abcd"] * 60_000})
    assert large.pointer == "/a/0"
    [huge] = Validator(many("anyOf", [{"maxLength": n} for n in range(95)])).problems({"a": LONG})
    assert (huge.pointer, huge.message) == ("", "does not fit its schema, and is too large to say where")
    [parts] = Validator(listing({"multipleOf": 0.1})).problems({"a": [1] * 140_000})
    assert "too many parts" in parts.message


def test_a_behavior_with_hostile_schemas_is_refused_within_the_time() -> None:
    for name in ("doubling", "multiples of many"):
        schema = BOMBS[name][0]
        took = confined(lambda schema=schema: compile_behavior(flatten({**REPLY, "input": schema})), before=cut_off)
        assert took.outcome == "refused" and took.harmless, took
