"""Errors as RFC 9457 problem details: the one place where the API words them."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve
from django.views.defaults import bad_request, page_not_found
from rest_framework import exceptions
from rest_framework.response import Response

from features.engine import pointer
from features.runs.receipts import Unreproducible
from tenants.errors import (
    AppError,
    ApprovalNeeded,
    Conflict,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    OverBudget,
    Problem,
    Stale,
    Suspended,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)

CONTENT_TYPE = "application/problem+json"
log = structlog.get_logger(__name__)


class MethodNotAllowed(AppError):
    status, type, title = 405, "method-not-allowed", "This method is not for this address"


class NotAcceptable(AppError):
    status, type, title = 406, "not-acceptable", "None of the content types asked for is spoken here"


class TooSlow(AppError):
    status, type, title = 408, "too-slow", "The request took too long to come"


class AddressTooLong(AppError):
    status, type, title = 414, "address-too-long", "The address is too long"


class HeadersTooLarge(AppError):
    status, type, title = 431, "headers-too-large", "The headers are too many or too long"


class Broken(AppError):
    status, type, title = 500, "broken", "Something broke on our side"


KINDS: dict[str, type[AppError]] = {
    kind.type: kind
    for kind in (
        Malformed, Unauthenticated, OverBudget, Forbidden, ApprovalNeeded, Suspended, NotFound, MethodNotAllowed,
        NotAcceptable, TooSlow, Conflict, Unreproducible, Stale, TooLarge, AddressTooLong, UnsupportedMedia, Invalid,
        TooMany, HeadersTooLarge, Broken, Unavailable,
    )
}  # fmt: skip


def as_app_error(error: Exception) -> AppError | None:
    """Translate what frameworks and drivers raise; None for what is a bug of ours."""
    match error:
        case AppError():
            return error
        case OperationalError() | InterfaceError():
            log.error("database.away", error=type(error).__name__)
            told = "The database is away. Nothing was changed; ask again in a moment."
            return Unavailable(told, headers={"Retry-After": "2"})
        case RequestDataTooBig():
            return TooLarge("A request has at most 2 MiB.")
        case SuspiciousOperation():  # a thousand parameters, a host that is not ours
            return Malformed("An address or a header is not what this server reads.")
        case Http404():
            return NotFound()
        case exceptions.ValidationError():
            return Invalid("The request is not what this address takes.", errors=_problems(error.detail))
        case exceptions.ParseError():
            return Malformed(str(error.detail))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return unauthenticated()
        case exceptions.NotAcceptable():
            return NotAcceptable("Send `Accept: application/json`, or no Accept at all.")
        case exceptions.UnsupportedMediaType():
            return UnsupportedMedia("Send application/json.")
        case exceptions.Throttled():
            return TooMany(headers={"Retry-After": str(int(getattr(error, "wait", None) or 1))})
        case PermissionDenied() | exceptions.PermissionDenied():
            return Forbidden(str(error) or "")
    return None


def other_method(allowed: Sequence[str]) -> AppError:
    """What a caller gets whose method is none of these: the ones to use, and Allow (RFC 9110, 15.5.6)."""
    useful = [method for method in allowed if method not in ("HEAD", "OPTIONS")]
    return MethodNotAllowed(f"Use {' or '.join(useful)}.", headers={"Allow": ", ".join(allowed)})


def reads(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A plain view that is only read: every other method is a problem, as at all other doors."""

    def behind(request: HttpRequest, **named: Any) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD"):
            return problem(other_method(("GET", "HEAD")), request)
        return view(request, **named)

    behind.csrf_exempt = True  # type: ignore[attr-defined]  # nothing is written
    behind.__doc__, behind.__name__ = view.__doc__, view.__name__
    return behind


def unauthenticated() -> AppError:
    """What a caller gets who said nothing about who they are."""
    return Unauthenticated(
        "Send `Authorization: Bearer bsk_…`, or sign in to the dashboard.", headers={"WWW-Authenticate": "Bearer"}
    )


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler."""
    known = as_app_error(error)
    if known is None:
        return None
    body = known.body(context["request"].id)
    return Response(body, status=known.status, headers=known.headers, content_type=CONTENT_TYPE)


def answer(error: Exception, request: HttpRequest) -> HttpResponse:
    """The same for doors that are plain views. Raises again what is a bug of ours."""
    known = as_app_error(error)
    if known is None:
        raise error
    return problem(known, request)


def problem(error: AppError, request: HttpRequest) -> HttpResponse:
    """Return an error as a response, written as DRF writes it."""
    body, written = error.body(getattr(request, "id", "")), {"ensure_ascii": False, "separators": (",", ":")}
    return JsonResponse(
        body, status=error.status, headers=error.headers, content_type=CONTENT_TYPE, json_dumps_params=written
    )


def _problems(detail: Any, place: str = "") -> list[Problem]:
    if isinstance(detail, dict):
        own = "non_field_errors"
        return [p for k, v in detail.items() for p in _problems(v, place if k == own else place + pointer(k))]
    if isinstance(detail, list):
        return [p for item in detail for p in _problems(item, place)]
    return [Problem(place, getattr(detail, "code", "invalid"), str(detail))]


def nothing_here(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No address is so, in the API's words or as a page."""
    if request.path.startswith("/api/"):
        return problem(NotFound(_near(request.path)), request)
    return page_not_found(request, exception)


def _near(path: str) -> str:
    """What to ask instead of an address that is not there."""
    shorter = path.rstrip("/")
    try:
        resolve(shorter)
    except Resolver404:
        return "There is no such address. The reference is at /api/v1/docs."
    return f"Addresses do not end in a slash here: ask for {shorter}."


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django itself refuses to read, in the API's words or as a page."""
    if request.path.startswith("/api/"):
        return answer(exception, request)
    return bad_request(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    """A bug of ours, in the API's words or as a page."""
    if request.path.startswith("/api/"):
        return problem(Broken("It is noted under this request id. Nothing was half done."), request)
    nonce = {"csp_nonce": getattr(request, "csp_nonce", "")}
    return HttpResponseServerError(render_to_string("500.html", nonce))  # without a request: nothing is asked for it
