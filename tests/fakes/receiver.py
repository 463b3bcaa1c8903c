"""A customer's server that receives webhooks, and answers by path as it is told."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Message:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """What it says, if the official library finds it signed by this secret."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Place:
    """What one path answers: these statuses in turn, then 204. `hold` keeps the answer back until it is set."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    begun: threading.Event = field(default_factory=threading.Event)


class Receiver:
    """Serves on loopback, and remembers every message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.places: defaultdict[str, Place] = defaultdict(Place)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                place = receiver.places[self.path]
                receiver.messages.append(Message(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                place.begun.set()
                if place.hold is not None:
                    place.hold.wait(60)
                self.send_response(place.statuses.pop(0) if place.statuses else 204)
                for name, value in place.headers.items():
                    self.send_header(name, value)
                self.end_headers()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Callers hang up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str) -> list[Message]:
        return [message for message in self.messages if message.path == path]
