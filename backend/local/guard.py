"""`python -m backend.local.guard REGISTER [FOLDER]`: when its input ends, ends the listed processes, removes FOLDER."""

import shutil
import sys
from pathlib import Path

from backend.local.processes import Register, end


def main(register: Path, *folders: Path) -> None:
    sys.stdin.buffer.read()
    end(Register(register).leftovers())
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
