"""HTTP/1.1 as uvicorn reads it with httptools, which keeps heads of any length for any time: here both are bounded.

The gate (backend/gate.py) can only refuse a head that has come whole. uvicorn's other parser, h11, has the first bound;
neither has the second.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenants.errors import AppError, Malformed

from .api.problems import CONTENT_TYPE, HeadersTooLarge, TooSlow

UNREAD_BYTES = 64 * 1024  # that became neither a head nor a part of a body; h11's bound in uvicorn
HEAD_SECONDS = 20.0  # from the connection, or from the first byte of a later request, to the end of its head
BODY_SECONDS = 60.0  # from one piece of a body to the next


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose caller may send at most UNREAD_BYTES of one head, or of the trailers after a body; and who is
    waited for no longer than HEAD_SECONDS and BODY_SECONDS (RFC 9110, 15.5.9). A response may take its time.
    """

    _unread = 0
    _moved = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved = False
        if self._timer is None:
            self._wait(HEAD_SECONDS)
        super().data_received(data)
        self._unread = 0 if self._moved else self._unread + len(data)
        if self._unread > UNREAD_BYTES and not self.transport.is_closing():
            self.transport.write(_refusal(HeadersTooLarge(f"A head has at most {UNREAD_BYTES} bytes.")))
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so as every other error is."""
        self.transport.write(_refusal(Malformed("This is no HTTP/1.1 request that can be read.")))
        self.transport.close()

    def on_headers_complete(self) -> None:
        self._moved = True
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        self._wait(BODY_SECONDS)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        self._wait(None)
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        """Wait so long for what comes next, and for nothing any more with None."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.flow is not None and self.flow.read_paused:  # it is we who do not read
            self._wait(BODY_SECONDS)
        elif not self.transport.is_closing():
            self.transport.write(_refusal(TooSlow("The request did not come to its end. Send it again.")))
            self.transport.close()


def _refusal(error: AppError) -> bytes:
    body: Any = json.dumps(error.body("")).encode()
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + bytes(body)
