"""The way into Django, leaner than its own where `make bench` showed the need: threads are used again, and a caller
with a key passes no middleware that only sessions and pages need.

Django starts a thread for each request, and runs each of its middlewares' hooks there: about a millisecond and a half
of processor time for a request that has neither session nor page (docs/performance.md).
"""

import re
from asyncio import FIRST_COMPLETED, Task, create_task, gather, wait
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

from asgiref.sync import ThreadSensitiveContext, iscoroutinefunction
from csp.middleware import CSPMiddleware
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import ResolverMatch, resolve, set_script_prefix

from .middleware import request_id
from .threads import in_thread

API = "/api/"
IDLE = 64  # threads that are kept for later requests

# The addresses of what is asked all the time: a run is made, shown, followed and cancelled, and behavior is read.
HOT = re.compile(
    r"/api/v1/(?:features/(?P<feature>[^/]+)/(?P<of_feature>runs|behavior)"
    r"|runs/(?P<run_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/(?P<of_run>events|cancel|replay))?)"
)

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


class HotHandler(KeyHandler):
    """For what callers with a key ask all the time: one hop to a thread, and nobody is told of a request's beginning.

    A view of DRF is called in that thread as a whole; the run doors go there by themselves. What is the same for each
    request is worked out once: the headers, and which view an address of HOT's leads to.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)
        inner: Any = convert_exception_to_response(self._get_response_async)
        self._middleware_chain = convert_exception_to_response(request_id(_with_same_headers(inner)))
        self._matches: dict[tuple[str | None, str | None], ResolverMatch] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, refused = self.create_request(scope, body)
            response: Any = refused if request is None else await self.get_response_async(request)
            if response.streaming:
                await self._stream(response, receive, send)
            else:
                await self.send_response(response, send)

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Send until the end, or until the caller has left."""
        tasks: list[Task[None]] = [
            create_task(self.send_response(response, send)),
            create_task(self.listen_for_disconnect(receive)),
        ]
        await wait(tasks, return_when=FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        sent, _ = await gather(*tasks, return_exceptions=True)
        if isinstance(sent, Exception):
            raise sent

    async def _get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        match = request.resolver_match = self._match(request.path_info)
        if iscoroutinefunction(match.func):
            return await match.func(request, **match.kwargs)  # type: ignore[no-any-return]
        return await in_thread(_rendered, match.func, request, match.kwargs)

    def _match(self, path: str) -> ResolverMatch:
        """As Django's resolver has it, which is asked once for each kind of address."""
        found = HOT.fullmatch(path)
        if found is None:
            return resolve(path)
        feature, run_id, kind = found["feature"], found["run_id"], (found["of_feature"], found["of_run"])
        if kind not in self._matches:
            self._matches[kind] = resolve(path)
        named = {"run_id": UUID(run_id)} if feature is None else {"feature": feature}
        first: Any = self._matches[kind]
        return ResolverMatch(first.func, (), named, first.url_name, first.app_names, first.namespaces, first.route)


def _rendered(view: Any, request: HttpRequest, named: Any) -> HttpResponseBase:
    response: Any = view(request, **named)
    return response.render() if hasattr(response, "render") else response  # type: ignore[no-any-return]


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


def _with_same_headers(get_response: Answer) -> Answer:
    """The same where no view asks for other headers, and addresses have no other spelling: each header is made once."""
    made: dict[bool, dict[str, str]] = {}  # by whether the request came by TLS

    async def pages(request: HttpRequest) -> HttpResponseBase:
        return HttpResponse()

    async def answered(request: HttpRequest) -> HttpResponseBase:
        request.get_host()
        secure = request.is_secure()
        if secure not in made:
            made[secure] = {**(await _with_headers(pages)(request)).headers}
            del made[secure]["Content-Type"], made[secure]["Content-Length"]
        response: Any = await get_response(request)
        for name, value in made[secure].items():
            response.headers.setdefault(name, value)
        if not response.streaming and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))
        return response  # type: ignore[no-any-return]

    return answered


def _never(request: HttpRequest) -> HttpResponseBase:
    raise NotImplementedError("only the hooks before and after an answer are used")


class Application:
    """The ASGI application: each request to the handler that it needs."""

    def __init__(self) -> None:
        self._pages, self._keys, self._hot = Handler(), KeyHandler(), HotHandler()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with_key = scope["type"] == "http" and scope["path"].startswith(API) and _has_key(scope["headers"])
        if with_key and HOT.fullmatch(scope["path"]):
            await self._hot(scope, receive, send)
        else:
            await (self._keys if with_key else self._pages)(scope, receive, send)


def _has_key(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"authorization" for name, _ in headers)
