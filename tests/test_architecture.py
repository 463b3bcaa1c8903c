"""The folders are the diagram: imports point one way, and some things stand in one place only."""

import ast
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STOREYS = {"tenants": ["tenants"], "features": ["features"], "features.runs": ["features/runs"], "backend": ["backend"]}


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, relative ones made absolute."""
    package = path.relative_to(ROOT).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *(node.module.split(".") if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def storey_of(name: str) -> int | None:
    names = list(STOREYS)
    fits = [i for i, storey in enumerate(names) if name == storey or name.startswith(f"{storey}.")]
    return max(fits, default=None)


def sources(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize("folder", ["tenants", "features", "backend"])
def test_imports_point_down(folder: str) -> None:
    for path in sources(folder):
        own = storey_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        above = {name for name in imported(path) if (storey_of(name) or 0) > (own or 0)}
        assert not above, f"{path.relative_to(ROOT)} reaches up to {above}"


def test_only_the_provider_imports_openai() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for folder in ("tenants", "features", "backend")
        for path in sources(folder)
        if any(name.split(".")[0] == "openai" for name in imported(path))
    }
    assert importers == {"features/runs/provider.py"}


@pytest.mark.parametrize(
    "name",
    [
        "tenants.actions",
        *(f"tenants.{noun}" for noun in ("approvals", "invitations", "operators", "rotation", "support")),
        "tenants.provider_keys",
        "tenants.webhooks",
        *(f"features.actions.{noun}" for noun in ("versions", "overrides", "pins", "policy", "rollouts", "targets")),
        *(f"features.actions.{noun}" for noun in ("availability", "promote", "withdrawals")),
    ],
)
def test_whoever_acts_says_who_and_leaves_an_audit_row(name: str) -> None:
    """Every public function with `by` that writes goes through `by.doing`, itself or by the one it hands over to."""
    module = __import__(name, fromlist=["_"])
    tree = ast.parse(inspect.getsource(module))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def calls(node: ast.FunctionDef) -> set[str]:
        found = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
        return {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in found}

    def does(function: str, seen: frozenset[str] = frozenset()) -> bool:
        called = calls(functions[function])
        inner = [other for other in called & functions.keys() if other not in seen]
        return "doing" in called or any(does(other, seen | {function}) for other in inner)

    takers = [
        n for n, node in functions.items() if not n.startswith("_") and "by" in {a.arg for a in node.args.kwonlyargs}
    ]
    assert takers
    assert [function for function in takers if not does(function)] == []


def test_doors_never_ask_for_rows_of_all_tenants_by_accident() -> None:
    """In the dashboard no view names a model's manager: rows come from actions and finders that know the actor."""
    for path in sources("backend/web"):
        assert ".objects" not in path.read_text(), path.relative_to(ROOT)


def test_no_file_outgrows_its_room() -> None:
    long = {str(p.relative_to(ROOT)): n for f in STOREYS for p in sources(f.replace(".", "/"))
            if (n := p.read_text().count("\n")) > 400}  # fmt: skip
    assert long == {}
