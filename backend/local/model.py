"""`python -m backend.local.model`: serves the 135M demo model behind an OpenAI-compatible endpoint on loopback.

The key that callers must send comes in BESPOKE_MODEL_KEY. When the model is loaded and answers, the port file holds
{"port", "pid"}; a port file from before is a wish, so that a restart keeps the address that others were given.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from backend.local.paths import ROOT, write_private
from backend.local.programs import demo_weights

ALIAS: Final = "smollm2-135m"
SLOTS: Final = 4
TOKENS_PER_SLOT: Final = 4096
PROMPT_CACHE_MIB: Final = 512


class ModelFailed(RuntimeError):
    """The model server ended or did not get ready."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model server that we started."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def launch(port_file: Path, key: str, log: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the server as a process of its own; wait_ready() says when it answers."""
    return subprocess.Popen(
        [sys.executable, "-m", "backend.local.model", "--port-file", str(port_file)],
        cwd=ROOT,
        env={**os.environ, "BESPOKE_MODEL_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def wait_ready(process: subprocess.Popen[bytes], port_file: Path, patience: float = 120) -> Model:
    """Wait until our own process says that it is ready. Raises ModelFailed."""
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        note = _read(port_file)
        if note.get("pid") == process.pid:
            return Model(process, note["port"])
        time.sleep(0.05)
    process.kill()
    raise ModelFailed(f"The demo model did not start (status {process.wait()}).")


def threads() -> int:
    """Leave a core to web, workers and database."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def serve(port_file: Path, key: str) -> None:
    """Load the weights and serve until a signal ends this process; no state is lost by that."""
    import xllamacpp

    def parameters(port: int) -> xllamacpp.CommonParams:
        wanted = xllamacpp.CommonParams()
        wanted.model.path = str(demo_weights())
        wanted.model_alias = {ALIAS}
        wanted.hostnames, wanted.port, wanted.api_keys = ["127.0.0.1"], port, [key]
        wanted.n_parallel, wanted.n_ctx, wanted.cont_batching = SLOTS, SLOTS * TOKENS_PER_SLOT, True
        wanted.cache_prompt, wanted.cache_ram_mib = True, PROMPT_CACHE_MIB
        wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads()
        wanted.ui, wanted.offline, wanted.verbosity = False, True, 2
        return wanted

    try:
        server = xllamacpp.Server(parameters(_read(port_file).get("port", 0)))
    except RuntimeError:  # the port of last time is somebody else's by now
        server = xllamacpp.Server(parameters(0))
    address = server.listening_address
    with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:  # noqa: S310  # our own loopback address
        answer.read()
    write_private(port_file, json.dumps({"port": int(address.rsplit(":", 1)[1]), "pid": os.getpid()}))
    signal.pause()


def _read(port_file: Path) -> Mapping[str, int]:
    found: dict[str, int] = json.loads(port_file.read_text()) if port_file.exists() else {}
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m backend.local.model", description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    serve(parser.parse_args().port_file, os.environ["BESPOKE_MODEL_KEY"])
