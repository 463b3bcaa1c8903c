"""Features as text: what is written reads back as it was, and what cannot be read says where."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.actions.catalog import FOLDER, read_file
from features.actions.written import line_of, nested, read_text, write_text
from features.engine import dumps, flatten
from tenants.errors import Invalid

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["rules", "titles", "behavior"]), st.dictionaries(TEXT, JSON, max_size=4)))
def test_whatever_is_written_reads_back_the_same_and_in_the_same_order(parts: dict[str, Any]) -> None:
    document = {"behavior": {}, **parts}
    assert dumps(read_text(write_text(document))) == dumps(document)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_catalogs_own_files_survive_the_editor(path: Path) -> None:
    document = read_file(path)
    again = read_text(write_text({**document, "behavior": nested(flatten(document["behavior"]))}))
    assert dumps(flatten(again["behavior"])) == dumps(flatten(document["behavior"]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("behavior: {prompt: [", "line"),
        ("behavior:\n\tprompt: x", "line 2"),
        ("a: &a [x, x]\nbehavior: {b: *a}", "aliases are not read here"),
        ("- a list", "one mapping"),
        ("", "one mapping"),
        ("behavior: !!python/object:os.system {}", "line 1"),
        ("[" * 5000, "YAML"),
        ("behavior: x", "no feature"),
        ("rules: {}", "no feature"),
        ("behavior: {}\nbehaviour: {}", "no feature"),
        ("x" * 400_001, "at most"),
    ],
)
def test_what_is_no_feature_is_refused_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(Invalid) as wrong:
        read_text(text)
    assert told in wrong.value.detail


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("/behavior", 2),
        ("/behavior/vars/tone", 4),
        ("/behavior/vars/gone", 3),
        ("/samples/1", 7),
        ("/nothing", 1),
        ("", 1),
    ],
)
def test_a_problem_is_found_on_its_line(pointer: str, line: int) -> None:
    text = "title: x\nbehavior:\n  vars:\n    tone: y\nsamples:\n  - {a: 1}\n  - {a: 2}\n"
    assert line_of(text, pointer) == line


def test_of_what_is_no_yaml_no_line_is_known() -> None:
    assert line_of("a: [", "/a") == 0
