"""Query parameters that an address does not name are refused: a misspelt `dry_run` must not carry anything out."""

import re
from functools import lru_cache

from django.http import HttpRequest

from features.engine import pointer
from tenants.errors import Malformed, Problem

from .openapi import document


def refuse_unknown(request: HttpRequest) -> None:
    """Raise Malformed for query parameters that the OpenAPI document does not name, each by name, and for one twice.

    Of `?dry_run=true&dry_run=false` nobody can tell what was meant.
    """
    if not request.GET or request.resolver_match is None:
        return
    method = "get" if request.method == "HEAD" else (request.method or "").lower()
    twice = [name for name, values in request.GET.lists() if len(values) > 1]
    if twice:
        told = [Problem(pointer(name), "once", "comes more than once") for name in twice]
        raise Malformed(f"The address says more than once: {', '.join(twice)}. Say it once.", errors=told)
    known = _named(request.resolver_match.route, method)
    unknown = [] if known is None else [name for name in request.GET if name not in known]
    if unknown:
        there = f"there are: {', '.join(known)}" if known else "this address has none"
        told = [Problem(pointer(name), "unknown", f"is no query parameter here; {there}") for name in unknown]
        raise Malformed(f"The address has query parameters that are not known here: {', '.join(unknown)}.", errors=told)


@lru_cache(maxsize=500)
def _named(route: str, method: str) -> tuple[str, ...] | None:
    """What an operation takes in its query; None where there is no such operation."""
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
    operation = document()["paths"].get(path, {}).get(method)
    if operation is None:
        return None
    return tuple(parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query")
