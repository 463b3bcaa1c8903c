"""Each request with a credential counts, once it is known whose it is; every answer to one says what is left."""

from typing import TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tenants.actor import Actor
from tenants.errors import TooMany
from tenants.limits import count_request

R = TypeVar("R", bound=HttpResponseBase)


def count(request: HttpRequest, actor: Actor) -> None:
    """Count a request and note for its answer what is left. Raises TooMany."""
    try:
        request.limits = count_request(actor)  # type: ignore[attr-defined]
    except TooMany as refused:
        request.limits = refused.headers  # type: ignore[attr-defined]
        raise


def with_limits(response: R, request: HttpRequest) -> R:
    """Put on an answer what was noted of its request."""
    for name, value in getattr(request, "limits", {}).items():
        response.headers[name] = value
    return response
