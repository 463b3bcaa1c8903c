"""The quick start, typed as it stands there, against the real web, worker and beat."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.fakes.model import Answer
from tests.processes import Stack

PAGE = (Path(__file__).resolve().parents[2] / "docs/quickstart.md").read_text()
SCRIPT = "\n".join(re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
REPLY = Answer(json.dumps({"body": "Thank you for your message. A colleague will look into it today."}))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_every_command_of_the_quick_start_does_and_prints_what_it_says(stack: Stack, tmp_path: Path) -> None:
    call_command("load_catalog", verbosity=0)
    stack.model.default = lambda _: REPLY
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = tmp_path / "quickstart.sh"
    script.write_text(f"set -eu -o pipefail\n{SCRIPT}".replace("9099", port))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BESPOKE": stack.base_url,
        "ADMIN_KEY": stack.cast.key(stack.cast.ada),
    }
    done = subprocess.run(
        ["bash", str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{stack.web.said()[-3000:]}"
    assert done.stdout.splitlines() == re.findall(r"^# → (.*)$", SCRIPT, re.MULTILINE)
    left = [stack.knock("ada").get(f"/{things}").json()["items"] for things in ("webhooks", "budgets")]
    assert left == [[], []]
