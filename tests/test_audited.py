"""Every write has its row in an audit: whatever takes `by` and writes, and every address that changes something."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tenants.isolation import OPERATOR, operator_tx
from tenants.models import AuditEvent, VendorAuditEvent
from tests.test_architecture import ROOT, imported, sources
from tests.test_isolation import TABLE, Alice, Row, alice  # noqa: F401  # a fixture

# Public functions that take `by` and leave no row of their own, and why.
OWN_RECORD = {
    "accept": "a run's row is its own record: who asked, when, what, on which behavior",
    "replay": "a run, as accept",
    "run_rows": "runs, as accept",
    "start_suggestion": "a run, as accept",
    "begin": "a preview: runs that nobody keeps, with an author, for an hour",
    "once": "what it carries out once leaves the row",
    "carry_out_cancel": "goes on with what was asked for, which has its row",
    "end_preview": "ends what only its author had",
    "mark_read": "says that somebody has read a notice of their own",
    "note_for": "writes a row itself: what the vendor does, in the organisation's audit",
    "note_for_vendor": "writes a row itself, in the vendor's audit",
    "record_impact": "is done within the action that moves, which leaves the row",
}
READS = {
    "conflicts",
    "compared",
    "find_preview",
    "look_over",
    "suggestion_of",
    "what_to_leave",
    "who_relies",
    "working",
}
WRITES = ("save", "create", "bulk_create", "update", "delete", "supersede", "execute", "write", "bump")


@dataclass(frozen=True)
class Function:
    """A function somewhere, what it takes and what it calls."""

    module: str
    name: str
    keywords: frozenset[str]
    calls: frozenset[str]


@cache
def functions() -> dict[tuple[str, str], Function]:
    found = {}
    for path in [*sources("tenants"), *sources("features")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found[module, node.name] = Function(module, node.name, _keywords(node), _calls(node))
    return found


def _keywords(node: ast.FunctionDef) -> frozenset[str]:
    return frozenset(argument.arg for argument in node.args.kwonlyargs)


def _calls(node: ast.FunctionDef) -> frozenset[str]:
    called = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    named = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called}
    handed_over = {
        name.id
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        for name in call.args
        if isinstance(name, ast.Name)
    }
    return frozenset(named | handed_over)


@cache
def names_in(module: str) -> dict[str, tuple[str, str]]:
    """What a module's names of functions mean: its own, and those that it imports."""
    own = {name: (there, name) for there, name in functions() if there == module}
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    known = functions()
    for dotted in imported(path):
        there, _, name = dotted.rpartition(".")
        if (there, name) in known:
            own.setdefault(name, (there, name))
    return own


def reached(start: Function) -> Iterator[Function]:
    """A function and whatever it calls, however deep."""
    seen, waiting = set(), [start]
    while waiting:
        function = waiting.pop()
        if (function.module, function.name) in seen:
            continue
        seen.add((function.module, function.name))
        yield function
        names = names_in(function.module)
        waiting += [functions()[names[name]] for name in function.calls & names.keys()]


def acting() -> list[Function]:
    return [f for f in functions().values() if "by" in f.keywords and not f.name.startswith("_")]


def test_whatever_somebody_does_leaves_a_row_or_is_listed_with_the_reason() -> None:
    silent = {f"{f.module}.{f.name}" for f in acting() if not any("doing" in g.calls for g in reached(f))}
    listed = {name for name in silent if name.rpartition(".")[2] in OWN_RECORD.keys() | READS}
    assert silent - listed == set()
    assert len(acting()) - len(silent) > 40


def test_what_is_listed_as_read_writes_nothing() -> None:
    for function in acting():
        if function.name in READS:
            assert not any(call in WRITES for call in function.calls), function


# Addresses that change something and leave no row, and why.
UNAUDITED = {
    "api/v1/features/<str:feature>/runs": OWN_RECORD["accept"],
    "api/v1/runs/<id:run_id>/replay": OWN_RECORD["replay"],
    "api/v1/features/<str:feature>/preview": OWN_RECORD["begin"],
    "api/v1/features/<str:feature>/suggest": OWN_RECORD["start_suggestion"],
    "api/v1/previews/<id:preview_id>": OWN_RECORD["end_preview"],
    "api/v1/notices/<id:notice_id>/read": OWN_RECORD["mark_read"],
}


def rows_that_write() -> list[tuple[str, Row]]:
    return [
        (route, row) for route, rows in TABLE.items() for row in rows
        if route.startswith("api/") and row.method != "get" and "dry_run" not in row.path
    ]  # fmt: skip


def count() -> int:
    with operator_tx():
        return VendorAuditEvent.objects.using(OPERATOR).count()


def test_every_address_that_changes_something_leaves_a_row(alice: Alice) -> None:  # noqa: F811
    """Each as the first of those who may: an admin of hers, Alice herself, an operator."""
    cast = alice.cast
    alice.keys |= {"ada": cast.key(cast.ada), "alice": cast.key(cast.alice)}
    done, silent = set(), []

    def written() -> int:
        with cast.ada.present():
            return count() + AuditEvent.objects.count()

    for route, row in rows_that_write():
        for who in ("alice", "ada", "vendor"):
            before = written()
            answer = alice.ask(who, row, alice.ids)
            if answer.status_code < 300:
                done.add(route)
                if written() == before and route not in UNAUDITED:
                    silent.append((row.method, row.path, who, answer.status_code))
                break
    assert silent == []
    assert len(done - UNAUDITED.keys()) > 25, sorted(done)


def test_no_row_holds_what_people_wrote(alice: Alice) -> None:  # noqa: F811
    """Their canaries are in names, texts, reasons, addresses and inputs; the chain outlives them all."""
    with alice.cast.ada.present():
        rows = [str((event.actor, event.target, event.detail)) for event in AuditEvent.objects.all()]
    assert len(rows) > 10
    assert [row for row in rows if "CANARY" in row] == []


def test_the_listed_reasons_are_of_functions_and_addresses_that_there_are() -> None:
    names = {function.name for function in functions().values()}
    assert OWN_RECORD.keys() | READS <= names
    assert UNAUDITED.keys() <= TABLE.keys()


@pytest.mark.parametrize("name", ["create_key", "save_override", "pin", "cancel", "ask_for_export", "erase_subject"])
def test_those_known_to_leave_one_are_seen_to(name: str) -> None:
    [function] = [function for function in acting() if function.name == name]
    assert any("doing" in other.calls for other in reached(function))
