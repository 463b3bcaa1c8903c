"""What is kept by content is never taken for something else, and never more than has room."""

from typing import Any

import pytest

from features.engine import compile_behavior, digest, resolve
from features.engine.fields import MAX_FIELDS
from features.engine.kept import LONGEST, ByPair, Kept, exactly
from features.engine.merge import _rules_of
from tenants.errors import Invalid

from .samples import REPLY, base, fields, put, saved


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), (None, "None"), ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
     ([1, [2]], [[1], 2]), ({1: "x"}, {"1": "x"}), ("a", ["a"])],
)  # fmt: skip
def test_values_that_differ_at_all_have_different_texts(one: Any, other: Any) -> None:
    assert exactly(one) != exactly(other)


def test_the_latest_are_kept_and_what_is_too_long_is_not() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    kept = Kept[str](2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert kept.get((name,), lambda name=name: make(name)) == name  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    for _ in range(2):
        kept.get(("x" * (LONGEST + 1),), lambda: make("long"))
        kept.get(("x", ""), lambda: make("unknown"))
    assert made[4:] == ["long", "unknown", "long", "unknown"]


def test_pairs_are_told_apart_by_who_they_are() -> None:
    kept, one, equal = ByPair[int](2), [1], [1]
    assert kept.get(one, None, lambda: 1) == kept.get(one, None, lambda: 2) == 1
    assert kept.get(equal, None, lambda: 3) == 3
    kept.get(one, equal, lambda: 4)
    assert kept.get(one, None, lambda: 5) == 5  # it had to make room


def test_rules_of_fields_that_users_make_up_are_not_kept_for_ever() -> None:
    version = base()
    for user in range(5):
        resolve(version, None, saved(*(put(f"vars.u{user}x{n}", 1) for n in range(200))))
    assert len(_rules_of(version, None)) <= MAX_FIELDS + 1


def schema(**more: Any) -> dict[str, Any]:
    return {**REPLY["output"], "properties": {**REPLY["output"]["properties"], **more}}


def test_a_behavior_compiles_the_same_whatever_was_compiled_before() -> None:
    """Each differs from the one before in what a sloppy key would not see."""
    assert (
        compile_behavior(fields(output=schema(n={"const": 1}))).output_problems(
            {"reason": "", "answer": "", "n": 1}, {}
        )
        == []
    )
    for wrong in (True, "1"):
        told = compile_behavior(fields(output=schema(n={"const": wrong}))).output_problems(
            {"reason": "", "answer": "", "n": 1}, {}
        )
        assert [problem.pointer for problem in told] == ["/n"]
    compile_behavior(fields(instructions={"role": "{{ vars.tone }}"}))
    with pytest.raises(Invalid):
        compile_behavior(fields(instructions={"role": "{{ vars.tone }}"}, vars={"language": "en"}))
    compile_behavior(fields(limits={"repairs": 1}))
    with pytest.raises(Invalid):
        compile_behavior(fields(limits={"repairs": True}))
    compile_behavior(fields(checks={"short": {"kind": "max_words", "at": "/answer", "max": 5}}))
    with pytest.raises(Invalid):  # the same example under a stricter check
        compile_behavior(fields(checks={"short": {"kind": "max_words", "at": "/answer", "max": 4}}))


def test_digests_know_the_order_of_properties_and_forget_that_of_the_rest() -> None:
    flat = fields(vars={"tone": "warm", "language": "en"})
    turned = {name: dict(reversed(value.items())) if name == "output" else value for name, value in flat.items()}
    assert digest(flat) == digest(dict(flat)) != digest(turned)
    assert digest(fields(vars={"n": 1})) == digest(fields(vars={"n": 1.0})) != digest(fields(vars={"n": True}))
