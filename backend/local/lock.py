"""One supervisor per checkout: a lock that the kernel frees when its holder ends, however that happens."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another process holds the lock; the message says which."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold folder/lock, with our process id in it for whoever finds it taken. Raises AlreadyRunning."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip()
            raise AlreadyRunning(f"Bespoke is already running in this checkout (process {pid}).") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
