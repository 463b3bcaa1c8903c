"""A version as a form: every document comes back as it went in, and what the form cannot hold is drawn as YAML."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
FIELDS = st.sampled_from(["instructions.a", "instructions.tone", "vars.a", "vars.*", "examples.a", "checks.a", "prompt", "odd"])
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
    written = ["Input", "Output", *(["Examples", "Samples"] if path.stem == "customize" else [])]  # null means something
    drawn = draw_version(document, ["standard"], new=False)
    assert [one.label for one in drawn.form.controls if one.schema.get("code")] == written


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
