"""What the ASGI door refuses before any other code of ours reads it: too many headers, addresses and bodies too long.

Django spools a whole body to disk before a view can say no, and counts no headers. (RFC 9110 15.5.14 and 15.5.15,
RFC 6585 5; figures in docs/reference/limits.md.)
"""

import json
import re
import time
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings

from features.runs.metrics import METHODS, answered
from tenants.errors import AppError, TooLarge

from .api.asking import MOST_BYTES
from .api.problems import CONTENT_TYPE, AddressTooLong, HeadersTooLarge

HEADERS = 100
HEADER_BYTES = 32 * 1024  # names and values together
ADDRESS_BYTES = 8 * 1024  # path and query, as sent
FORM_BYTES = 64 * 1024  # what a form may have around its file
_BATCHES = re.compile(r"/api/v1/features/[^/]+/batches")
_BATCH_PAGE = re.compile(r"/f/[^/]+/batches")
log = structlog.get_logger(__name__)


class Gate:
    """An ASGI application before the application."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began = time.perf_counter()
        most = _most_of(scope["path"])
        refused = _too_much_head(scope) or _too_much_announced(scope["headers"], most)
        if refused is None:
            counted = _Counted(receive, most)
            await self._inner(scope, counted, send)
            refused = counted.refused
        if refused is not None:
            await _answer(refused, scope, send, time.perf_counter() - began)


class _Counted:
    """`receive`, which counts a body while it comes, since a chunked one announces no size.

    The application is told that the caller has left: Django then gives up reading, and answers nothing.
    """

    def __init__(self, receive: Any, most: int) -> None:
        self._receive, self._most, self._left = receive, most, most
        self.refused: AppError | None = None

    async def __call__(self) -> Any:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refused = _too_large(self._most)
            return {"type": "http.disconnect"}
        return message


def _most_of(path: str) -> int:
    """How many bytes a body sent to this path may have."""
    if _BATCH_PAGE.fullmatch(path):
        return settings.BATCH_BYTES + FORM_BYTES
    return settings.BATCH_BYTES if _BATCHES.fullmatch(path) else MOST_BYTES


def _too_much_head(scope: Any) -> AppError | None:
    headers = scope["headers"]
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        return HeadersTooLarge(f"A request has at most {HEADERS} headers, of {HEADER_BYTES} bytes together.")
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > ADDRESS_BYTES:
        return AddressTooLong(f"An address has at most {ADDRESS_BYTES} bytes.")
    return None


def _too_much_announced(headers: list[tuple[bytes, bytes]], most: int) -> AppError | None:
    sizes = [value for name, value in headers if name == b"content-length" and value.isdigit()]
    return _too_large(most) if any(len(size) > 18 or int(size) > most for size in sizes) else None


def _too_large(most: int) -> AppError:
    return TooLarge(f"A request to this address has at most {most} bytes.")


async def _answer(error: AppError, scope: Any, send: Any, seconds: float) -> None:
    request = uuid4().hex
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    answered(scope["method"], "none", error.status, seconds)
    log.info("http.refused", request=request, method=method, status=error.status)
    body = json.dumps(error.body(request)).encode()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"bespoke-request", request.encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
