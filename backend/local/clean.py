"""`python -m backend.local.clean`: removes all that the Makefile's targets made here. Standard library only."""

import shutil
import sys
from pathlib import Path

from backend.local.lock import AlreadyRunning, only_one
from backend.local.paths import ROOT, VAR
from backend.local.processes import Register, end

MADE = (".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "staticfiles")


def main() -> None:
    try:
        with only_one(VAR):
            end(Register(VAR / "processes.json").leftovers())
            for note in (VAR / "postgres/elsewhere", VAR / "postgres/sockets"):
                if note.exists():
                    shutil.rmtree(note.read_text(encoding="utf-8"), ignore_errors=True)
            for name in (*MADE, VAR.name):
                shutil.rmtree(ROOT / name, ignore_errors=True)
    except AlreadyRunning as running:
        sys.exit(f"{running} Stop it first.")
    for cache in [*ROOT.rglob("__pycache__")]:
        shutil.rmtree(cache, ignore_errors=True)


def _say_if_left(paths: list[Path]) -> None:
    left = [str(path) for path in paths if path.exists()]
    if left:
        sys.exit(f"Could not remove {', '.join(left)}")


if __name__ == "__main__":
    main()
    _say_if_left([ROOT / name for name in (*MADE, VAR.name)])
