"""Too much is refused at the door, in the API's words, before Django spools or counts anything."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from backend.api.asking import MOST_BYTES
from backend.gate import ADDRESS_BYTES, FORM_BYTES, HEADER_BYTES, HEADERS, Gate
from backend.handler import Application
from backend.http import UNREAD_BYTES, BoundedProtocol
from tests.cast import Cast
from tests.conftest import Knock

CHUNK = 1 << 16
BATCHES = "/api/v1/features/greet/batches"


class Inner:
    """An application that reads the whole body, as Django does, and says how many bytes came."""

    def __init__(self) -> None:
        self.asked = self.bytes = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            self.bytes += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.bytes).encode()})


def ask(
    path: str = "/api/v1/me", *, inner: Any = None, headers: Any = (), query: bytes = b"", chunks: int = 0
) -> tuple[int, Any]:
    """Ask through the gate; the status and, of a refusal, the problem."""
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        left = iter([{"type": "http.request", "body": b"x" * CHUNK, "more_body": True}] * chunks)

        async def receive() -> dict[str, Any]:
            return next(left, {"type": "http.request", "body": b"", "more_body": False})

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": query,
            "headers": [(b"host", b"localhost"), *headers], "client": ("127.0.0.1", 1), "server": ("localhost", 80),
            "scheme": "http",
        }  # fmt: skip
        await Gate(inner or Inner())(scope, receive, send)

    asyncio.run(run())
    start, body = sent[0], b"".join(message["body"] for message in sent[1:])
    if start["status"] == 200:
        return 200, body
    named = dict(start["headers"])
    assert named[b"content-type"] == b"application/problem+json"
    told = json.loads(body)
    assert (told["status"], told["request"].encode()) == (start["status"], named[b"bespoke-request"])
    return start["status"], told


def test_as_many_headers_as_are_allowed_pass_and_one_more_does_not() -> None:
    many = [(b"x-%d" % n, b"1") for n in range(HEADERS - 1)]
    assert ask(headers=many)[0] == 200
    status, told = ask(headers=[*many, (b"x-more", b"1")])
    assert (status, told["type"]) == (431, "/errors/headers-too-large")


def test_headers_of_too_many_bytes_are_refused() -> None:
    fits = HEADER_BYTES - len(b"hostlocalhost") - len(b"cookie")
    assert ask(headers=[(b"cookie", b"c" * fits)])[0] == 200
    assert ask(headers=[(b"cookie", b"c" * (fits + 1))])[0] == 431


def test_an_address_is_as_long_as_it_may_be() -> None:
    fits = ADDRESS_BYTES - len("/api/v1/me")
    assert ask(query=b"q" * fits)[0] == 200
    status, told = ask(query=b"q" * (fits + 1))
    assert (status, told["type"]) == (414, "/errors/address-too-long")


@pytest.mark.parametrize("size", [str(MOST_BYTES + 1), "9" * 400])
def test_a_body_announced_too_large_is_never_begun(size: str) -> None:
    inner = Inner()
    status, told = ask(inner=inner, headers=[(b"content-length", size.encode())], chunks=1)
    assert (status, told["type"], inner.asked) == (413, "/errors/too-large", 0)
    assert str(MOST_BYTES) in told["detail"]


def test_a_chunked_body_is_cut_off_where_it_grows_too_large() -> None:
    inner = Inner()
    assert ask(inner=inner, chunks=MOST_BYTES // CHUNK) == (200, str(MOST_BYTES).encode())
    inner = Inner()
    status, told = ask(inner=inner, chunks=MOST_BYTES // CHUNK + 1000)
    assert (status, told["type"]) == (413, "/errors/too-large")
    assert inner.bytes == MOST_BYTES


def test_a_batch_may_be_larger_and_has_its_own_bound(settings: Any) -> None:
    settings.BATCH_BYTES = 2 * MOST_BYTES
    chunks = 2 * MOST_BYTES // CHUNK
    assert ask(BATCHES, chunks=chunks)[0] == 200
    assert ask(BATCHES, chunks=chunks + 1)[0] == 413
    assert ask(BATCHES + "/x", chunks=chunks)[0] == 413


def test_the_page_of_batches_takes_as_much_with_a_form_around_it(settings: Any) -> None:
    settings.BATCH_BYTES = 2 * MOST_BYTES
    chunks = (settings.BATCH_BYTES + FORM_BYTES) // CHUNK
    assert ask("/f/greet/batches", chunks=chunks)[0] == 200
    assert ask("/f/greet/batches", chunks=chunks + 1)[0] == 413
    assert ask("/f/greet", chunks=MOST_BYTES // CHUNK + 1)[0] == 413


def test_the_product_itself_stands_behind_the_gate(committed: None) -> None:
    from backend.asgi import application

    assert isinstance(application, Gate)
    assert ask("/accounts/login/", inner=Application(), chunks=100)[0] == 413


@pytest.fixture
def server() -> Iterator[tuple[tuple[str, int], Inner]]:
    """uvicorn as `make serve` and the image start it, with an application that only counts."""
    inner = Inner()
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(Gate(inner), http=BoundedProtocol, log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: running.run(sockets=[held]), daemon=True)
    held.listen()
    thread.start()
    yield held.getsockname(), inner
    running.should_exit = True
    thread.join(10)
    held.close()


def answer_to(address: tuple[str, int], parts: Iterator[bytes]) -> bytes:
    """Send the parts for as long as the server takes them, and return what it says."""
    with socket.create_connection(address, timeout=10) as caller:
        try:
            for part in parts:
                caller.sendall(part)
            return caller.recv(65536)
        except ConnectionError:
            return b"closed"


@pytest.mark.parametrize(
    "said", [b"GARBAGE\r\n\r\n", b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nA\0: b\r\n\r\n"]
)
def test_what_is_no_http_is_a_problem_as_everything_else_is(said: bytes, server: tuple[tuple[str, int], Inner]) -> None:
    address, inner = server
    head, _, body = answer_to(address, iter([said])).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json")
    assert json.loads(body)["type"] == "/errors/malformed" and inner.asked == 0


def test_a_head_without_end_is_not_kept(server: tuple[tuple[str, int], Inner]) -> None:
    address, inner = server
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "
        while sent < 100 * UNREAD_BYTES:
            sent += 4096
            yield b"x" * 4096

    said = answer_to(address, endless())
    assert said == b"closed" or b"431" in said
    assert sent < 100 * UNREAD_BYTES and inner.asked == 0


def test_trailers_without_end_are_not_kept(server: tuple[tuple[str, int], Inner]) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
        while sent < 100 * UNREAD_BYTES:
            sent += 4096
            yield b"X: " + b"x" * 4091 + b"\r\n"

    assert answer_to(server[0], endless())
    assert sent < 100 * UNREAD_BYTES


def test_a_long_body_and_a_second_request_on_the_connection_are_no_head(server: tuple[tuple[str, int], Inner]) -> None:
    address, inner = server
    body = b"x" * (4 * UNREAD_BYTES)
    head = b"POST /%%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(address, timeout=10) as caller:
        for number in (1, 2):
            caller.sendall(head.replace(b"%s", b"x") + body)
            assert b"200" in caller.recv(65536)
            assert inner.bytes == number * len(body)


@pytest.mark.parametrize(("begun", "asked", "told"), [
    (b"", 0, b"408"),
    (b"GET / HTTP/1.1\r\nHost: local", 0, b"408"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc", 1, b"408"),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 1, b"408"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT", 1, b"200"),  # kept alive for five seconds, and closed
])  # fmt: skip
def test_nobody_is_waited_for_who_never_ends_a_request(
    begun: bytes, asked: int, told: bytes, server: tuple[tuple[str, int], Inner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.http.HEAD_SECONDS", 0.3)
    monkeypatch.setattr("backend.http.BODY_SECONDS", 0.3)
    said = everything_said(server[0], begun)
    assert said.startswith(b"HTTP/1.1 " + told) and (b"/errors/too-slow" in said) == (told == b"408")
    assert server[1].asked == asked


def test_who_drips_a_head_gains_no_time_and_who_sends_a_long_body_does(
    server: tuple[tuple[str, int], Inner], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, inner = server
    monkeypatch.setattr("backend.http.HEAD_SECONDS", 0.5)
    began = time.monotonic()
    head = answer_to(address, dripped(b"GET / HTTP/1.1\r\nX: " + b"x" * 100))
    assert head == b"closed" or b"408" in head
    assert time.monotonic() - began < 9 and inner.asked == 0
    body = b"x" * 20
    whole = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"
    assert b"200" in answer_to(address, iter((whole, *dripped(body))))


def dripped(data: bytes) -> Iterator[bytes]:
    for byte in data:
        time.sleep(0.05)  # what is tried is a caller who is slow
        yield bytes([byte])


def everything_said(address: tuple[str, int], data: bytes) -> bytes:
    """Send, and read until the other side closes."""
    said = b""
    with socket.create_connection(address, timeout=10) as caller:
        caller.sendall(data)
        while part := caller.recv(65536):
            said += part
    return said


@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_json_nested_too_deeply_is_refused(cast: Cast, api: Any, depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    knock: Knock = api(cast.alice)
    body = '{"input": ' + opening * depth + "1" + closing * depth + "}"
    answer = knock.client.post("/api/v1/features/greet/runs", body, "application/json", headers=knock.headers)
    assert answer.status_code in (400, 422)
    assert "deeper" in answer.content.decode()


def test_a_thousand_parameters_are_refused_in_the_apis_words(cast: Cast, api: Any) -> None:
    answer = api(cast.alice).get("/runs?" + "a=1&" * 1500)
    assert (answer.status_code, answer.json()["type"]) == (400, "/errors/malformed")


def test_a_host_that_is_not_ours_is_refused_in_the_apis_words(cast: Cast, api: Any) -> None:
    answer = api(cast.alice).get("/me", Host="elsewhere.example")
    assert (answer.status_code, answer.json()["type"]) == (400, "/errors/malformed")
