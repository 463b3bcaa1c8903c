"""A feature as people write it: one YAML document, nested by group. The catalog's files and the editor's text."""

import re
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import yaml

from features.engine import Json
from features.models import Feature, Version
from tenants.errors import Invalid, Problem

WORDS = ("title", "summary", "verb", "icon")  # of the feature, not of a version
PARTS = ("behavior", "rules", "titles", "samples")
KNOWN = {"feature", *WORDS, *PARTS}
LONGEST = 400_000  # characters of a document
_COMMENT = re.compile(r"(^|\s)#")


class _Loader(yaml.SafeLoader):
    """YAML without anchors' aliases: a few of them in each other would unfold into more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        reader: Any = self  # parsing has no types
        if reader.check_event(yaml.AliasEvent):
            mark = reader.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not read here: write it out", mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: texts of several lines as blocks, lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def read_text(text: str) -> dict[str, Any]:
    """Read one document. Raises Invalid for what is no feature, with a pointer to each wrong part of it.

    For what is no YAML the one problem's pointer is empty, and its message names the line.
    """
    if len(text) > LONGEST:
        raise Invalid(f"A document has at most {LONGEST} characters.")
    document = deepcopy(_loaded(text))
    if not isinstance(document, dict):
        raise Invalid("A feature is one mapping: `behavior:` and what belongs to it.")
    unknown = [Problem(f"/{name}", "unknown", "is not known here") for name in document if name not in KNOWN]
    wrong_shape = [
        Problem(f"/{name}", "type", "must be a mapping")
        for name in ("behavior", "rules", "titles")
        if not isinstance(document.get(name) or {}, dict)
    ]
    missing = [] if "behavior" in document else [Problem("/behavior", "required", "is missing")]
    if unknown or missing or wrong_shape:
        raise Invalid("This is no feature.", errors=[*unknown, *missing, *wrong_shape])
    return document


@lru_cache(maxsize=32)  # an editor draws, compares and checks one text, and the one that it began with each time
def _loaded(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader, with less
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise _not_yaml(wrong) from wrong


def write_text(document: Mapping[str, Any]) -> str:
    """Write a document; reading it gives an equal one, its order kept."""
    return write_value(dict(document))


def write_value(value: Any) -> str:
    """Write a part of a document by itself."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text.removesuffix("...\n")  # which ends a document that is one plain scalar


def read_value(text: str) -> Any:
    """Read a part of a document by itself; what is no YAML is the text itself."""
    try:
        return deepcopy(_loaded(text))
    except Invalid:
        return text


def comments_in(text: str) -> int:
    """How many lines of a document have a comment, which no reader of YAML keeps. Raises Invalid."""
    if not _COMMENT.search(text):
        return 0
    try:
        tokens = [token for token in yaml.scan(text, Loader=_Loader) if isinstance(token, yaml.ScalarToken)]
    except yaml.YAMLError as wrong:
        raise _not_yaml(wrong) from wrong
    outside, place = list[str](), 0
    for token in tokens:
        start, end = token.start_mark.index, token.end_mark.index
        outside += [text[place:start], _beside_block(text[start:end]) if token.style in ("|", ">") else ""]
        place = end
    return sum(1 for line in "".join([*outside, text[place:]]).splitlines() if _COMMENT.search(line))


def _beside_block(block: str) -> str:
    """What PyYAML takes for part of a block and is none: the rest of its first line, lines that stand further left."""
    first, *lines = block.split("\n")
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    left = [line for line in lines if line.strip() and len(line) - len(line.lstrip(" ")) < indents[0]]
    return "\n".join([first, *left, ""])


def document_of(feature: Feature, version: Version) -> dict[str, Any]:
    """A version with its feature's words as a document."""
    words = {name: getattr(feature, name) for name in WORDS if getattr(feature, name)}
    found: dict[str, Any] = {"feature": feature.key, **words, "behavior": nested(version.behavior)}
    return {**found, **{name: getattr(version, name) for name in PARTS[1:] if getattr(version, name)}}


def nested(fields: Mapping[str, Json]) -> dict[str, Any]:
    """From `{"vars.tone": …}` to `{"vars": {"tone": …}}`, order kept."""
    found: dict[str, Any] = {}
    for field, value in fields.items():
        group, dot, name = field.partition(".")
        if dot:
            found.setdefault(group, {})[name] = value
        else:
            found[field] = value
    return found


def line_of(text: str, pointer: str) -> int:
    """The line (from 1) of a document on which the part stands that a pointer (RFC 6901) names, or the nearest above.

    0 where the text cannot be read.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError):
        return 0
    line = node.start_mark.line if node else 0
    for step in filter(None, pointer.split("/")):
        found = _inside(node, step.replace("~1", "/").replace("~0", "~"))
        if found is None:
            break
        mark, node = found
        line = mark.line
    return int(line) + 1


def _inside(node: Any, step: str) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
        return node.value[int(step)].start_mark, node.value[int(step)]
    return None


def _not_yaml(wrong: Exception) -> Invalid:
    mark = getattr(wrong, "problem_mark", None)
    told = getattr(wrong, "problem", None) or str(wrong) or "it cannot be read"
    where = f"line {mark.line + 1}: " if mark else ""
    return Invalid(f"This is not YAML: {where}{told}", errors=[Problem("", "yaml", f"{where}{told}")])
