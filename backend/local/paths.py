"""Where this checkout keeps what it makes at run time: everything under var/, so that `make clean` can remove it."""

import os
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
LOGS = VAR / "log"


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but its owner may read it (mode 0600)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def kept_secret(name: str) -> str:
    """A random secret that is made once per checkout and kept in var/secrets/."""
    path = VAR / "secrets" / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return path.read_text(encoding="utf-8")
