"""An output and its schema → a tree of nodes for the templates. Everything in it is text; templates escape it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .schema_words import Schema, as_schema, check_words, child, follow, kind, label, properties
from .words import plain

NodeKind = Literal["text", "choice", "flag", "number", "list", "object", "table", "empty"]
KINDS: dict[str, NodeKind] = {
    "boolean": "flag", "integer": "number", "number": "number", "array": "list", "object": "object"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """One part of an output: its label, how it is drawn, and either text or parts.

    `pointer` is the JSON pointer from the output's root; streaming finds the place for a coming part by it.
    """

    pointer: str
    label: str
    kind: NodeKind
    text: str = ""
    parts: tuple["Node", ...] = ()
    columns: tuple[str, ...] = ()
    coming: bool = False

    @property
    def paragraphs(self) -> list[str]:
        """The text cut at blank lines."""
        return [part for part in self.text.split("\n\n") if part.strip()] or [self.text]

    @property
    def short(self) -> bool:
        """Whether the node reads well on the line of its label."""
        return self.kind in ("flag", "number", "choice", "empty")


def render_output(output: Any, schema: Any) -> tuple[Node, ...]:
    """Return the nodes of an output's properties in the order of its schema, undeclared ones last."""
    root = as_schema(schema)
    definitions = as_schema(root.get("$defs"))
    if not isinstance(output, Mapping):
        return (_node("", "", output, root, definitions),)
    return _parts(output, root, definitions, "")


def coming_output(schema: Any) -> tuple[Node, ...]:
    """Return the places that an output of this schema will fill: what streaming draws into."""
    root = as_schema(schema)
    declared = properties(root, as_schema(root.get("$defs")))
    return tuple(
        Node(child("", name), label(name, part), _kind_of(part), coming=True) for name, part in declared.items()
    )


def summary_line(value: Any, limit: int = 90) -> str:
    """The text that says most in a value, on one line: what a run is called in lists.

    That is the longest of its own texts, else the first one inside.
    """
    own = [part for part in value.values() if isinstance(part, str)] if isinstance(value, Mapping) else []
    line = " ".join((max(own, key=len, default="") or next(_texts(value), "")).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def field_summary(field: str, value: Any) -> str:
    """A structured field of a behavior in one line: what a contract asks for, what an example shows."""
    schema = as_schema(value)
    if field in ("input", "output"):
        return ", ".join(label(name, part) for name, part in properties(schema, as_schema(schema.get("$defs"))).items())
    if field.startswith("examples."):
        return f"{summary_line(schema.get('input'), 60)} → {summary_line(schema.get('output'), 60)}"
    if field.startswith("checks."):
        return check_words(schema)
    return json.dumps(value, ensure_ascii=False)


def copy_text(nodes: Sequence[Node]) -> str:
    """An output as plain text for the clipboard: a lone text without its label, else each part under its own."""
    if len(nodes) == 1 and nodes[0].kind == "text":
        return nodes[0].text
    return "\n\n".join(f"{node.label}{': ' if node.short else chr(10)}{_flat(node)}" for node in nodes)


def flat(node: Node) -> str:
    """One part of an output as plain text, without its label."""
    return _flat(node)


def _kind_of(schema: Schema) -> NodeKind:
    return "choice" if "enum" in schema else KINDS.get(kind(schema), "text")


def _flat(node: Node) -> str:
    if node.kind == "list":
        return "\n".join(f"- {_flat(part)}" for part in node.parts)
    if node.kind in ("object", "table"):
        told = [part for part in node.parts if part.kind != "empty"]
        return "\n".join(f"{part.label}: {_flat(part)}" if part.label else _flat(part) for part in told)
    return node.text


def _parts(value: Mapping[str, Any], schema: Schema, definitions: Schema, pointer: str) -> tuple[Node, ...]:
    declared = properties(schema, definitions)
    names = [name for name in declared if name in value] + [name for name in value if name not in declared]
    return tuple(
        _node(child(pointer, name), label(name, part), value[name], part, definitions)
        for name, part in ((name, declared.get(name, {})) for name in names)
    )


def _node(pointer: str, title: str, value: Any, schema: Schema, definitions: Schema) -> Node:
    match value:
        case None | "":
            return Node(pointer, title, "empty")
        case bool():
            return Node(pointer, title, "flag", plain(value))
        case str():
            return Node(pointer, title, "choice" if "enum" in schema else "text", value)
        case Mapping():
            return Node(pointer, title, "object", parts=_parts(value, schema, definitions, pointer))
        case list():
            return _list(pointer, title, value, schema, definitions)
    return Node(pointer, title, "number", plain(value))


def _list(pointer: str, title: str, value: list[Any], schema: Schema, definitions: Schema) -> Node:
    items = follow(schema.get("items"), definitions)
    if not value:
        return Node(pointer, title, "empty")
    if all(isinstance(item, Mapping) for item in value):
        return _table(pointer, title, value, items, definitions)
    parts = tuple(_node(child(pointer, index), "", item, items, definitions) for index, item in enumerate(value))
    return Node(pointer, title, "list", parts=parts)


def _table(pointer: str, title: str, rows: list[Mapping[str, Any]], items: Schema, definitions: Schema) -> Node:
    """A list of objects: a row each, and a column for every property that any of them has."""
    declared = properties(items, definitions)
    used = dict.fromkeys(name for row in rows for name in row)
    columns = {name: part for name, part in declared.items() if name in used} | {
        name: {} for name in used if name not in declared
    }
    drawn = tuple(
        Node(
            child(pointer, index), "", "object",
            parts=tuple(
                _node(child(child(pointer, index), name), label(name, part), row.get(name), part, definitions)
                for name, part in columns.items()
            ),
        )
        for index, row in enumerate(rows)
    )  # fmt: skip
    titles = tuple(label(name, part) for name, part in columns.items())
    return Node(pointer, title, "table", parts=drawn, columns=titles)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
