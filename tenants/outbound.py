"""The one client for every address that a customer can set: its provider's endpoint, its webhooks.

A name is resolved once, every answer is judged, and the connection is made to what was judged, so that a name which
answers differently the second time (DNS rebinding) reaches nothing. TLS and the Host header keep the name. No redirect
is followed, no proxy is taken from the environment, no more than a bound is read, and nothing read is ever repeated.

What is public: the IANA special-purpose address registries (RFC 6890, https://www.iana.org/assignments/
iana-ipv4-special-registry, iana-ipv6-special-registry), and the well-known addresses of clouds' metadata services.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore2
import httpx2
from django.conf import settings

LONGEST_URL = 2000
CONNECT_SECONDS = 5.0
RESOLVING = 64  # names looked up at once: a hostile name server holds a thread for as long as it likes

_REFUSED_4 = [
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's, which looks public
    )
]  # fmt: skip
_GLOBAL_6 = ip_network("2000::/3")  # all that was ever given out as global unicast (RFC 4291, 2.4)
_REFUSED_6 = [
    ip_network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking and other protocols' own
        "2001:db8::/32", "2002::/16",  # documentation; 6to4, which wraps any IPv4 address
        "3fff::/20", "2620:4f:8000::/48",
    )
]  # fmt: skip

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(Exception):
    """An address that may not be called. The words never say where a name led: that would answer for our resolver."""


class Failed(Exception):
    """A call that brought no answer; the words are ours."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and no wrapping of one that is not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    return address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)


def may_reach(address: Address, port: int, *, plain: bool) -> bool:
    """Whether a connection may be made: to the public internet by TLS at a usual port, or into an allowed network."""
    networks: Iterable[IPv4Network | IPv6Network] = settings.OUTBOUND_NETWORKS
    if any(address in network for network in networks):
        return True
    return not plain and port in settings.OUTBOUND_PORTS and is_public(address)


def check_url(text: str) -> httpx2.URL:
    """Return an address that may be called as far as it can be told without asking anybody. Raises Refused.

    Plain http is for allowed networks only (`BESPOKE_OUTBOUND_NETWORKS`), and where a name leads is judged when it is
    called.
    """
    if not text.isprintable() or " " in text or "\\" in text or len(text) > LONGEST_URL:
        raise Refused(f"An address is at most {LONGEST_URL} characters, without spaces and backslashes.")
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise Refused("This is no address.") from error
    if url.scheme != "https" and not (url.scheme == "http" and settings.OUTBOUND_NETWORKS):
        raise Refused("An address begins with https://.")
    if not url.host or url.userinfo or url.fragment or "%" in url.host:
        raise Refused("An address names a host, and no user, password or fragment.")
    port = _port(url)
    if port not in settings.OUTBOUND_PORTS and not settings.OUTBOUND_NETWORKS:
        raise Refused(f"The port must be one of {', '.join(map(str, settings.OUTBOUND_PORTS))}.")
    literal = _literal(url.host)
    if literal is not None and not may_reach(literal, port, plain=url.scheme == "http"):
        raise _not_public()
    return url


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a thread of our own pool."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_resolvers(), _look_up, host, port)
    return [str(row[4][0]) for row in found]


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """What an httpx2 client connects by: judged addresses, no proxy, and at most `most` bytes of each answer."""

    def __init__(self, *, plain: bool, most: int, resolve: Resolve, context: ssl.SSLContext | None = None) -> None:
        trusted = context or _context()
        super().__init__(verify=trusted, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trusted, network_backend=_Guard(resolve, plain=plain), keepalive_expiry=30
        )
        self._most = most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        check_url(str(request.url))
        response = await super().handle_async_request(request)
        folded = response.headers.get("content-encoding", "identity") != "identity"  # small on the wire, huge in memory
        if folded and self._most:
            await response.aclose()
            raise Failed("The answer was compressed, which was not asked for.")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._most)
        return response


def guarded(
    *, most: int, resolve: Resolve = resolve, context: ssl.SSLContext | None = None, timeout: float | None = None
) -> httpx2.AsyncClient:
    """Return a client for customers' addresses, one for each credential: its connections are nobody else's."""
    options: dict[str, Any] = {"most": most, "resolve": resolve, "context": context}
    transports = {f"{scheme}://": GuardedTransport(plain=scheme == "http", **options) for scheme in ("https", "http")}
    return httpx2.AsyncClient(
        transport=transports["https://"], mounts=transports, trust_env=False, follow_redirects=False, timeout=timeout,
        headers={"Accept-Encoding": "identity"},
    )  # fmt: skip


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, resolve: Resolve = resolve,
    context: ssl.SSLContext | None = None,
) -> int:  # fmt: skip
    """Send a body and return the answer's status, of which nothing more is read; `seconds` is for all of it.

    Raises Refused for an address that may not be called, and Failed where no answer came.
    """
    check_url(url)
    try:
        async with asyncio.timeout(seconds):
            async with (
                guarded(most=0, resolve=resolve, context=context) as client,
                client.stream("POST", url, content=body, headers=dict(headers)) as response,
            ):
                return response.status_code
    except TimeoutError as error:
        raise Failed(f"no answer within {seconds:g} seconds") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise Failed(f"no answer ({type(error).__name__})") from error


class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects to an address that it has judged itself, whatever the name would answer the next time."""

    def __init__(self, resolve: Resolve, *, plain: bool) -> None:
        self._resolve, self._plain, self._inner = resolve, plain, httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        addresses = await self._judged(host, port)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, min(timeout or CONNECT_SECONDS, CONNECT_SECONDS), None, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise Refused("Only addresses of the internet are called.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _judged(self, host: str, port: int) -> list[Address]:
        """The addresses of a host, all of which may be reached. Raises Refused where one may not."""
        literal = _literal(host)
        try:
            told = [host] if literal is not None else await self._resolve(host, port)
            addresses = [ip_address(text) for text in told]  # one with a zone (fe80::1%eth0) is judged all the same
        except (OSError, ValueError) as error:
            raise httpcore2.ConnectError("the name cannot be resolved") from error
        if not all(may_reach(address, port, plain=self._plain) for address in addresses):
            raise _not_public()
        return addresses


class _Bounded(httpx2.AsyncByteStream):
    """An answer's bytes, up to a bound."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._stream:
            read += len(part)
            if read > self._most:
                raise Failed(f"The answer is longer than {self._most} bytes.")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _not_public() -> Refused:
    return Refused("The address does not lead to the public internet, or not at a port that is called.")


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@lru_cache(maxsize=1)
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RESOLVING, "resolve")


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    """The certificates that this machine trusts, read once."""
    return httpx2.create_ssl_context()
