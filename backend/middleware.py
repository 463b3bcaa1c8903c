"""What every request gets: an id, and errors that people can read on pages (the API words its own)."""

import re
from collections.abc import Awaitable, Callable
from typing import cast
from uuid import uuid4

import structlog
from asgiref.sync import iscoroutinefunction
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from tenants.errors import AppError, Unavailable

Handler = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")


@sync_and_async_middleware
def request_id(get_response: Handler) -> Handler:
    """Give each request an id, which is in every answer (Bespoke-Request), every problem and every log line."""

    def begin(request: HttpRequest) -> None:
        given = request.headers.get("X-Request-Id", "")
        request.id = given if _GIVEN.fullmatch(given) else uuid4().hex  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request.id)  # type: ignore[attr-defined]

    def end(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["Bespoke-Request"] = request.id  # type: ignore[attr-defined]
        return response

    if iscoroutinefunction(get_response):

        async def aside(request: HttpRequest) -> HttpResponseBase:
            begin(request)
            return end(request, await get_response(request))

        return aside

    def inline(request: HttpRequest) -> HttpResponseBase:
        begin(request)
        return end(request, cast(HttpResponseBase, get_response(request)))

    return inline


class ErrorPages(MiddlewareMixin):
    """Pages raise the same errors as the API; here, once, they become pages."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            error = Unavailable("The database is away. Nothing was changed; try again in a moment.")
        if not isinstance(error, AppError):
            return None
        context = {"error": error, "request_id": getattr(request, "id", "")}
        answer = render(request, "web/error.html", context, status=error.status)
        for name, value in error.headers.items():
            answer[name] = value
        if getattr(request, "htmx", False):  # a part of a page was asked for; an error takes the whole
            answer["HX-Retarget"], answer["HX-Reswap"] = "body", "innerHTML"
        return answer
