"""A model with a script behind a real OpenAI-compatible address: the one thing that tests do not take as it is."""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Answer:
    """One scripted answer. By default a good stream; `hold` keeps it open until the event is set.

    `after`: so many chunks, of eight letters each, are sent before. `pause`: how many seconds at most each chunk is
    held, so that a hold that is never set drips. `mute`: nothing at all is sent while it is held, not even the headers.
    `raw` is sent as it is. `kills` kills the process that asks. `closed` is set when the caller hangs up meanwhile.
    """

    text: str | None = None
    finish: str | None = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    refusal: str | None = None
    prompt: int = 100  # tokens
    completion: int = 10  # tokens
    cached: int = 0  # of the prompt tokens, those that the prefix cache had
    no_choices: bool = False
    second_choice: bool = False
    tool_call: bool = False
    cut_off: bool = False
    hold: threading.Event | None = None
    after: int = 1
    pause: float = 60
    mute: bool = False
    raw: bytes | None = None
    kills: bool = False
    begun: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)


def greeting(text: str = "Hello") -> Answer:
    """What `greet` should answer."""
    return Answer(json.dumps({"greeting": text}))


class FakeModel:
    """Serves the scripted answers in turn, then `default` (a greeting) for ever; remembers every request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []  # what the callers authenticate with
        self.names: list[str] = []  # what the callers call their requests: the run and the number of its attempt
        self.traces: list[str] = []  # the traceparents that they sent along
        self._lock = threading.Lock()
        self._script: list[Answer] = []
        self.default: Callable[[dict[str, Any]], Answer] = lambda _: greeting()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "FakeModel":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Forget the script and the requests."""
        with self._lock:
            self.requests, self.names, self.keys, self.traces, self._script = [], [], [], [], []
            self.default = lambda _: greeting()

    def script(self, *answers: Answer) -> None:
        """Give the next requests these answers."""
        with self._lock:
            self._script.extend(answers)

    def _next(self, body: dict[str, Any], name: str, key: str) -> Answer:
        with self._lock:
            self.requests.append(body)
            self.names.append(name)
            self.keys.append(key)
            return self._script.pop(0) if self._script else self.default(body)

    def _handler(fake) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                fake.traces += filter(None, [self.headers.get("traceparent")])
                answer = fake._next(body, self.headers.get("X-Client-Request-Id", ""), key)
                answer.begun.set()
                if answer.kills:
                    os.kill(process_at(self.client_address[1], self.server.server_address[1]), signal.SIGKILL)
                if answer.mute and not self._held(answer):
                    return
                if answer.status != 200:
                    self._refuse(answer)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    self.wfile.write(answer.raw or b"")
                    for number, chunk in enumerate(_chunks(answer) if answer.raw is None else (), 1):
                        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                        self.wfile.flush()
                        if answer.hold is not None and number >= answer.after and not self._held(answer):
                            break
                    if not answer.cut_off:
                        self.wfile.write(b"data: [DONE]\n\n")
                except (BrokenPipeError, ConnectionResetError):
                    answer.closed.set()
                self.close_connection = True

            def _held(self, answer: Answer) -> bool:
                """Wait until the answer may go on; False when the caller has hung up."""
                deadline = time.monotonic() + answer.pause
                while answer.hold and not answer.hold.wait(0.02) and time.monotonic() < deadline:
                    if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                        answer.closed.set()
                        return False
                return True

            def _refuse(self, answer: Answer) -> None:
                text = json.dumps({"error": {"message": "as scripted", "type": "scripted"}}).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        return Handler


def process_at(port: int, to: int) -> int:
    """The process of this machine that has a TCP connection from a local port to another (Linux: proc(5)).

    Many can have one from the same port: of connections only both ends together are one of a kind.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if [int(end.rpartition(":")[2], 16) for end in fields[1:3]] == [port, to]:
            wanted = f"socket:[{fields[9]}]"
            break
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()) == wanted:
                return int(link.parts[2])
    raise LookupError(f"nobody is at port {port}")


def _chunks(answer: Answer) -> list[dict[str, Any]]:
    base = {"id": "scripted", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    if answer.no_choices:
        deltas: list[dict[str, Any]] = []
    else:
        text = answer.text or ""
        parts = [text[i : i + 8] for i in range(0, len(text), 8)] or [None]
        deltas = [_choice({"content": part, "role": "assistant"}) for part in parts]
        if answer.refusal:
            deltas.append(_choice({"refusal": answer.refusal}))
        if answer.tool_call:
            call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            deltas.append(_choice({"tool_calls": [call]}))
        if answer.second_choice:
            deltas.append({**_choice({"content": text}), "index": 1})
        if not answer.cut_off:
            deltas.append(_choice({}, answer.finish))
    chunks = [{**base, "choices": [delta]} for delta in deltas]
    usage: dict[str, Any] = {
        "prompt_tokens": answer.prompt,
        "completion_tokens": answer.completion,
        "total_tokens": answer.prompt + answer.completion,
    }
    if answer.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": answer.cached}
    return chunks if answer.cut_off else [*chunks, {**base, "choices": [], "usage": usage}]


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}
