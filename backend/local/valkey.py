"""An embedded Valkey for bells, messages and the streams of runs: loopback, a random password, an append-only file."""

import secrets
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from backend.local.programs import valkey_server

ATTEMPTS = 5


class ValkeyFailed(RuntimeError):
    """The embedded server could not be started; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server that we started."""

    process: subprocess.Popen[bytes]
    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """A TCP URL: Celery, kombu and redis-py spell unix sockets differently, and one setting must serve them all."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def stop(self, patience: float = 10) -> None:
        """Stop the server, its file synced, and wait for it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start(home: Path, *, durable: bool = True, like: Valkey | None = None, log: Path | None = None) -> Valkey:
    """Start a server that keeps its data in `home`; returns when it answers. Raises ValkeyFailed.

    like: the one that it takes the place of, under the same URL. Otherwise the port comes from the kernel. Valkey
    cannot be handed a bound socket, so another process may take the port in between: then the next one is tried.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = ""
    for _ in range(1 if like else ATTEMPTS):
        port, password = (like.port, like.password) if like else (_free_port(), secrets.token_urlsafe(32))
        server, said = _try_port(port, password, home, durable, log)
        if server:
            return server
    raise ValkeyFailed(f"Valkey did not start. {said}")


def _try_port(port: int, password: str, home: Path, durable: bool, log: Path | None) -> tuple[Valkey | None, str]:
    with log.open("ab") if log else tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(valkey_server()), "-"],  # the configuration on standard input: a command line shows its password
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(_configuration(port, password, home, durable).encode())
        process.stdin.close()
        server = Valkey(process, port, password)
        if _answers(server):
            return server, ""
        server.stop()
        if log:
            return None, f"Its log: {log}"
        output.seek(0)
        return None, output.read().decode(errors="replace")[-2000:]


def _configuration(port: int, password: str, home: Path, durable: bool) -> str:
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{home}"',
        "maxmemory-policy noeviction",
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        "daemonize no",
    ]
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: Valkey, patience: float = 20) -> bool:
    """Waits until *our* server takes our password and answers a PING."""
    deadline = time.monotonic() + patience
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
                connection.sendall(f"AUTH {server.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (more := connection.recv(200)):
                    answer += more
                if answer == b"+OK\r\n+PONG\r\n":
                    return True
        except OSError:
            pass
        time.sleep(0.02)
    return False
