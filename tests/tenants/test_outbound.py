"""Whatever address a customer sets, nothing but the public internet is called: not once, not by another spelling."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured

from backend.settings import networks, ports
from tenants import outbound
from tenants.outbound import Failed, Refused, check_url, guarded, is_public, post
from tests.test_architecture import ROOT, imported, sources

LOOPBACK = IPv4Network("127.0.0.0/8")


class Listener:
    """A server on loopback that counts who connects, and answers as told."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[dict[str, str]] = []
        self.status, self.headers, self.body = 200, dict[str, str](), b"{}"
        self.hold: threading.Event | None = None
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                listener.requests.append({name.lower(): value for name, value in self.headers.items()})
                if listener.hold is not None:
                    listener.hold.wait(30)
                self.send_response(listener.status)
                for name, value in listener.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(listener.body)))
                self.end_headers()
                self.wfile.write(listener.body)

            do_GET = do_POST

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> Any:
                listener.connections += 1
                return super().get_request()

            def handle_error(self, *_: object) -> None:
                """Callers hang up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def with_tls(self, name: str, folder: Path) -> ssl.SSLContext:
        """Serve by TLS under a certificate for a name; returns what trusts it."""
        key, until = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) + timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        made = made.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(until)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / "both.pem").write_bytes(private + pem)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(folder / "both.pem")
        self.server.socket = serving.wrap_socket(self.server.socket, server_side=True)
        return ssl.create_default_context(cadata=pem.decode())


@pytest.fixture
def listener() -> Iterator[Listener]:
    there = Listener()
    yield there
    there.server.shutdown()
    there.server.server_close()


def answers(*told: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that says the same of every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return told

    return resolve


def send(url: str, **options: Any) -> int:
    return asyncio.run(post(url, b"{}", {}, **{"seconds": 5, **options}))


HOSTILE = [
    # this machine
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1",
    "::ffff:0:127.0.0.1", "::127.0.0.1",
    # networks of one's own
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "100.64.0.1",
    "100.127.255.255", "fc00::1", "fd12:3456::1", "fec0::1", "fe80::1", "fe80::1%eth0", "169.254.0.1",
    "::ffff:10.0.0.1", "::ffff:192.168.1.1",
    # metadata services of clouds
    "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "::ffff:169.254.169.254",
    # wrappings of an IPv4 address
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:10::1", "2001:20::1",
    # to many, to nobody, kept for documents and tests
    "224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.7",
    "203.0.113.9", "198.18.0.1", "192.88.99.1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("told", HOSTILE)
def test_a_name_that_leads_anywhere_but_to_the_public_internet_is_refused(told: str, settings: Any) -> None:
    """Alone, and as one answer among good ones; nothing is connected to."""
    assert len(HOSTILE) >= 40
    for found in ((told,), ("93.184.215.14", told)):
        with pytest.raises(Refused, match="public internet"):
            send("https://innocent.example/hook", resolve=answers(*found))


@pytest.mark.parametrize("told", [a for a in HOSTILE if "%" not in a])
def test_an_address_written_out_is_refused_before_anybody_is_asked(told: str) -> None:
    host = f"[{told}]" if ":" in told else told
    with pytest.raises(Refused):
        check_url(f"https://{host}/")


@pytest.mark.parametrize("told", PUBLIC)
def test_the_public_internet_is_not_refused(told: str) -> None:
    assert is_public(ip_address(told))
    check_url(f"https://[{told}]/" if ":" in told else f"https://{told}/")


@pytest.mark.parametrize(
    "spelling",
    [
        "localhost", "localhost.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.",
        "①②⑦.⓪.⓪.①", "localhost%00.example.com", "127.0.0.1%2f.example.com", "[::ffff:127.0.0.1]", "[::1]",
        "127.0.1", "017700000001", "0x7f.0.0.0x1", "00000177.0.0.1", "4294967296127.0.0.1", "１２７.０.０.１", "127。0。0。1",
        "ｌｏｃａｌｈｏｓｔ", "LOCALHOST", "localhost..", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]", "user@127.0.0.1", "example.com@localhost", "127.0.0.1#", "127.0.0.1?",
    ],
)  # fmt: skip
def test_other_spellings_of_this_machine_reach_nothing(spelling: str, listener: Listener, settings: Any) -> None:
    settings.OUTBOUND_PORTS = [443, listener.port]
    with pytest.raises((Refused, Failed)):
        send(f"https://{spelling}:{listener.port}/")
    assert listener.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
        "https:///path", "https://user:password@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com:80/", "https://example.com:22/", "https://example.com:6379/", "https://example.com/#x",
        "https://example.com\\@127.0.0.1/", "https://exa mple.com/", "https://example.com/\r\nHost: evil",
        "https://example.com/" + "x" * 2000, "https://[::1", "javascript:alert(1)", "",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url)


def test_a_name_that_answers_otherwise_the_second_time_reaches_what_was_judged(
    listener: Listener, settings: Any
) -> None:
    """DNS rebinding: it is asked once, and what that said is what is connected to."""
    settings.OUTBOUND_PORTS = [listener.port]
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["203.0.113.9"] if len(asked) == 1 else ["127.0.0.1"]

    with pytest.raises(Refused):
        send(f"https://rebinding.example:{listener.port}/", resolve=rebinding)
    assert asked == ["rebinding.example"] and listener.connections == 0


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is not looked up again by whoever connects."""
    asked, reached = [], []

    async def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["93.184.215.14"]

    async def connect(_: Any, host: str, port: int, *rest: Any) -> Any:
        reached.append((host, port))
        raise outbound.httpcore2.ConnectError("far enough")

    monkeypatch.setattr(outbound.httpcore2.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(Failed):
        send("https://good.example/", resolve=once)
    assert asked == ["good.example"] and reached == [("93.184.215.14", 443)]


def test_tls_and_the_host_header_keep_the_name(listener: Listener, settings: Any, tmp_path: Path) -> None:
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    trusting = listener.with_tls("good.example", tmp_path)
    url = f"https://good.example:{listener.port}/hook"
    assert send(url, resolve=answers("127.0.0.1"), context=trusting) == 200
    assert listener.requests[0]["host"] == f"good.example:{listener.port}"
    with pytest.raises(Failed):  # the certificate is another's
        send(f"https://other.example:{listener.port}/", resolve=answers("127.0.0.1"), context=trusting)
    assert len(listener.requests) == 1


def test_networks_of_ones_own_are_reached_where_settings_allow_them(listener: Listener, settings: Any) -> None:
    url = f"http://127.0.0.1:{listener.port}/"
    with pytest.raises(Refused):
        send(url)
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    assert send(url) == 200
    with pytest.raises(Refused):  # and those alone: without TLS not even the public internet
        send("http://plain.example/", resolve=answers("93.184.215.14"))
    with pytest.raises(Refused):
        send("https://other.example/", resolve=answers("10.0.0.1"))
    with pytest.raises(Refused):  # nor at any port there
        send("https://other.example:22/", resolve=answers("93.184.215.14"))
    settings.OUTBOUND_PORTS = [80, 443]
    with pytest.raises(Refused):
        send("http://plain.example/", resolve=answers("93.184.215.14"))


def test_a_redirect_is_an_answer_and_never_followed(listener: Listener, settings: Any) -> None:
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    listener.status, listener.headers = 307, {"Location": f"http://127.0.0.1:{listener.port}/inside"}
    assert send(f"http://127.0.0.1:{listener.port}/") == 307
    assert len(listener.requests) == 1


def test_no_proxy_of_the_environment_is_asked(
    listener: Listener, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    with pytest.raises(Refused):
        send("https://innocent.example/", resolve=answers("10.0.0.1"))
    assert listener.connections == 0
    there = Listener()  # nor for what may be called
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    assert send(f"http://127.0.0.1:{there.port}/") == 200
    there.server.shutdown()
    there.server.server_close()
    assert (there.connections, listener.connections) == (1, 0)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_nothing_of_the_environment_says_by_what_a_call_is_made(
    name: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that needs no proxy would get another transport than that of its scheme: plain http to the internet."""
    settings.OUTBOUND_NETWORKS, settings.OUTBOUND_PORTS = [LOOPBACK], [80, 443]
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv(name, "plain.example")
    monkeypatch.setattr(outbound.httpcore2.AnyIOBackend, "connect_tcp", None)  # it would be called
    with pytest.raises(Refused):
        send("http://plain.example/", resolve=answers("93.184.215.14"))


def test_a_listener_that_hangs_is_left_after_the_time_for_all_of_it(listener: Listener, settings: Any) -> None:
    settings.OUTBOUND_NETWORKS, listener.hold = [LOOPBACK], threading.Event()
    with pytest.raises(Failed, match="no answer within"):
        send(f"http://127.0.0.1:{listener.port}/", seconds=0.3)
    listener.hold.set()


def test_of_an_answer_only_so_much_is_read_and_nothing_that_unfolds(listener: Listener, settings: Any) -> None:
    settings.OUTBOUND_NETWORKS = [LOOPBACK]
    url = f"http://127.0.0.1:{listener.port}/"

    async def read(most: int) -> int:
        async with guarded(most=most, timeout=5) as client:
            return len((await client.get(url)).content)

    listener.body = b"x" * 1000
    assert asyncio.run(read(1000)) == 1000
    with pytest.raises(Failed, match="longer than 999"):
        asyncio.run(read(999))
    listener.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(Failed, match="compressed"):
        asyncio.run(read(2000))
    assert listener.requests[0]["accept-encoding"] == "identity"
    assert send(url) == 200  # who only wants the status reads none of it


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "everything", "10.0.0.0/33"])
def test_a_network_that_is_none_stops_the_boot(wrong: str) -> None:
    assert networks(["127.0.0.0/8"]) == [LOOPBACK]
    with pytest.raises(ImproperlyConfigured):
        networks(["127.0.0.0/8", wrong])


@pytest.mark.parametrize("wrong", ["0", "65536", "https", "-1", ""])
def test_a_port_that_is_none_stops_the_boot(wrong: str) -> None:
    assert ports(["443", "8443"]) == [443, 8443]
    with pytest.raises(ImproperlyConfigured):
        ports(["443", wrong])


def test_sockets_of_this_machine_are_never_opened() -> None:
    with pytest.raises(Refused):
        asyncio.run(outbound._Guard(answers(), plain=False).connect_unix_socket("/run/postgresql"))


def test_every_other_client_of_the_web_is_named_here() -> None:
    """A guard that is not in the path guards nothing (BerriAI/litellm#37053)."""
    clients = {"httpx2", "httpx", "httpcore2", "requests", "aiohttp", "urllib3", "urllib.request", "http.client"}
    callers = {
        str(path.relative_to(ROOT)): sorted(imported(path) & clients)
        for folder in ("tenants", "features", "backend")
        for path in sources(folder)
        if imported(path) & clients and "local" not in path.parts  # starts what runs on this machine
    }
    assert callers == {
        "tenants/outbound.py": ["httpcore2", "httpx2"],
        "features/runs/provider.py": ["httpx2"],  # the types of what openai's client answers, and its errors
    }


def test_the_guard_reads_an_address_as_the_client_does() -> None:
    """There is one reader of addresses: what is judged is what is called."""
    assert isinstance(check_url("https://Good.Example/x"), httpx2.URL)
    assert check_url("https://Good.Example/x").host == "good.example"
