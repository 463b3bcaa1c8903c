"""`python -m backend.local.throwaway COMMAND …`: runs a command with servers of its own that are gone afterwards.

For whatever reads backend.settings without being a test: mypy's Django plugin, makemigrations.
"""

import os
import secrets
import subprocess
import sys

from backend.local.paths import ROOT
from backend.local.testing import throwaway_services


def main(command: list[str]) -> int:
    with throwaway_services() as services:
        local = {
            "BESPOKE_ENVIRONMENT": "local", "SECRET_KEY": secrets.token_hex(32),
            "BESPOKE_SECRET_KEYS": f"throwaway:{secrets.token_hex(32)}",
        }  # fmt: skip
        environment = {**local, **os.environ, **services.environ()}
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
