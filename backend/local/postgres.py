"""An embedded PostgreSQL: our own data folder and server process, reached through a unix socket and nothing else."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import quote

from backend.local.paths import write_private
from backend.local.programs import Account, home_of, postgres_programs

SUPERUSER: Final = "postgres"
SOCKET_NAME: Final = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH: Final = 103  # sun_path holds 107 bytes on Linux, 103 on macOS
STOP_SIGNALS: Final = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

STANDARD: Final[Mapping[str, str]] = {"max_connections": "200", "jit": "off", "timezone": "UTC"}
THROWAWAY: Final[Mapping[str, str]] = {
    **STANDARD,
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}


class PostgresFailed(RuntimeError):
    """The embedded server could not be made or started; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server that we started."""

    process: subprocess.Popen[bytes]
    data: Path
    sockets: Path

    def url(self, role: str = SUPERUSER, database: str = "postgres") -> str:
        """A libpq URL. There is no password: only this machine's owner of the socket folder gets that far."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='')}"

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast", patience: float = 30) -> None:
        """Stop the server and wait for it; after `patience` seconds without waiting for anything any more."""
        if self.process.poll() is None:
            self.process.send_signal(STOP_SIGNALS[mode])
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        shutil.rmtree(self.sockets, ignore_errors=True)


def start(
    home: Path,
    *,
    settings: Mapping[str, str] = STANDARD,
    sockets: Path | None = None,
    log: Path | None = None,
) -> Postgres:
    """Start a server on the data folder below `home`, made on the first call; returns when it takes connections.

    sockets: the folder for its socket, by default a fresh one with a short path in the folder for temporary files.
    Works as root too: then the server runs as `nobody`. Raises PostgresFailed.
    """
    account = Account.fit()
    home = home_of(account, home)
    programs = postgres_programs(account, home)
    data = home / "data"
    if not data.exists():
        _make_data_folder(data, programs, account)
    _check_major_version(data, programs, account)
    _forget_stale_pid(data)
    sockets = sockets or _socket_folder(home)
    account.own(sockets)
    command = [str(programs / "postgres"), "-D", str(data)]
    for name, value in {**settings, "listen_addresses": "", "unix_socket_directories": str(sockets)}.items():
        command += ["-c", f"{name}={value}"]
    with log.open("ab") if log else tempfile.TemporaryFile("w+b") as output:
        before = output.seek(0, os.SEEK_END)
        # A session of its own: a Ctrl-C in the terminal reaches us, and we stop it in our order.
        process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **account.switch,
        )
        server = Postgres(process, data, sockets)
        if not _became_ready(server):
            server.stop("immediate")
            raise PostgresFailed(f"PostgreSQL did not start. {_tail(log or output, before)}")
    return server


def _make_data_folder(data: Path, programs: Path, account: Account) -> None:
    """initdb into a temporary name, so that an interrupted one is not taken for a data folder."""
    half = data.with_name(f"{data.name}.{os.getpid()}")
    account.own(half)
    command = [programs / "initdb", "-D", half, "-U", SUPERUSER, "-A", "trust", "--encoding=UTF8", "--locale=C"]
    # The builtin provider is the same on every machine; libc's C.UTF-8 is missing on macOS.
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"]
    done = subprocess.run([str(part) for part in command], cwd="/", capture_output=True, text=True, **account.switch)
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        raise PostgresFailed(f"initdb failed: {done.stderr or done.stdout}")
    half.rename(data)


def _check_major_version(data: Path, programs: Path, account: Account) -> None:
    made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    asked = [str(programs / "postgres"), "--version"]
    answer = subprocess.run(asked, cwd="/", capture_output=True, text=True, **account.switch)
    installed = answer.stdout.split()[-1].split(".")[0]
    if made_by != installed:
        raise PostgresFailed(
            f"{data} was made by PostgreSQL {made_by}, but {installed} is installed: try `make clean`."
        )


def _forget_stale_pid(data: Path) -> None:
    """After a power cut the pid in the lock file may be anybody's by now, and PostgreSQL would refuse to start.

    Whoever calls start() holds the lock of this checkout and has ended its leftovers, so a server that still
    runs here is a mistake to report, and any other process is not the server.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if _works_in(pid, data):
        raise PostgresFailed(f"Another PostgreSQL (process {pid}) is running on {data}.")
    lock.unlink()


def _works_in(pid: int, data: Path) -> bool:
    """Whether the process is a server of this data folder: it works in it, and names it on its command line."""
    if Path("/proc/self").exists():
        return Path(f"/proc/{pid}/cwd").resolve() == data.resolve()
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return str(data) in shown.stdout


def _socket_folder(home: Path) -> Path:
    """A fresh folder with a path short enough for a unix socket; the last start's is removed if it was left behind."""
    note = home / "sockets"
    if note.exists():
        shutil.rmtree(note.read_text(encoding="utf-8"), ignore_errors=True)
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108  # mkdtemp makes it ours alone
        folder = Path(tempfile.mkdtemp(prefix="bespoke-", dir=place))
        if len(str(folder / SOCKET_NAME).encode()) <= LONGEST_SOCKET_PATH:
            write_private(note, str(folder))
            return folder
        folder.rmdir()
    raise PostgresFailed("No folder for temporary files has a path short enough for a unix socket.")


def _became_ready(server: Postgres, patience: float = 60) -> bool:
    """Waits for our own process, by its pid and the line `ready` in its lock file; a fixed port could be anybody's."""
    lock = server.data / "postmaster.pid"
    deadline = time.monotonic() + patience
    while server.process.poll() is None and time.monotonic() < deadline:
        lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
        if len(lines) >= 8 and lines[0] == str(server.process.pid) and lines[7].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def _tail(output: Path | IO[bytes], start: int) -> str:
    if isinstance(output, Path):
        return f"Its log: {output}"
    output.seek(start)
    return output.read().decode(errors="replace")[-2000:]
