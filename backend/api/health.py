"""Whether this process lives, and whether what it stands on is there."""

from django.db import Error, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from features.runs.canary import worker_answers
from tenants import valkey
from tenants.isolation import APP, OPERATOR


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process lives."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when database and broker answer and a canary run went the whole way lately; 503 naming what is not."""
    away = parts_away()
    state = {name: "away" if name in away else "ok" for name in PARTS}
    ready = not away
    return JsonResponse({"status": "ok" if ready else "away", **state}, status=200 if ready else 503)


def parts_away() -> list[str]:
    """Which of what this process stands on does not answer: database, broker, worker."""
    return [name for name, is_there in PARTS.items() if not is_there()]


def _database() -> bool:
    try:
        for alias in (APP, OPERATOR):
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")
    except Error:  # of which InterfaceError, a broken connection, is no DatabaseError
        return False
    return True


def _broker() -> bool:
    return valkey.ask(lambda: bool(valkey.client.ping()), False)


PARTS = {"database": _database, "broker": _broker, "worker": worker_answers}
