"""Load by HTTP/1.1 over kept connections: as many requests as go, or so many a second whatever becomes of them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as bytes."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        headers = {"Host": host, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass
class Heard:
    """What came of a load: seconds to the whole answer and to the first text of a model, and answers by status."""

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.whole) / self.seconds

    def percentile(self, of: list[float], share: float) -> float:
        """Seconds that this share of a list stays within."""
        return sorted(of)[min(len(of) - 1, int(len(of) * share))]


class _Answer:
    """Callbacks of httptools' parser: one answer."""

    def __init__(self, first: bytes) -> None:
        self.status, self.done, self.first_at, self._sign, self._body = 0, False, 0.0, first, b""
        self.parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        if self._sign and not self.first_at:
            self._body += data
            if self._sign in self._body:
                self.first_at = time.perf_counter()

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_message_complete(self) -> None:
        self.done = True


class Client:
    """Connections to one server, given back when an answer is whole."""

    def __init__(self, url: str, first: bytes = b"") -> None:
        parts = urlsplit(url)
        self._host, self._port, self._first = parts.hostname or "", parts.port or 80, first
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: Request, heard: Heard) -> None:
        """Send a request and note how long it took. Raises OSError, and ConnectionError for an answer cut short."""
        began = time.perf_counter()
        reader, writer = self._kept() or await asyncio.open_connection(self._host, self._port)
        writer.write(request.wire(f"{self._host}:{self._port}"))
        answer = _Answer(self._first)
        while not answer.done:
            data = await reader.read(65536)
            if not data:
                raise ConnectionError("the server hung up")
            answer.parser.feed_data(data)
        self._idle.append((reader, writer))
        heard.whole.append(time.perf_counter() - began)
        if answer.first_at:
            heard.first.append(answer.first_at - began)
        heard.statuses[answer.status] = heard.statuses.get(answer.status, 0) + 1

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The connection that was given back last, of those that the server has not closed meanwhile."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def as_many(client: Client, make: Callable[[], Request], seconds: float, at_once: int) -> Heard:
    """Ask again and again, so many at once, for so many seconds (a closed loop)."""
    heard, until = Heard(), time.perf_counter() + seconds

    async def one() -> None:
        while time.perf_counter() < until:
            await client.ask(make(), heard)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    heard.seconds = time.perf_counter() - began
    return heard


async def at_rate(client: Client, make: Callable[[], Request], seconds: float, rate: float) -> Heard:
    """Ask so many times a second, never waiting for answers (an open loop: what is slow cannot slow its own load)."""
    heard, tasks, began = Heard(), [], time.perf_counter()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(make(), heard)))
    await asyncio.gather(*tasks)
    heard.seconds = time.perf_counter() - began
    return heard
