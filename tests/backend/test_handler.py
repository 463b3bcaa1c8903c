"""The way into Django: whoever asks with a key gets the headers that everybody gets, and threads are used again."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path, resolve

from backend.handler import HOT, Application, KeyHandler
from tests.cast import Cast
from tests.processes import Stack

SEEN: list[str] = []


def sync_view(request: HttpRequest) -> HttpResponse:
    SEEN.append(threading.current_thread().name)
    return HttpResponse("a")


async def async_view(request: HttpRequest) -> HttpResponse:
    await sync_to_async(sync_view)(request)
    return HttpResponse("b")


async def shown(request: HttpRequest, run_id: UUID) -> HttpResponse:
    SEEN.append(str(run_id))
    return HttpResponse("c", content_type="application/json")


async def followed(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            await asyncio.sleep(3600)
        finally:
            SEEN.append("closed")

    return StreamingHttpResponse(body())


urlpatterns = [
    path("api/sync", sync_view),
    path("api/async", async_view),
    path("page", sync_view),
    path("api/v1/features/<str:feature>/behavior", lambda request, feature: sync_view(request)),
    path("api/v1/runs/<id:run_id>", shown),
    path("api/v1/runs/<id:run_id>/events", followed),
]
RUN = "/api/v1/runs/01a21a31-e31c-7196-aaa7-8f0fa32a0fe8"
KEY = (b"authorization", b"Bearer x")


def ask(
    application: Any, where: str, *headers: tuple[bytes, bytes], leaves: bool = False
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        waiting = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            if leaves:
                await begun.wait()
                return {"type": "http.disconnect"}
            await asyncio.sleep(3600)
            raise AssertionError

        begun = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message.get("body"):
                begun.set()

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
    only_for_sessions = {
        b"content-language",
        b"vary",
        b"cache-control",
    }
    assert with_key.keys() | only_for_sessions >= without.keys() | {b"bespoke-request", b"content-length"}
    for name in with_key.keys() - {b"bespoke-request", b"content-security-policy"}:
        assert with_key[name] == without[name]


@pytest.mark.parametrize("where", ["/api/v1/features/greet/behavior", RUN])
def test_the_short_way_has_the_same_headers(where: str, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    application = Application()
    long, short = ask(application, "/api/sync", KEY)[1], ask(application, where, KEY)[1]
    assert HOT.fullmatch(where)
    assert long.keys() == short.keys()
    for name in long.keys() - {b"bespoke-request", b"content-type"}:
        assert short[name] == long[name], name
    assert ask(application, where, (b"host", b"elsewhere.example"), KEY)[0] == 400


def test_the_short_way_leads_where_the_long_one_does(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    application = Application()
    SEEN.clear()
    other = RUN.replace("e8", "e9")
    for where in (RUN, other, RUN):
        assert ask(application, where, KEY)[0] == 200
    assert [RUN[-36:], other[-36:], RUN[-36:]] == SEEN
    match, real = application._hot._match(RUN), resolve(RUN)
    assert (match.func, match.kwargs, match.route, match.view_name) == (
        real.func, real.kwargs, real.route, real.view_name,
    )  # fmt: skip


@pytest.mark.parametrize(
    "where", [f"{RUN}/feedback", RUN.upper(), f"{RUN}x", "/api/v1/features/a/b/runs", "/api/v1/runs"]
)
def test_what_is_asked_rarely_goes_the_long_way(where: str) -> None:
    assert HOT.fullmatch(where) is None


def test_a_stream_ends_when_its_caller_leaves(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    SEEN.clear()
    assert ask(Application(), f"{RUN}/events", KEY, leaves=True)[0] == 200
    assert SEEN == ["closed"]


def test_every_short_way_is_the_products_own(cast: Cast) -> None:
    for where in ("features/greet/runs", "features/greet/behavior", RUN[8:], f"{RUN[8:]}/events", f"{RUN[8:]}/cancel"):
        full = f"/api/v1/{where}".replace("/api/v1//", "/api/v1/")
        assert HOT.fullmatch(full) and resolve(full).url_name != "nothing-here", full
        status, headers = ask(Application(), full, (b"authorization", b"Bearer no"))
        assert status == 405 or (status, headers[b"www-authenticate"]) == (401, b'Bearer error="invalid_token"'), full


def test_over_http_too(stack: Stack) -> None:
    answer = stack.knock("ada").get("/me")
    assert answer.status_code == 200
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Bespoke-Request"):
        assert name in answer.headers, name
    assert stack.knock("ada").get("/nowhere").headers["Content-Type"].startswith("application/problem+json")
