from typing import Any

import pytest

from features.engine import (
    ABSENT,
    Operation,
    Rule,
    applied,
    documents_of,
    dumps,
    effective_rule,
    judge,
    looser_than_base,
    parse_rules,
)
from tenants.errors import Invalid

from .samples import append, put, remove


@pytest.mark.parametrize(
    ("field", "edit"),
    [
        ("input", "locked"),
        ("output", "locked"),
        ("limits.repairs", "locked"),
        ("model.name", "tenant"),
        ("prompt", "user"),
        ("instructions.tone", "user"),
        ("examples.late", "user"),
        ("vars.tone", "user"),
        ("checks.short", "user"),
    ],
)
def test_where_the_vendor_says_nothing_there_is_a_default(field: str, edit: str) -> None:
    assert effective_rule(field, {}, {}) == Rule(edit=edit)  # type: ignore[arg-type]


def test_the_specific_rule_wins_property_by_property() -> None:
    rules = {"vars.*": Rule(edit="tenant", max_chars=9), "vars.tone": Rule(edit="user", choices=("a",))}
    assert effective_rule("vars.tone", rules, {}) == Rule(edit="user", choices=("a",), max_chars=9)
    assert effective_rule("vars.other", rules, {}) == Rule(edit="tenant", max_chars=9)


@pytest.mark.parametrize(
    ("base", "tenant", "together"),
    [
        (Rule(edit="user"), Rule(edit="tenant"), Rule(edit="tenant")),
        (Rule(edit="tenant"), Rule(edit="user"), Rule(edit="tenant")),
        (Rule(edit="tenant"), Rule(edit="locked"), Rule(edit="locked")),
        (Rule(choices=(1, "a", True)), Rule(choices=("a", 1.0)), Rule(edit="user", choices=(1, "a"))),
        (Rule(choices=(1,)), Rule(choices=(True,)), Rule(edit="user", choices=())),
        (Rule(), Rule(choices=("a",)), Rule(edit="user", choices=("a",))),
        (Rule(min=1, max=9), Rule(min=2, max=10), Rule(edit="user", min=2, max=9)),
        (Rule(max_chars=9), Rule(max_chars=5), Rule(edit="user", max_chars=5)),
        (Rule(hidden=False), Rule(), Rule(edit="user", hidden=False)),
        (Rule(tighten=True), Rule(tighten=False), Rule(edit="user", tighten=True)),
    ],
)
def test_base_and_tenant_combine_to_the_strictest(base: Rule, tenant: Rule, together: Rule) -> None:
    assert effective_rule("vars.x", {"vars.x": base}, {"vars.*": tenant}) == together


def test_what_the_vendor_hides_nobody_edits_and_what_the_tenant_hides_only_the_tenant() -> None:
    hidden = {"instructions.role": Rule(hidden=True, edit="user")}
    assert effective_rule("instructions.role", hidden, {}) == Rule(edit="locked", hidden=True)
    assert effective_rule("instructions.role", {}, hidden) == Rule(edit="tenant", hidden=True)
    locked = {"instructions.role": Rule(hidden=True, edit="locked")}
    assert effective_rule("instructions.role", {}, locked) == Rule(edit="locked", hidden=True)


@pytest.mark.parametrize(
    ("rules", "fits"),
    [
        ({"vars.x": {"choices": list(range(200))}}, True),
        ({"vars.x": {"choices": list(range(201))}}, False),
        ({f"vars.x{n}": {} for n in range(400)}, True),
        ({f"vars.x{n}": {} for n in range(401)}, False),
    ],
)
def test_there_is_an_end_to_choices_and_rules(rules: Any, fits: bool) -> None:
    if fits:
        assert len(parse_rules(rules, layer="tenant")) == len(rules)
    else:
        with pytest.raises(Invalid):
            parse_rules(rules, layer="tenant")


def test_rules_are_read_and_written_the_same() -> None:
    document: dict[str, Any] = {
        "vars.*": {"edit": "tenant"},
        "vars.tone": {"choices": ["warm", 1, None], "max_chars": 9},
        "model.max_output_tokens": {"edit": "user", "tighten": True},
        "vars.n": {"min": 0, "max": 2.5},
        "vars.m": {"min": 2, "max": 2},
        "prompt": {"hidden": True},
    }
    assert dumps(documents_of(parse_rules(document, layer="base"))) == dumps(document)


@pytest.mark.parametrize(
    ("rules", "at"),
    [
        ([], ""),
        ({"Vars.*": {}}, "/Vars.*"),
        ({"*": {}}, "/*"),
        ({"input.*": {}}, "/input.*"),
        ({"vars.to*": {}}, "/vars.to*"),
        ({"vars.*\n": {}}, "/vars.*\n"),
        ({"vars.x": None}, "/vars.x"),
        ({"vars.x": {"edit": "User"}}, "/vars.x/edit"),
        ({"vars.x": {"edit": None}}, "/vars.x/edit"),
        ({"vars.x": {"edits": "user"}}, "/vars.x/edits"),
        ({"vars.x": {"hidden": True}}, "/vars.x/hidden"),
        ({"prompt": {"hidden": 1}}, "/prompt/hidden"),
        ({"vars.x": {"choices": []}}, "/vars.x/choices"),
        ({"vars.x": {"choices": "abc"}}, "/vars.x/choices"),
        ({"vars.x": {"choices": [2**53]}}, "/vars.x/choices/0"),
        ({"vars.x": {"min": True}}, "/vars.x/min"),
        ({"vars.x": {"min": 2, "max": 1}}, "/vars.x"),
        ({"prompt": {"min": 2}}, "/prompt/min"),
        ({"vars.x": {"max_chars": -1}}, "/vars.x/max_chars"),
        ({"vars.x": {"max_chars": 1.0}}, "/vars.x/max_chars"),
        ({"vars.x": {"tighten": True}}, "/vars.x/tighten"),
        ({"model.temperature": {"tighten": True}}, "/model.temperature/tighten"),
    ],
)
def test_rules_that_mean_nothing_are_refused_at_their_place(rules: Any, at: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_rules(rules, layer="base")
    assert [problem.pointer for problem in refused.value.errors] == [at]


@pytest.mark.parametrize(
    ("tenant", "at"),
    [
        ({"model.name": Rule(edit="user")}, ["/model.name/edit"]),
        ({"input": Rule(edit="tenant")}, ["/input/edit"]),
        ({"vars.x": Rule(choices=("a", "c"), min=0, max=9, max_chars=99)}, ["choices", "min", "max", "max_chars"]),
        ({"instructions.role": Rule(hidden=False)}, ["/instructions.role/hidden"]),
        ({"limits.repairs": Rule(tighten=False)}, ["/limits.repairs/tighten"]),
        ({"vars.x": Rule(choices=("a",), min=1, max=5, max_chars=9, edit="tenant")}, []),
        ({"vars.*": Rule(edit="user"), "prompt": Rule(edit="locked")}, []),
    ],
)
def test_a_tenant_cannot_allow_its_users_more_than_the_vendor_does(tenant: dict[str, Rule], at: list[str]) -> None:
    base = {
        "vars.x": Rule(choices=("a", "b"), min=1, max=5, max_chars=9),
        "instructions.*": Rule(hidden=True),
        "limits.*": Rule(edit="user", tighten=True),
    }
    found = [problem.pointer for problem in looser_than_base(base, tenant)]
    assert len(found) == len(at)
    assert all(place.endswith(end) for place, end in zip(found, at, strict=True))


LOCKED, TENANT, USER = Rule(edit="locked"), Rule(edit="tenant"), Rule(edit="user")


def broken(operation: Operation, rule: Rule, inherited: Any, layer: Any = "user") -> list[str]:
    result = applied(operation, inherited)
    return [p.rule for p in judge(operation, layer=layer, rule=rule, inherited=inherited, result=result)]


@pytest.mark.parametrize(
    ("rule", "layer", "allowed"),
    [
        (LOCKED, "user", False),
        (LOCKED, "tenant", False),
        (TENANT, "user", False),
        (TENANT, "tenant", True),
        (USER, "user", True),
        (USER, "tenant", True),
    ],
)
@pytest.mark.parametrize(
    "operation",
    [put("instructions.tone", "x"), append("instructions.tone", "x"), remove("instructions.tone")],
)
def test_no_kind_of_operation_gets_past_a_lock(rule: Rule, layer: str, allowed: bool, operation: Operation) -> None:
    assert (broken(operation, rule, "old", layer) == []) is allowed


@pytest.mark.parametrize(
    ("operation", "rule", "inherited", "breaks"),
    [
        (put("vars.x", "a"), Rule(choices=("a",)), "b", []),
        (put("vars.x", "A"), Rule(choices=("a",)), "b", ["choices"]),
        (put("vars.x", True), Rule(choices=(1, 0)), 1, ["choices"]),
        (put("vars.x", 1.0), Rule(choices=(1, 0)), 1, []),
        (put("vars.x", 1), Rule(choices=(True,)), True, ["choices"]),
        (put("vars.x", None), Rule(choices=("a",)), "a", ["choices"]),
        (put("vars.x", 5), Rule(min=5, max=5), 1, []),
        (put("vars.x", 4), Rule(min=5), 1, ["min"]),
        (put("vars.x", 6), Rule(max=5), 1, ["max"]),
        (put("vars.x", True), Rule(min=0, max=5), 1, ["min", "max"]),
        (put("vars.x", "3"), Rule(min=0), 1, ["min"]),
        (put("vars.x", None), Rule(max=5), 1, ["max"]),
        (put("vars.x", "abcd"), Rule(max_chars=3), "", ["max_chars"]),
        (put("examples.x", {"input": {}, "output": {}}), Rule(max_chars=10), ABSENT, ["max_chars"]),
        (append("instructions.x", "cd"), Rule(max_chars=6), "ab", []),
        (append("instructions.x", "cde"), Rule(max_chars=6), "ab", ["max_chars"]),
        (append("instructions.x", "b"), Rule(choices=("a", "b")), "a", ["choices"]),
        (append("instructions.x", "b"), Rule(), ABSENT, ["absent"]),
        (remove("vars.x"), Rule(), "a", []),
        (remove("vars.x"), Rule(), ABSENT, ["absent"]),
        (remove("vars.x"), Rule(choices=("a",)), "a", ["choices"]),
        (remove("vars.x"), Rule(min=1, max=2), 1, ["min", "max"]),
        (remove("prompt"), Rule(), "x", ["required"]),
        (remove("model.name"), Rule(edit="locked"), "m", ["edit", "required"]),
        (put("vars.x", 9), Rule(edit="locked", choices=(1,), max=5), 1, ["edit", "choices", "max"]),
    ],
)
def test_bounds_hold_for_what_the_field_comes_to(
    operation: Operation, rule: Rule, inherited: Any, breaks: list[str]
) -> None:
    assert broken(operation, rule, inherited) == breaks


TIGHT = Rule(edit="user", tighten=True)


@pytest.mark.parametrize(
    ("operation", "inherited", "allowed"),
    [
        (put("limits.repairs", 1), 2, True),
        (put("limits.repairs", 2), 2, True),
        (put("limits.repairs", 3), 2, False),
        (put("limits.repairs", True), 2, False),
        (remove("limits.repairs"), 2, False),
        (put("limits.timeout_seconds", 60), ABSENT, True),
        (put("limits.timeout_seconds", 61), ABSENT, False),
        (put("limits.cost_per_run", 5), ABSENT, True),
        (put("limits.cost_per_run", 5), 4, False),
        (put("model.max_output_tokens", 200), 400, True),
        (put("model.max_output_tokens", 401), 400, False),
        (remove("model.max_output_tokens"), 400, False),
        (put("model.max_output_tokens", 9999), ABSENT, True),
        (put("checks.mine", {"kind": "quoted", "at": ""}), ABSENT, True),
        (put("checks.short", {"kind": "quoted", "at": ""}), {"kind": "max_words"}, False),
        (remove("checks.short"), {"kind": "max_words"}, False),
    ],
)
def test_what_may_only_be_tightened_is_never_loosened(operation: Operation, inherited: Any, allowed: bool) -> None:
    assert (broken(operation, TIGHT, inherited) == []) is allowed


def test_tighten_alone_unlocks_no_limit_but_with_edit_it_does() -> None:
    alone, with_edit = {"limits.*": Rule(tighten=True)}, {"limits.*": TIGHT}
    assert effective_rule("limits.repairs", alone, {}).edit == "locked"
    assert effective_rule("limits.repairs", with_edit, {}) == TIGHT


def test_each_violation_names_the_field_and_where_it_stands() -> None:
    operation = put("vars.tone", "rude")
    rule = Rule(edit="tenant", choices=("warm", "formal"))
    problems = judge(operation, layer="user", rule=rule, inherited="warm", result="rude")
    assert {problem.pointer for problem in problems} == {"/set/vars.tone"}
    assert [problem.message for problem in problems] == [
        "vars.tone is for the organisation’s admins to change",
        "vars.tone must be one of: warm, formal",
    ]
