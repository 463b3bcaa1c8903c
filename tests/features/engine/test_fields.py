import pytest

from features.engine import check_field, check_value, flatten, group_of, is_text
from tenants.errors import Invalid

from .samples import REPLY


@pytest.mark.parametrize(
    "name",
    [
        "Input",
        "INPUT",
        "input ",
        "input.",
        "input.properties",
        "instructions",
        "instructions.",
        "instructions.Tone",
        "instructions.tone\n",
        "instructions.tоne",  # Cyrillic о
        "instructions.tone.x",
        "ınput",
        "ｉnput",
        "vars.ſ",
        "vars.1st",
        "vars." + "a" * 65,
        "vars.*",
        "limits",
        "secrets.key",
        "",
        ".tone",
        None,
        7,
        "__proto__",
        "vars.__class__",
    ],
)
def test_no_look_alike_of_a_field_is_a_field(name: object) -> None:
    assert check_field(name) is not None


@pytest.mark.parametrize("name", ["prompt", "input", "instructions.a-b_c1", "vars." + "a" * 64, "limits.repairs"])
def test_proper_names_are_fields(name: str) -> None:
    assert check_field(name) is None


def test_a_behavior_may_be_written_by_group_flat_or_mixed() -> None:
    flat = flatten({"vars.tone": "warm", "vars": {"language": "en"}, "prompt": "Hi", "model.name": "standard"})
    assert list(flat) == ["vars.tone", "vars.language", "prompt", "model.name"]
    assert list(flatten(REPLY))[:3] == ["instructions.role", "instructions.tone", "prompt"]


def test_everything_wrong_with_a_behavior_is_said_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        flatten({"vars": {"tone": "a", "Tone": "b"}, "vars.tone": "c", "model": "standard", "limits": {"speed": 1}})
    assert [(p.pointer, p.rule) for p in refused.value.errors] == [
        ("/vars/Tone", "name"),
        ("/vars.tone", "duplicate"),
        ("/model", "type"),
        ("/limits/speed", "name"),
    ]


def test_four_hundred_fields_are_enough() -> None:
    with pytest.raises(Invalid, match="not well formed"):
        flatten({"vars": {f"v{i}": i for i in range(401)}})
    assert len(flatten({"vars": {f"v{i}": i for i in range(400)}})) == 400


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("instructions.tone", "", True),
        ("instructions.tone", None, False),
        ("instructions.tone", "x" * 64_001, False),
        ("prompt", "  \n", False),
        ("prompt", ["x"], False),
        ("input", True, False),
        ("vars.tone", None, True),
        ("vars.tone", ["x"], False),
        ("vars.tone", "x" * 8_001, False),
        ("vars.tone", 2**53, False),
        ("model.name", "standard", True),
        ("model.name", "a b", False),
        ("model.name", None, False),
        ("model.temperature", 2, True),
        ("model.temperature", 2.01, False),
        ("model.temperature", True, False),
        ("model.max_output_tokens", 0, False),
        ("model.max_output_tokens", 32_768, True),
        ("model.max_output_tokens", 10.0, False),
        ("model.fallbacks", ["a", "b", "c", "d"], True),
        ("model.fallbacks", ["a", "b", "c", "d", "e"], False),
        ("model.fallbacks", ["a", "a"], False),
        ("model.fallbacks", "a", False),
        ("model.seed", 7, True),
        ("model.presence_penalty", -2.5, False),
        ("model.colour", 1, False),
        ("limits.timeout_seconds", 0.5, False),
        ("limits.timeout_seconds", 600, True),
        ("limits.repairs", 4, False),
        ("limits.repairs", False, False),
        ("limits.input_bytes", 1_000_001, False),
        ("limits.cost_per_run", 0, False),
        ("limits.cost_per_run", 0.01, True),
        ("limits.cost_per_run", None, False),
        ("checks.short", {"kind": "max_words"}, True),
        ("checks.short", "max_words", False),
        ("examples.a", {"input": {}, "output": {}}, True),
        ("examples.a", {"input": {}}, False),
        ("examples.a", {"input": {}, "output": [], "note": 1}, False),
    ],
)
def test_values_have_the_shape_of_their_field(field: str, value: object, fits: bool) -> None:
    assert (check_value(field, value, "/x") == []) is fits


def test_an_unknown_setting_of_the_model_names_the_known_ones() -> None:
    [problem] = check_value("model.colour", 1, "/set/model.colour")
    assert problem.pointer == "/set/model.colour"
    assert "temperature" in problem.message


def test_groups_and_texts_are_told_by_the_name() -> None:
    assert [group_of("vars.tone"), group_of("prompt")] == ["vars", "prompt"]
    assert [is_text("prompt"), is_text("instructions.a"), is_text("vars.tone")] == [True, True, False]
