"""`python install.py base embedded …`: makes .venv from the hashed locks and shows how far it is.

Run as a file, by the interpreter that the Makefile has picked, with nothing but the standard library.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = ROOT / "var" / "log" / "install.log"


def lock_of(part: str) -> Path:
    return ROOT / "requirements" / f"{part}.txt"


def installed_copy(part: str) -> Path:
    """The lock as it was installed; a fresh checkout's file times say nothing."""
    return VENV / "installed" / f"{part}.txt"


def outdated(parts: Sequence[str]) -> list[str]:
    """The parts whose lock is not the one installed."""
    return [
        part
        for part in parts
        if not installed_copy(part).exists() or installed_copy(part).read_bytes() != lock_of(part).read_bytes()
    ]


def make_venv() -> None:
    """A virtual environment with pip, of whatever pip this machine offers."""
    print(f"Making .venv with {sys.executable} ({sys.version.split()[0]})")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            f"{made.stdout}{made.stderr}\nThis Python cannot make a virtual environment. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def packages(part: str) -> int:
    """How many packages a lock holds; a few are for other systems and will not be counted off."""
    return len(re.findall(r"^[A-Za-z0-9][\w.-]*==", lock_of(part).read_text(), re.MULTILINE))


def install(parts: Sequence[str]) -> None:
    """pip, with hashes and without looking for dependencies: the locks hold everything."""
    command = [str(PYTHON), "-m", "pip", "install", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
    command += ["--no-input", "--no-warn-script-location"]
    for part in parts:
        command += ["-r", str(lock_of(part))]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w", encoding="utf-8") as log:
        log.write(f"{' '.join(command)}\n")
        pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert pip.stdout is not None
        show(keep(pip.stdout, log), sum(packages(part) for part in parts))
    if pip.wait():
        sys.exit("".join(LOG.read_text(encoding="utf-8").splitlines(keepends=True)[-12:]) + f"pip failed, see {LOG}")
    for part in parts:
        installed_copy(part).parent.mkdir(exist_ok=True)
        shutil.copyfile(lock_of(part), installed_copy(part))


def keep(lines: Iterable[str], log: IO[str]) -> Iterator[str]:
    for line in lines:
        log.write(line)
        yield line


def show(lines: Iterable[str], total: int) -> None:
    """One line that is written over in a terminal; a line every tenth of the way elsewhere."""
    live = sys.stdout.isatty()
    started, done, told = time.monotonic(), 0, 0
    for line in lines:
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            done += 1
            name = line.removeprefix("Collecting ").removeprefix("Requirement already satisfied: ").split("==")[0]
            text = f"{done:3}/{total} {name.strip()}"
        elif line.startswith("Installing collected packages"):
            text = "unpacking"
        else:
            continue
        if live:
            print(f"\r\x1b[K  {text}", end="", flush=True)
        elif text == "unpacking" or done * 10 // total > told:
            told = done * 10 // total
            print(f"  {text}", flush=True)
    print(f"{chr(13) + chr(27) + '[K' if live else ''}  done in {time.monotonic() - started:.0f} s", flush=True)


def main(parts: Sequence[str]) -> None:
    if not PYTHON.exists() or subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode:
        make_venv()
    if missing := outdated(parts):
        print(f"Installing {', '.join(missing)} from requirements/")
        install(missing)


if __name__ == "__main__":
    main(sys.argv[1:])
