import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine import canonical, digest, dumps, inherited_digest, loads
from features.engine.digest import ordered
from features.engine.values import with_plain_numbers
from tenants.errors import Invalid

from .samples import fields

# These never change: they name behaviors in receipts and pins. A new format gets a new leading number instead.
GOLDEN = {
    "whole": "1:c5c46a21390a442a4ebe09e005e58fe9e5dca30c92ea68ba52b89f6a4f68cc94",
    "nothing": "1:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
    "one": "1:98825d96b2980c06ffaab87b9b0933584c2b8287efb48048670567917e696782",
    "numbers": "1:5d4cdd0ff0e79a9552eaa2e5b46ca9a533b8d117d59b31910f408f28fa4829e0",
}


@pytest.mark.parametrize(
    ("name", "behavior"),
    [
        ("whole", fields()),
        ("nothing", {}),
        ("one", {"prompt": "Grüße\n€ \u2028"}),
        ("numbers", {"vars.b": 1e21, "vars.a": 1.0, "vars.c": -0.0, "vars.d": True, "vars.e": None}),
    ],
)
def test_golden_digests(name: str, behavior: dict[str, object]) -> None:
    assert digest(behavior) == GOLDEN[name]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["examples.a", "examples.b", "input", "vars.x", "instructions.s"]), json_values))
def test_storage_does_not_change_a_digest(behavior: dict[str, object]) -> None:
    assert digest(loads(dumps(behavior))) == digest(behavior)


def test_the_order_of_settings_does_not_matter_but_that_of_sections_and_examples_does() -> None:
    settings = {"vars.a": 1, "model.name": "m", "limits.repairs": 1, "checks.c": {"kind": "x", "at": ""}}
    shuffled = list(settings.items())
    random.Random(7).shuffle(shuffled)
    assert digest(dict(shuffled)) == digest(settings)
    for group in ("instructions", "examples"):
        one, other = {f"{group}.a": {}, f"{group}.b": {}}, {f"{group}.b": {}, f"{group}.a": {}}
        assert digest(one) != digest(other)


@pytest.mark.parametrize("field", ["input", "output", "examples.a"])
def test_the_order_of_properties_counts_where_it_steers_the_model(field: str) -> None:
    one, other = {"x": {"a": 1, "b": [{"c": 1, "d": 2}]}}, {"x": {"b": [{"d": 2, "c": 1}], "a": 1}}
    assert digest({field: one}) != digest({field: other})
    assert digest({"checks.a": one}) != digest({field: one})
    inner = {"b": [{"c": 1, "d": 2}], "a": 1}
    assert digest({"checks.a": {"x": inner}}) == digest({"checks.a": {"x": dict(reversed(inner.items()))}})


def twisted(value: Any, random: random.Random) -> Any:
    """The value with some of its objects as lists of their properties, some whole numbers with a fraction."""
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
        return float(value)
    if isinstance(value, list):
        return [twisted(item, random) for item in value]
    if isinstance(value, dict):
        pairs = [[key, twisted(inner, random)] for key, inner in value.items()]
        return pairs if random.random() < 0.3 else dict(pairs)
    return value


@given(json_values, st.randoms(use_true_random=False))
def test_no_two_values_have_one_digest(one: Any, random: Any) -> None:
    other = twisted(one, random)
    alike = dumps(with_plain_numbers(one)) == dumps(with_plain_numbers(other))
    assert (digest({"examples.a": one}) == digest({"examples.a": other})) is alike


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": {}}, [["b", 1], ["a", {}]]),
        ([["b", 1], ["a", []]], {"list": [["b", 1], ["a", []]]}),
        ([["b", 1], ["a"]], [["b", 1], ["a"]]),
        ([[1, "b"]], [[1, "b"]]),
        (["b", 1], ["b", 1]),
        ([{"b": [[["x", []]]]}], [[["b", [{"list": [["x", []]]}]]]]),
        ({"list": [["b", 1]]}, [["list", {"list": [["b", 1]]}]]),
        ([[], []], [[], []]),
    ],
)
def test_what_reads_like_an_object_and_is_a_list_is_written_otherwise(value: Any, written: Any) -> None:
    """The rest is written as it always was, lists as they are and objects as their properties."""
    assert ordered(value) == written


def test_an_object_and_the_list_of_its_properties_have_different_digests() -> None:
    for one, other in (({"a": 1}, [["a", 1]]), ({}, []), ([{}], [[]]), ({"a": {}}, [["a", {}]])):
        assert digest({"examples.a": one}) != digest({"examples.a": other})
        assert inherited_digest(one) != inherited_digest(other)


def test_one_and_one_point_zero_are_one_number_and_true_is_none() -> None:
    assert digest({"vars.a": 1}) == digest({"vars.a": 1.0})
    assert digest({"vars.a": 1}) != digest({"vars.a": True})


@pytest.mark.parametrize("value", [2**53, float("inf"), "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match="canonical"):
        canonical(value)
