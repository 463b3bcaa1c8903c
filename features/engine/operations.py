"""What an override says: operations on fields, read from a document and written to storage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, cast

from tenants.errors import Invalid, Malformed, Problem

from .digest import canonical, ordered
from .fields import MAX_FIELDS, MAX_TEXT, check_field, check_value, is_text
from .kept import Kept, exactly
from .rules import Rule, documents_of, parse_rules
from .values import ABSENT, Absent, Json, check_json, pointer, same

Kind = Literal["set", "append", "remove"]
KEYS = ("set", "append", "remove", "rules")


@dataclass(frozen=True, slots=True)
class BasedOn:
    """What the author of an operation saw: the versions, and the digest of the value they inherited.

    `in_base`: whether the vendor had the field. One that the vendor has since dropped leaves its operation orphaned.
    """

    base: int
    tenant: int | None
    inherited: str
    in_base: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One change to one field; `value` is the text for append and null for remove.

    `hold`: its owner stays on the version they know whenever the vendor changes what it stands on.
    """

    field: str
    kind: Kind
    value: Json
    based_on: BasedOn | None = None
    hold: bool = False

    @property
    def pointer(self) -> str:
        """Where this operation stands in an override document (a removal: the list it is in)."""
        return "/remove" if self.kind == "remove" else pointer(self.kind, self.field)


def parse_override(
    document: object, *, layer: Literal["tenant", "user"] = "tenant"
) -> tuple[tuple[Operation, ...], dict[str, Rule]]:
    """Read {"set", "append", "remove", "rules"}: sets first, then appends and removals, each as written.

    Raises Malformed when it is not such a document, Invalid with every problem of names, values and rules;
    rules in a user's override are among these, for there is nobody they could bind.
    """
    read = _readable(document)
    operations: dict[str, Operation] = {}
    problems: list[Problem] = []
    for operation, at in _written(read):
        if wrong := check_field(operation.field):
            problems.append(Problem(at, wrong.rule, wrong.message))
        elif operation.field in operations:
            problems.append(Problem(at, "duplicate", f"{operation.field} has two operations"))
        else:
            problems += _check_operation(operation, at)
            operations[operation.field] = operation
    if len(operations) > MAX_FIELDS:
        problems.append(Problem("", "size", f"changes more than {MAX_FIELDS} fields"))
    rules, wrong_rules = _rules(read.get("rules", {}), layer)
    problems += wrong_rules
    if problems:
        raise Invalid("The override is not well formed.", errors=problems)
    return tuple(operations.values()), rules


def _readable(document: object) -> Mapping[str, Json]:
    if not isinstance(document, dict):
        raise Malformed("An override is an object with set, append, remove and rules.")
    if unknown := [key for key in document if key not in KEYS]:
        raise Malformed(
            f"Not known in an override: {', '.join(str(key)[:80] for key in unknown[:10])}.",
            errors=[Problem(pointer(key), "name", "is not known here") for key in unknown[:10]],
        )
    for key in ("set", "append", "rules"):
        if not isinstance(document.get(key, {}), dict):
            raise Malformed(f"“{key}” must be an object.", errors=[Problem(pointer(key), "type", "must be an object")])
    remove = document.get("remove", [])
    if not isinstance(remove, list) or not all(isinstance(field, str) for field in remove):
        raise Malformed(
            "“remove” must be a list of fields.", errors=[Problem("/remove", "type", "must be a list of fields")]
        )
    return document


def _written(document: Mapping[str, Json]) -> Iterable[tuple[Operation, str]]:
    kinds: tuple[Kind, ...] = ("set", "append")
    for kind in kinds:
        for field, value in cast(dict[str, Json], document.get(kind, {})).items():
            yield Operation(field, kind, value), pointer(kind, field)
    for index, field in enumerate(cast(list[str], document.get("remove", []))):
        yield Operation(field, "remove", None), pointer("remove", index)


def _check_operation(operation: Operation, at: str) -> list[Problem]:
    if operation.kind == "set":
        return check_value(operation.field, operation.value, at)
    if operation.kind == "remove":
        return []
    if not is_text(operation.field):
        return [Problem(at, "append", f"{operation.field} is not text: it can be set or removed, not appended to")]
    text = operation.value
    if not isinstance(text, str) or not text.strip():
        return [Problem(at, "type", "must be text that is not empty")]
    if len(text) > MAX_TEXT:
        return [Problem(at, "size", f"is longer than {MAX_TEXT} characters")]
    return check_json(text, at)


def _rules(document: Json, layer: str) -> tuple[dict[str, Rule], list[Problem]]:
    if document and layer == "user":
        return {}, [Problem("/rules", "edit", "rules belong to the organisation’s override, not to a user’s")]
    try:
        return parse_rules(document, layer="tenant"), []
    except Invalid as error:
        return {}, [Problem("/rules" + problem.pointer, problem.rule, problem.message) for problem in error.errors]


def document_of(operations: Iterable[Operation], rules: Mapping[str, Rule] | None = None) -> dict[str, Json]:
    """Write operations and rules as the document they were read from; parts that say nothing are left out."""
    put: dict[str, Json] = {}
    append: dict[str, Json] = {}
    remove: list[Json] = []
    for operation in operations:
        if operation.kind == "remove":
            remove.append(operation.field)
        else:
            (put if operation.kind == "set" else append)[operation.field] = operation.value
    parts: dict[str, Json] = {"set": put, "append": append, "remove": remove, "rules": documents_of(rules or {})}
    return {key: part for key, part in parts.items() if part}


def to_rows(operations: Iterable[Operation]) -> list[Json]:
    """Write operations for storage, with what each is based on."""
    return [
        {"field": op.field, "kind": op.kind, "value": op.value, "based_on": _seen(op.based_on), "hold": op.hold}
        for op in operations
    ]


def _seen(based_on: BasedOn | None) -> Json:
    if based_on is None:
        return None
    return {
        "base": based_on.base,
        "tenant": based_on.tenant,
        "inherited": based_on.inherited,
        "in_base": based_on.in_base,
    }


def from_rows(rows: Iterable[Json]) -> tuple[Operation, ...]:
    """Read operations back from storage (what to_rows wrote; nothing is checked again)."""
    return tuple(_from_row(cast(dict[str, Json], row)) for row in rows)


def _from_row(row: dict[str, Json]) -> Operation:
    seen = cast("dict[str, Json] | None", row["based_on"])
    based_on = seen and BasedOn(
        cast(int, seen["base"]),
        cast("int | None", seen["tenant"]),
        str(seen["inherited"]),
        bool(seen.get("in_base")),
    )
    hold = bool(row.get("hold"))
    return Operation(str(row["field"]), cast(Kind, row["kind"]), row["value"], based_on or None, hold)


def inherited_digest(value: Json | Absent) -> str:
    """Return "absent", or the SHA-256 (hex) that tells whether what an author saw is still the same.

    Order of properties counts, as it does in the behavior's digest.
    """
    if value is ABSENT:
        return "absent"
    return _digests.get((exactly(value),), lambda: sha256(canonical(ordered(value))).hexdigest())


_digests = Kept[str](2_000)


def changed(previous: Iterable[Operation], new: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return the operations of `new` that `previous` does not hold: only these are judged on a save.

    What an operation is based on does not count; the order of properties does.
    """
    before = {operation.field: operation for operation in previous}
    return tuple(op for op in new if op.field not in before or not _alike(op, before[op.field]))


def _alike(one: Operation, other: Operation) -> bool:
    return one.kind == other.kind and same(ordered(one.value), ordered(other.value))
