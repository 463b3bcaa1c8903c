"""A version as a form: every document comes back as it went in, and what the form cannot hold is drawn as YAML."""

from pathlib import Path
from typing import Any

import pytest

from backend.web.version_form import draw_version, read_version
from backend.web.version_parts import differing
from features.actions.written import comments_in, read_text
from features.engine import digest, flatten
from tenants.errors import Problem
from tests.cast import GREET, GREET_RULES

CATALOG = sorted((Path(__file__).parents[3] / "features" / "catalog").glob("*.yaml"))
GREETING = {"feature": "greet", "title": "Greet", "behavior": GREET, "rules": GREET_RULES}


def back(document: dict[str, Any], **typed: Any) -> Any:
    """A document drawn, typed into, and read."""
    drawn = draw_version(document, ["standard"], new=False)
    assert drawn is not None
    data = {**drawn.form.data, **{f"in/{name}": [text] for name, text in typed.items()}}
    return read_version(document, data, ["standard"], new=False)


@pytest.mark.parametrize("path", CATALOG, ids=lambda path: path.stem)
def test_a_feature_of_the_catalog_comes_back_as_it_went_in_and_none_of_it_is_drawn_as_yaml(path):
    document = read_text(path.read_text())
    found = back(document)
    assert not differing(found.document, document) and found.own == ()
    assert digest(flatten(found.document["behavior"])) == digest(flatten(document["behavior"]))
    drawn = draw_version(document, ["standard"], new=False)
    assert [one.label for one in drawn.form.controls if one.schema.get("code")] == ["Input", "Output"]
