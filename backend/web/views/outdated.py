"""A form that lacks the token of its session: from elsewhere, or of a page that was open while one signed in anew."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that nothing was changed: on a page, or to a page that htmx asks from, which stays as it is (shell.js)."""
    answer = render(request, "403_csrf.html", status=403)
    answer["HX-Reswap"], answer["HX-Trigger"] = "none", "b-outdated"
    return answer
