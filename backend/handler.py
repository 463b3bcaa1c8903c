"""The way into Django, leaner than its own where `make bench` showed the need: threads are used again, and a caller
with a key passes no middleware that only sessions and pages need.

Django starts a thread for each request, and runs each of its middlewares' hooks there: about a millisecond and a half
of processor time for a request that has neither session nor page (docs/performance.md).
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from csp.middleware import CSPMiddleware
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

from .middleware import request_id

API = "/api/"
IDLE = 64  # threads that are kept for later requests

Answer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class Handler(ASGIHandler):
    """Django's handler, with a thread for what is synchronous in each request at once, kept for the next."""

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
        finally:
            if len(self._idle) < IDLE:
                self._idle.append(thread)
            else:
                thread.shutdown(wait=False)


class KeyHandler(Handler):
    """For callers with a key: no session, no CSRF token, no language, no page. Headers are those of everybody else.

    The hooks that are left wait for nothing, so they run where they are instead of in a thread.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        nothing: list[Any] = []
        self._view_middleware = self._template_response_middleware = self._exception_middleware = nothing
        inner: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        chain: Any = request_id(_with_headers(inner))
        self._middleware_chain = convert_exception_to_response(chain)


def _with_headers(get_response: Answer) -> Answer:
    """Django's own hooks around an answer, as settings.MIDDLEWARE orders them."""
    hooks: list[Any] = [
        kind(_never) for kind in (SecurityMiddleware, CommonMiddleware, XFrameOptionsMiddleware, CSPMiddleware)
    ]

    async def answered(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase | None = None
        for hook in hooks:
            if response is None and hasattr(hook, "process_request"):
                response = hook.process_request(request)
        if response is None:
            response = await get_response(request)
        for hook in reversed(hooks):
            response = hook.process_response(request, response)
        return response

    return answered


def _never(request: HttpRequest) -> HttpResponseBase:
    raise NotImplementedError("only the hooks before and after an answer are used")


class Application:
    """The ASGI application: each request to the handler that it needs."""

    def __init__(self) -> None:
        self._pages, self._keys = Handler(), KeyHandler()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with_key = scope["type"] == "http" and scope["path"].startswith(API) and _has_key(scope["headers"])
        await (self._keys if with_key else self._pages)(scope, receive, send)


def _has_key(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"authorization" for name, _ in headers)
