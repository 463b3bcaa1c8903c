from dataclasses import replace
from typing import Any

import pytest

from features.engine import (
    ABSENT,
    BasedOn,
    Operation,
    Rule,
    changed,
    document_of,
    dumps,
    from_rows,
    inherited_digest,
    loads,
    parse_override,
    to_rows,
)
from tenants.errors import Invalid, Malformed

from .samples import append, put, remove

ADAS = {
    "set": {"vars.tone": "formal", "examples.late": {"input": {"message": "x"}, "output": {"z": 1, "a": 2}}},
    "append": {"instructions.tone": "Sign as Acme."},
    "remove": ["checks.short", "vars.language"],
    "rules": {"vars.tone": {"edit": "tenant"}, "instructions.*": {"hidden": True, "max_chars": 500}},
}


def test_an_override_is_read_in_order_and_written_back_the_same() -> None:
    operations, rules = parse_override(ADAS)
    assert [operation.pointer for operation in operations] == [
        "/set/vars.tone",
        "/set/examples.late",
        "/append/instructions.tone",
        "/remove",
        "/remove",
    ]
    assert rules["instructions.*"] == Rule(max_chars=500, hidden=True)
    assert dumps(document_of(operations, rules)) == dumps(ADAS)


def test_an_empty_override_is_an_override() -> None:
    assert parse_override({}) == ((), {})
    assert document_of(()) == {}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "set",
        {"sets": {}},
        {"set": []},
        {"append": "x"},
        {"remove": "vars.tone"},
        {"remove": [1]},
        {"rules": []},
        {"set": {}, "tenant_id": 1},
    ],
)
def test_what_is_not_an_override_at_all_is_malformed(document: object) -> None:
    with pytest.raises(Malformed):
        parse_override(document)


def test_every_problem_of_an_override_is_named_at_its_place() -> None:
    with pytest.raises(Invalid) as refused:
        parse_override(
            {
                "set": {"vars.tone": ["x"], "Instructions.tone": "x", "input": None, "instructions": {}},
                "append": {"vars.tone": "x", "vars.language": "x", "prompt": " "},
                "remove": ["vars.tone", "nothing"],
                "rules": {"vars.tone": {"edit": "me"}},
            }
        )
    assert [(problem.pointer, problem.rule) for problem in refused.value.errors] == [
        ("/set/vars.tone", "type"),
        ("/set/Instructions.tone", "name"),
        ("/set/input", "type"),
        ("/set/instructions", "name"),
        ("/append/vars.tone", "duplicate"),
        ("/append/vars.language", "append"),
        ("/append/prompt", "type"),
        ("/remove/0", "duplicate"),
        ("/remove/1", "name"),
        ("/rules/vars.tone/edit", "rule"),
    ]


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        ({"append": {"prompt": "x" * 64_000}}, True),
        ({"append": {"prompt": "x" * 64_001}}, False),
        ({"append": {"prompt": "half of a pair: \ud800"}}, False),
        ({"remove": [f"vars.v{n}" for n in range(400)]}, True),
        ({"remove": [f"vars.v{n}" for n in range(401)]}, False),
    ],
)
def test_there_is_an_end_to_texts_and_operations(document: dict[str, Any], fits: bool) -> None:
    if fits:
        assert parse_override(document)[0]
    else:
        with pytest.raises(Invalid, match="not well formed"):
            parse_override(document)


def test_a_user_has_nobody_to_bind_with_rules() -> None:
    with pytest.raises(Invalid) as refused:
        parse_override({"rules": {"vars.tone": {"edit": "tenant"}}}, layer="user")
    assert [problem.pointer for problem in refused.value.errors] == ["/rules"]
    assert parse_override({"set": {"vars.tone": "x"}, "rules": {}}, layer="user")[1] == {}


def test_storage_keeps_what_an_operation_is_based_on() -> None:
    seen = BasedOn(base=3, tenant=None, inherited="absent")
    had = BasedOn(base=3, tenant=2, inherited="f00", in_base=True)
    operations = (
        replace(put("vars.tone", None), based_on=seen),
        append("prompt", "x"),
        remove("vars.language"),
        replace(put("vars.label", "x"), based_on=had, hold=True),
    )
    stored = dumps(to_rows(operations))
    assert from_rows(loads(stored)) == operations


def test_only_what_is_new_or_different_is_judged_again() -> None:
    before = (put("vars.a", 1), put("vars.b", 1), append("prompt", "x"), put("examples.e", {"a": 1, "b": 2}))
    after = (
        replace(put("vars.a", 1), based_on=BasedOn(9, 9, "absent")),  # only saved again
        put("vars.b", True),
        put("prompt", "x"),
        put("examples.e", {"b": 2, "a": 1}),
        remove("vars.c"),
    )
    assert [operation.field for operation in changed(before, after)] == ["vars.b", "prompt", "examples.e", "vars.c"]
    assert changed(after, after) == ()


def test_what_an_author_saw_is_told_apart_by_its_digest() -> None:
    assert inherited_digest(ABSENT) == "absent"
    assert inherited_digest(None) != inherited_digest(ABSENT)
    assert inherited_digest({"a": 1, "b": 2}) != inherited_digest({"b": 2, "a": 1})
    assert len(inherited_digest("x")) == 64


def test_an_operation_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Operation("vars.a", "set", 1).value = 2  # type: ignore[misc]
