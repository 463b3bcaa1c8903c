from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from features.engine import Compiled, compile_behavior, digest, dumps
from tenants.errors import Invalid

from .samples import REPLY, fields

NOW = datetime(2026, 3, 3, 12, 0, 5, tzinfo=UTC)


def messages(behavior: Compiled, **input: Any) -> list[dict[str, str]]:
    given = input or {"message": "Hello?"}
    return behavior.messages(given, tenant_name="Acme", user_key="alice", now=NOW)


def test_a_behavior_becomes_sections_examples_and_prompt() -> None:
    assert messages(compile_behavior(fields())) == [
        {"role": "system", "content": "You answer customers of Acme.\n\nBe warm."},
        {"role": "user", "content": 'Answer:\n"""\nWhere is my parcel?\n"""'},
        {"role": "assistant", "content": '{"reason":"asks for an order","answer":"It is on its way."}'},
        {"role": "user", "content": 'Answer:\n"""\nHello?\n"""'},
    ]


def test_what_is_known_of_a_behavior_besides_its_messages() -> None:
    behavior = compile_behavior(fields(model=REPLY["model"] | {"fallbacks": ["small"], "seed": 7}))
    assert (behavior.model, behavior.fallbacks) == ("standard", ("small",))
    assert behavior.settings == {"temperature": 0.2, "max_output_tokens": 400, "seed": 7}
    assert (behavior.limits.timeout_seconds, behavior.limits.repairs, behavior.limits.input_bytes) == (30, 1, 65_536)
    assert behavior.limits.cost_per_run is None
    assert behavior.uses == {"tenant", "vars", "input"}
    assert behavior.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": REPLY["output"], "strict": True},
    }
    assert dumps(behavior.response_format["json_schema"]["schema"]) == dumps(REPLY["output"])  # type: ignore[index,call-overload]


def test_it_is_named_by_its_digest() -> None:
    assert compile_behavior(fields()).digest == digest(fields())
    assert compile_behavior(fields(), "1:known").digest == "1:known"


def test_messages_depend_on_what_they_are_given_and_on_nothing_else() -> None:
    behavior = compile_behavior(fields(prompt="{{ now }} {{ user.key }} {{ input.customer.name }}", examples={}))
    assert messages(behavior)[-1]["content"] == "2026-03-03T12:00:05Z alice "
    elsewhere = behavior.messages(
        {"message": "x"}, tenant_name="Acme", user_key=None, now=NOW.astimezone(timezone(timedelta(hours=9)))
    )
    assert elsewhere[-1]["content"] == "2026-03-03T12:00:05Z  "
    assert messages(behavior) == messages(behavior)


def test_another_input_leaves_everything_before_the_prompt_as_it_was() -> None:
    behavior = compile_behavior(fields())
    one, other = messages(behavior, message="a"), messages(behavior, message="b")
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


def test_sections_that_render_to_nothing_leave_no_gap() -> None:
    sections = {"a": "A", "b": "{% if vars.tone == 'x' %}B{% endif %}", "c": " C\n"}
    behavior = compile_behavior(fields(instructions=sections))
    assert messages(behavior)[0]["content"] == "A\n\n C\n"
    assert messages(compile_behavior(fields(instructions={})))[0]["role"] == "user"


def test_a_property_that_may_be_absent_renders_as_nothing() -> None:
    behavior = compile_behavior(fields(prompt="[{{ input.customer.name }}]"))
    assert messages(behavior)[-1]["content"] == "[]"
    assert messages(behavior, message="x", customer={})[-1]["content"] == "[]"
    assert messages(behavior, message="x", customer={"name": "{{ now }}"})[-1]["content"] == "[{{ now }}]"


def test_examples_are_shown_with_the_same_nulls_as_what_is_asked() -> None:
    shown = messages(compile_behavior(fields(prompt="{{ input }}")), message="Hello?")
    assert [message["content"] for message in shown if message["role"] == "user"] == [
        '{"message":"Where is my parcel?","customer":null}',
        '{"message":"Hello?","customer":null}',
    ]
    shown = messages(compile_behavior(fields(prompt="{{ input }}")), message="Hello?", customer={})
    assert shown[-1]["content"] == '{"message":"Hello?","customer":{"name":null}}'


def test_an_input_may_have_as_many_bytes_as_are_allowed_and_not_one_more() -> None:
    given = {"message": "é" * 10}
    size = len(dumps(given).encode())
    for allowed, problems in ((size, []), (size - 1, ["size"])):
        behavior = compile_behavior(fields(limits={"input_bytes": allowed}))
        assert [problem.rule for problem in behavior.input_problems(given)] == problems


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0, -0.0), (10**15, 1e15), (-(2**53) + 1, float(-(2**53) + 1))])
def test_behaviors_with_one_digest_send_one_text(one: float, other: float) -> None:
    """RFC 8785 writes both numbers alike, so the digest cannot tell them apart, and nor may what the model reads."""

    def behavior(number: float) -> Any:
        schema = {"type": "object", "properties": {"reason": {}, "answer": {}, "n": {"maximum": number}}}
        example = {"input": {"message": "?"}, "output": {"reason": [number], "answer": {"n": number}}}
        return fields(output=schema, checks={}, examples={"e": example}, vars={"tone": number, "language": number})

    assert digest(behavior(one)) == digest(behavior(other))
    first, second = compile_behavior(behavior(one)), compile_behavior(behavior(other))
    assert messages(first) == messages(second)
    assert dumps(first.response_format) == dumps(second.response_format)


def test_very_long_messages_are_refused_rather_than_sent() -> None:
    sections = {f"s{i}": "x" * 60_000 for i in range(17)}
    with pytest.raises(Invalid, match="1000000 characters"):
        messages(compile_behavior(fields(instructions=sections)))


GOOD_EXAMPLE = REPLY["examples"]["late"]


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"prompt": "{{ input.mesage }}"}, ["/prompt"]),
        ({"vars": {"language": "en"}}, ["/instructions.tone"]),
        ({"instructions": {"a": "{% assign x = 1 %}", "b": "{{ nope }}"}}, ["/instructions.a", "/instructions.b"]),
        ({"input": {"type": "array"}}, ["/input/type"]),
        (
            {"input": {"type": "object", "tpyo": 1}, "output": {"type": "object", "$ref": "x"}},
            ["/input/tpyo", "/output/$ref"],
        ),
        ({"checks": {"c": {"kind": "max_words", "at": "/nope", "max": 1}}}, ["/checks.c/at"]),
        ({"checks": {"c": {"kind": "nope"}}}, ["/checks.c/kind"]),
        ({"checks": {"c": {"kind": "max_words", "at": "/answer", "max": 2}}}, ["/examples.late/output/answer"]),
        ({"examples": {"e": GOOD_EXAMPLE | {"input": {}}}}, ["/examples.e/input/message"]),
        ({"examples": {"e": GOOD_EXAMPLE | {"output": {"reason": "r", "x": 1}}}}, ["/examples.e/output/answer"]),
        ({"model": {"temperature": 1}}, ["/model.name"]),
    ],
)
def test_what_does_not_compile_is_named_by_field(changes: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        compile_behavior(fields(**changes))
    found = [problem.pointer for problem in refused.value.errors]
    assert set(places) <= set(found)


def test_fields_that_never_went_through_a_door_are_checked_all_the_same() -> None:
    with pytest.raises(Invalid) as refused:
        compile_behavior({"vars.tone": [], "Limits.x": 1, "limits.repairs": 99})
    assert [problem.pointer for problem in refused.value.errors] == [
        *("/prompt", "/input", "/output", "/model.name", "/Limits.x", "/limits.repairs", "/vars.tone"),
    ]


@pytest.mark.parametrize(
    ("value", "at", "rule"),
    [
        ({"message": "x" * 2001}, "/message", "maxLength"),
        ({"message": "x", "tenant_id": 1}, "/tenant_id", "additionalProperties"),
        ({"message": "x\x00"}, "/message", "json"),
        ({"message": "x", "customer": {"n": 2**60}}, "/customer/n", "json"),
        (["x"], "", "type"),
        ({"message": "é" * 40_000}, "", "size"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(value: Any, at: str, rule: str) -> None:
    problems = compile_behavior(fields()).input_problems(value)
    assert (at, rule) in [(problem.pointer, problem.rule) for problem in problems]


def test_an_output_is_held_to_its_schema_and_then_to_the_checks() -> None:
    behavior, given = compile_behavior(fields()), {"message": "x"}
    assert behavior.output_problems({"reason": "r", "answer": "a"}, given) == []
    assert [p.rule for p in behavior.output_problems({"reason": "r", "answer": "word " * 81}, given)] == [
        "checks.short"
    ]
    assert [p.pointer for p in behavior.output_problems({"answer": "word " * 81}, given)] == ["/reason"]


def test_a_later_version_of_a_schema_leaves_the_earlier_as_it_was() -> None:
    first = compile_behavior(fields())
    output = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    second = compile_behavior(fields(output=output, examples={}))
    assert first.output_problems({"answer": "a"}, {}) != []
    assert second.output_problems({"answer": "a"}, {}) == []
