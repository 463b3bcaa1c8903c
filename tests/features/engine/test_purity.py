import ast
import subprocess
import sys
from pathlib import Path

import features.engine

ROOT = Path(__file__).parents[3]
ENGINE = ROOT / "features/engine"
ALLOWED = {"jsonschema_rs", "liquid", "rfc8785", "tenants"}


def test_engine_runs_without_django() -> None:
    check = "import sys, features.engine; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_engine_imports_nothing_that_tells_time_guesses_or_calls() -> None:
    forbidden = {"random", "secrets", "socket", "time", "os", "uuid", "threading", "http", "urllib.request"}
    for path in ENGINE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in names:
                assert name not in forbidden, path
                assert name.split(".")[0] in ALLOWED | sys.stdlib_module_names, path
                assert not name.startswith("tenants") or name == "tenants.errors", path


def test_engine_never_asks_for_the_current_time() -> None:
    for path in ENGINE.glob("*.py"):
        assert ".now(" not in path.read_text(), path
        assert ".today(" not in path.read_text(), path


def test_what_the_engine_offers_is_listed_sorted_and_there() -> None:
    offered = features.engine.__all__
    assert offered == sorted(offered, key=lambda name: (not name.isupper(), name.islower(), name))
    assert all(hasattr(features.engine, name) for name in offered)
