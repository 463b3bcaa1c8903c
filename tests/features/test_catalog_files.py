"""The features that ship: each file compiles, and every field that people see has a name that people read."""

from pathlib import Path
from typing import Any

import pytest

from features.actions.catalog import FOLDER, load_folder, read_file
from features.engine import compile_behavior, flatten, group_of, parse_rules
from tenants.system import system_actor
from tests.cast import Cast

FILES = sorted(FOLDER.glob("*.yaml"))


def test_the_five_that_were_asked_for_are_there() -> None:
    assert {path.stem for path in FILES} >= {"triage", "summarize", "reply", "extract", "rewrite"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_a_feature_that_works(path: Path) -> None:
    document = read_file(path)
    compiled = compile_behavior(flatten(document["behavior"]))
    assert document["feature"] == path.stem and document["verb"] and document["summary"]
    assert compiled.limits.repairs >= 1
    rules = parse_rules(document["rules"], layer="base")
    assert rules["instructions.safety"].edit == "locked"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_field_that_people_may_change_has_a_label(path: Path) -> None:
    document = read_file(path)
    fields = flatten(document["behavior"])
    named = {name for name in fields if group_of(name) in ("vars", "instructions", "examples", "checks")}
    assert named == set(document["titles"])
    inputs: Any = fields["input"]
    outputs: Any = fields["output"]
    for schema in (inputs, outputs):
        assert all("title" in about for about in schema["properties"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_untrusted_input_is_fenced(path: Path) -> None:
    fields = flatten(read_file(path)["behavior"])
    assert "| fence }}" in str(fields["prompt"])


def test_loading_the_folder_twice_publishes_once(cast: Cast) -> None:
    by = system_actor("test")
    assert {loaded.what for loaded in load_folder(FOLDER, force=False, by=by)} == {"created"}
    assert {(loaded.what, loaded.version) for loaded in load_folder(FOLDER, force=False, by=by)} == {("unchanged", 1)}


def test_a_changed_file_is_the_next_version_and_one_made_through_the_api_stands(cast: Cast, tmp_path: Path) -> None:
    from features.actions.versions import publish
    from features.models import Feature

    by, file = system_actor("test"), tmp_path / "triage.yaml"
    text = (FOLDER / "triage.yaml").read_text()

    def load(force: bool = False) -> tuple[str, int]:
        [loaded] = load_folder(tmp_path, force=force, by=by)
        return loaded.what, loaded.version

    file.write_text(text)
    assert load() == ("created", 1)
    file.write_text(text.replace("You sort customer messages.", "You sort messages."))
    assert load() == ("published", 2)
    triage = Feature.objects.get(key="triage")
    publish(triage, behavior=read_file(file)["behavior"], make_current=True, by=cast.operator)
    file.write_text(text)
    assert load() == ("kept", 3)
    assert load(force=True) == ("published", 4)
