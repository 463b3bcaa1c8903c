"""What every request gets: an id, and errors that people can read on pages (the API words its own)."""

import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast
from uuid import uuid4

import structlog
from asgiref.sync import iscoroutinefunction
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from redis.exceptions import RedisError

from backend.actors import memberships
from features.runs import tracing
from features.runs.metrics import METHODS, answered
from tenants.errors import AppError, NotFound, Suspended, Unavailable
from tenants.models import Tenant, User

log = structlog.get_logger(__name__)

Handler = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")


@sync_and_async_middleware
def request_id(get_response: Handler) -> Handler:
    """Give each request an id, which is in every answer (Bespoke-Request), every problem and every log line."""

    def begin(request: HttpRequest) -> None:
        request.began = time.perf_counter()  # type: ignore[attr-defined]
        given = request.headers.get("X-Request-Id", "")
        request.id = given if _GIVEN.fullmatch(given) else uuid4().hex  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request.id)  # type: ignore[attr-defined]

    def end(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["Bespoke-Request"] = request.id  # type: ignore[attr-defined]
        _note(request, response)
        return response

    if iscoroutinefunction(get_response):

        async def aside(request: HttpRequest) -> HttpResponseBase:
            begin(request)
            with _traced(request) as span:
                return _named(span, request, end(request, await get_response(request)))

        return aside

    def inline(request: HttpRequest) -> HttpResponseBase:
        begin(request)
        with _traced(request) as span:
            return _named(span, request, end(request, cast(HttpResponseBase, get_response(request))))

    return inline


def _traced(request: HttpRequest) -> AbstractContextManager[Any]:
    """The span of a request, within the caller's trace if it sent a traceparent."""
    if tracing.tracer() is None:
        return nullcontext()
    return tracing.span("request", "SERVER", {}, parent=request.headers.get("traceparent"))


def _named(span: Any, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Name a request's span by its route, which is known afterwards."""
    if span is not None:
        route = f"/{request.resolver_match.route}" if request.resolver_match else "none"
        span.update_name(f"{request.method if request.method in METHODS else 'OTHER'} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", response.status_code)
    return response


def _note(request: HttpRequest, response: HttpResponseBase) -> None:
    """One line and one count for each request: its route's pattern, since addresses and queries may hold content."""
    seconds = time.perf_counter() - request.began  # type: ignore[attr-defined]
    match, asker = request.resolver_match, getattr(request, "asker", None)
    route = f"/{match.route}" if match else "none"
    answered(request.method, route, response.status_code, seconds)
    log.info(
        "http.request", method=request.method if request.method in METHODS else "OTHER", route=route,
        status=response.status_code, ms=round(seconds * 1000, 1), actor=asker.kind if asker else None,
        tenant=str(asker.tenant.id) if asker and asker.tenant else None,
    )  # fmt: skip


class ErrorPages(MiddlewareMixin):
    """Pages raise the same errors as the API; here, once, they become pages, and no cache on the way keeps any page."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kept_nowhere = request.path.startswith("/accounts/")  # passwords, links of resets, recovery codes
        response.headers.setdefault("Cache-Control", "no-store" if kept_nowhere else "private, no-cache")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            error = Unavailable("The database is away. Nothing was changed; try again in a moment.")
        if isinstance(error, RedisError):  # without a count of those who knock, the login stays shut
            error = Unavailable("Signing in is not possible just now. Try again in a moment.")
        if not isinstance(error, AppError):
            return None
        context = {"error": error, "request_id": getattr(request, "id", ""), "others": _others(request, error)}
        answer = render(request, "web/error.html", context, status=error.status)
        for name, value in error.headers.items():
            answer[name] = value
        if getattr(request, "htmx", False):  # a part of a page was asked for; an error takes the whole
            answer["HX-Retarget"], answer["HX-Reswap"] = "body", "innerHTML"
        return answer


def _others(request: HttpRequest, error: AppError) -> list[Tenant]:
    """Where else somebody can go on: whose organisation is suspended, or who has a link that may be of another one."""
    if not (isinstance(error, Suspended | NotFound) and isinstance(request.user, User)):
        return []
    actor = getattr(request, "actor", None)
    here = actor.tenant if actor else None
    return [
        member.tenant
        for member in memberships(request.user)
        if member.tenant.state == Tenant.State.ACTIVE and member.tenant != here
    ]
