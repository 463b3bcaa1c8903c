"""`python -m backend.local serve|demo`: everything on one machine, with or without the story."""

import json
import os
import signal
import sys
import urllib.error

from rich.console import Console
from rich.table import Table

from backend.local.client import Refused
from backend.local.environment import Unfit
from backend.local.furnish import furnish
from backend.local.lock import AlreadyRunning
from backend.local.model import ModelFailed
from backend.local.paths import VAR
from backend.local.postgres import PostgresFailed
from backend.local.programs import NotInstalled
from backend.local.story import StoryBroke, play
from backend.local.supervise import Running, StartFailed, everything
from backend.local.valkey import ValkeyFailed

NO_START = (AlreadyRunning, Unfit, StartFailed, NotInstalled, PostgresFailed, ValkeyFailed, ModelFailed)
BROKEN = (StoryBroke, Refused, TimeoutError, urllib.error.URLError)


def main(arguments: list[str]) -> int:
    if arguments not in (["serve"], ["demo"]):
        print(__doc__)
        return 2
    console = Console()
    told = arguments == ["demo"]
    try:
        with everything(console) as running:
            if told:
                furnish(play(running.base_url, console))
            if told and os.environ.get("DEMO_SERVE") == "0":
                return 0
            return _serve(running, console)
    except (*NO_START, *BROKEN) as failure:
        console.print(str(failure), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped before it was done.")
        return 130


def _serve(running: Running, console: Console) -> int:
    """Show where to go and who to be; return when we are asked to stop."""
    people = json.loads((VAR / "demo.json").read_text(encoding="utf-8"))
    table = Table("who", "email", "password")
    for name in ("operator", "ada", "alice", "bob", "gus", "mallory"):
        table.add_row(name, people[name]["email"], people[name]["password"])
    try:  # from the first line on: who reads that it runs may stop it before the last line is out
        console.print(f"\n[bold]Bespoke is at {running.base_url}[/]", highlight=False)
        console.print(table)
        console.print(f"API: {running.base_url}/api/v1/docs", highlight=False)
        console.print("Keys: var/demo.json, logs: var/log/. Ctrl-C stops it.", highlight=False)
        signal.pause()
    except KeyboardInterrupt:
        console.print("Stopping …")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
