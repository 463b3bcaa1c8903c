"""Bytes on the wire that a decent caller never sends: refused by the parser, or read in the one way there is.

What two parsers read differently is how requests are smuggled past a proxy (RFC 9112, 6.3 and 11.2); so whatever is not
clear is refused, the connection with it, and nothing that comes after it is taken for a request.
"""

import json
import re
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.processes import Stack

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/features/greet/runs HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"Connection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

UNCLEAR = {
    "a length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "one length twice": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a length below nothing": POST + b"Content-Length: -4\r\n\r\nabcd",
    "a length in hexadecimal": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "no coding, and a length": POST + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a header over two lines": GET + b"X-A: b\r\n c\r\n\r\n",
    "line ends of one byte": b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "U+0000 in a header": GET + b"X-A: a\0b\r\n\r\n",
    "U+0000 in the address": b"GET /a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an address that is not ASCII": "GET /ü HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method without end": b"G" * 3000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a chunk below nothing": CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
    "a chunk beyond all bounds": CHUNKED + b"f" * 18 + b"\r\nx\r\n0\r\n\r\n",
    "a chunk with a prefix": CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "chunks with line ends of one byte": CHUNKED + b"1\nx\n0\n\n",
    "a chunk's name that does not end": CHUNKED + b'1;a="b\r\nx\r\n0\r\n\r\n',
}
READ = {
    "nothing odd": (GET + END, [200]),
    "two requests at once": (GET + b"\r\n" + GET + END, [200, 200]),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", [200]),
    "an address with another's host": (b"GET http://evil.example/api/v1/me HTTP/1.1\r\nHost: localhost\r\n" + END, [401]),
    "a host that is not ours": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n" + END, [400]),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n" + END, [400]),
    "all addresses": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" + END, [404]),
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: localhost\r\nCookie: session=x\r\n" + END, [405]),
    "a WebSocket": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", [302],
    ),
    "HTTP/2 on this connection": (GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + END, [200]),
    "leave to send what is too much": (POST + b"Expect: 100-continue\r\nContent-Length: 9999999999\r\n" + END, [413]),
    "U+0000, encoded": (b"GET /api/v1/features/%00 HTTP/1.1\r\nHost: localhost\r\n" + END, [400]),
    "bytes that are not UTF-8, encoded": (b"GET /api/v1/runs/%ff%fe?a=%ff HTTP/1.1\r\nHost: localhost\r\n" + END, [404]),
    "half an escape": (b"GET /api/v1/runs/%zz%u0000 HTTP/1.1\r\nHost: localhost\r\n" + END, [404]),
    "the way up": (b"GET /static/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n" + END, [404]),
    "the way up, encoded": (b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n" + END, [404]),
    "very many cookies": (GET + b"Cookie: " + b"; ".join(b"a%d=b" % n for n in range(2500)) + b"\r\n" + END, [200]),
    "a key that is not ASCII": (b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n" + END, [401]),
    "a subject that is not UTF-8": (
        b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nBespoke-User: \xff\r\n" + END, [400],
    ),
}  # fmt: skip


def told(stack: Stack, data: bytes) -> tuple[list[int], bytes]:
    """The statuses of all that a connection answers until it is closed, and the bytes."""
    place, said = urlsplit(stack.base_url), b""
    with socket.create_connection((place.hostname, place.port), timeout=10) as caller:
        caller.sendall(data)
        try:
            while part := caller.recv(65536):
                said += part
        except ConnectionResetError:  # it was closed with something unread
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)], said


def test_what_is_not_clear_is_refused_and_nothing_after_it_is_read(stack: Stack) -> None:
    assert {name: told(stack, data + SMUGGLED)[0] for name, data in UNCLEAR.items()} == dict.fromkeys(UNCLEAR, [400])
    assert "smuggled" not in stack.web.said()


def test_what_is_odd_has_one_meaning_and_breaks_nothing(stack: Stack) -> None:
    answers = {name: told(stack, data) for name, (data, _) in READ.items()}
    assert {name: statuses for name, (statuses, _) in answers.items()} == {name: s for name, (_, s) in READ.items()}
    assert not [name for name, (_, said) in answers.items() if b"root:" in said or b"Traceback" in said]
    assert '"status": 500' not in stack.web.said() and "Traceback" not in stack.web.said()


@pytest.mark.parametrize("kind", ["a form", "the API"])
def test_a_refused_write_says_what_to_do(kind: str, stack: Stack) -> None:
    path = b"/accounts/login/" if kind == "a form" else b"/api/v1/features/greet/runs"
    _, said = told(stack, b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" + END)
    assert (b"reload the page" if kind == "a form" else b"Authorization: Bearer") in said


def lines(stack: Stack) -> list[dict[str, object]]:
    return [json.loads(line) for line in stack.web.said().splitlines()]


def test_a_refusal_is_a_line_in_the_log(stack: Stack) -> None:
    answers = [
        stack.knock("alice").get("/members", X_Request_Id="refused-by-role"),
        httpx2.get(f"{stack.base_url}/api/v1/me", headers={"X-Request-Id": "refused-nobody"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 401]
    told = {line.get("request"): line for line in lines(stack) if line["event"] == "http.request"}
    by_role, nobody = told["refused-by-role"], told["refused-nobody"]
    assert (by_role["status"], by_role["route"], by_role["actor"]) == (403, "/api/v1/members", "member")
    assert by_role["tenant"] == str(stack.cast.alice.tenant_id)
    assert (nobody["status"], nobody["actor"]) == (401, None)


def test_no_header_of_a_caller_is_in_the_log(stack: Stack) -> None:
    """A host that is not ours among them, which Django would tell in words."""
    names = (
        b"Host",
        b"Bespoke-User",
        b"If-Match",
        b"X-Request-Id",
        b"Referer",
        b"Cookie",
        b"X-Forwarded-For",
        b"Accept",
    )
    for name in names:
        host = b"" if name == b"Host" else b"Host: localhost\r\n"
        told(stack, b"GET /api/v1/me HTTP/1.1\r\n" + host + name + b": (CANARY-HEADER)\r\n" + END)
    assert "CANARY-HEADER" not in stack.logs()


def test_what_a_caller_sends_makes_no_line_of_its_own_in_the_log(stack: Stack) -> None:
    forged = b'"}\\n{"event": "forged", "level": "info"}'
    for data in (
        b"GET /%0d%0a%7B%22event%22:%22forged%22%7D HTTP/1.1\r\nHost: localhost\r\n" + END,
        GET + b"X-Request-Id: " + forged + b"\r\nUser-Agent: " + forged + b"\r\n" + END,
        b"GET / HTTP/1.1\r\nHost: " + forged + b"\r\n" + END,
        b"GET /api/v1/me?a=%0A%7B%22event%22 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        + forged
        + b"\r\n"
        + END,
    ):
        told(stack, data)
    assert "forged" not in {line["event"] for line in lines(stack)}
