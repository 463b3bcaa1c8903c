"""HTTP/1.1 as uvicorn reads it with httptools, which keeps headers of any length: here what is unread is bounded.

The gate (backend/gate.py) can only refuse a head that has come whole. uvicorn's other parser, h11, has this bound.
"""

import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenants.errors import AppError

from .api.problems import CONTENT_TYPE, HeadersTooLarge

UNREAD_BYTES = 64 * 1024  # that became neither a head nor a part of a body; h11's bound in uvicorn


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose caller may send at most UNREAD_BYTES of one head, or of the trailers after a body."""

    _unread = 0
    _moved = False

    def data_received(self, data: bytes) -> None:
        self._moved = False
        super().data_received(data)
        self._unread = 0 if self._moved else self._unread + len(data)
        if self._unread > UNREAD_BYTES and not self.transport.is_closing():
            self.transport.write(_refusal(HeadersTooLarge(f"A head has at most {UNREAD_BYTES} bytes.")))
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._moved = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        super().on_message_complete()


def _refusal(error: AppError) -> bytes:
    body: Any = json.dumps(error.body("")).encode()
    head = (
        f"HTTP/1.1 {error.status} Request Header Fields Too Large\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + bytes(body)
