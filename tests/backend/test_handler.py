"""The way into Django: whoever asks with a key gets the headers that everybody gets, and threads are used again."""

import asyncio
import threading
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import path

from backend.handler import Application, KeyHandler
from tests.processes import Stack

SEEN: list[str] = []


def sync_view(request: HttpRequest) -> HttpResponse:
    SEEN.append(threading.current_thread().name)
    return HttpResponse("a")


async def async_view(request: HttpRequest) -> HttpResponse:
    await sync_to_async(sync_view)(request)
    return HttpResponse("b")


urlpatterns = [path("api/sync", sync_view), path("api/async", async_view), path("page", sync_view)]


def ask(application: Any, where: str, *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes]]:
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        waiting = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.sleep(3600)
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": where, "query_string": b"", "server": ("localhost", 80),
            "headers": [(b"host", b"localhost"), *headers], "client": ("127.0.0.1", 1), "scheme": "http",
        }  # fmt: skip
        await application(scope, receive, send)

    asyncio.run(run())
    return sent[0]["status"], {name.lower(): value for name, value in sent[0]["headers"]}


def test_requests_one_after_the_other_share_one_thread(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    SEEN.clear()
    application = Application()
    for where in ("/api/sync", "/api/async", "/api/sync"):
        assert ask(application, where, (b"authorization", b"Bearer x"))[0] == 200
    assert len(set(SEEN)) == 1 and SEEN[0].startswith("request")
    assert len(application._keys._idle) == 1


def test_what_a_key_is_answered_has_the_headers_of_every_other_answer(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    application = Application()
    with_key = ask(application, "/api/sync", (b"authorization", b"Bearer x"))[1]
    without = ask(application, "/api/sync")[1]
    assert isinstance(application._keys, KeyHandler)
    only_for_sessions = {b"content-language", b"vary"}
    assert with_key.keys() | only_for_sessions >= without.keys() | {b"bespoke-request", b"content-length"}
    for name in with_key.keys() - {b"bespoke-request", b"content-security-policy"}:
        assert with_key[name] == without[name]


def test_over_http_too(stack: Stack) -> None:
    answer = stack.knock("ada").get("/me")
    assert answer.status_code == 200
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Bespoke-Request"):
        assert name in answer.headers, name
    assert stack.knock("ada").get("/nowhere").headers["Content-Type"].startswith("application/problem+json")
