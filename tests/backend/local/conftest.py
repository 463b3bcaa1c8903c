"""A folder for servers that may run as another user: pytest's own tmp_path is closed to everybody else."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bespoke-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
