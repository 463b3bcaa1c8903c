"""What production does not start with: settings that are good enough for one's own machine alone.

A process is in production unless BESPOKE_ENVIRONMENT says `local`, as `make demo`, `make serve` and the tests do. All
faults are told at once, each with what to set instead.
"""

import zlib
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

ENVIRONMENTS = ("production", "local")
LEAST_PACKED = 40  # bytes: 160 random bits in hexadecimal need about as many, `openssl rand -hex 32` some 55
LEAST_DIFFERENT = 16  # of the 32 bytes of a key; random ones have about 30
INSIDE = tuple(ip_network(one) for one in ("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"))
VARIABLES = {
    "default": "DATABASE_URL", "operator": "DATABASE_OPERATOR_URL", "owner": "DATABASE_OWNER_URL",
}  # fmt: skip
PROOFS = ("passfile", "sslcert", "service")  # other ways than a password for libpq to say who it is


def refuse(settings: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured, which ends the process, for settings that production must not have."""
    found = list(faults(settings))
    if found:
        told = "\n".join(f"- {fault}" for fault in found)
        raise ImproperlyConfigured(
            f"Not fit for production:\n{told}\nSee docs/deploy.md; BESPOKE_ENVIRONMENT=local is for one's own machine."
        )


def faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with settings (as backend.settings names them), and what to set; never show a secret."""
    if settings["DEBUG"]:
        yield "BESPOKE_DEBUG shows code and settings to everybody: unset it."
    if weak(settings["SECRET_KEY"]):
        yield "SECRET_KEY can be guessed: set it to what `openssl rand -hex 32` prints."
    for name, key in settings["SECRET_RING"].items():
        if len(set(key)) < LEAST_DIFFERENT:
            yield f"The key {name} in BESPOKE_SECRET_KEYS can be guessed: make one with `openssl rand -hex 32`."
    if urlsplit(settings["BASE_URL"]).scheme != "https":
        yield "BESPOKE_BASE_URL is not https: set it to the address people use, such as https://bespoke.example."
    if "*" in settings["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS lets any host name in: list yours, or unset it for that of BESPOKE_BASE_URL."
    for alias, place in settings["DATABASES"].items():
        if open_to_all(place):
            yield f"{VARIABLES[alias]} names a host and no password: set the one that the role was made with."
    for network in settings["OUTBOUND_NETWORKS"]:
        if any(network.version == inside.version and network.overlaps(inside) for inside in INSIDE):
            yield f"BESPOKE_OUTBOUND_NETWORKS lets customers' addresses lead into this machine: take {network} out."


def weak(secret: str) -> bool:
    """Whether a text is short or repeats itself: what zlib can pack into few bytes holds little that is random."""
    return len(zlib.compress(secret.encode(), 9)) < LEAST_PACKED


def open_to_all(place: Mapping[str, Any]) -> bool:
    """Whether a database would take anybody who reaches it by network. (Whom a socket lets in, the machine knows.)"""
    by_network = bool(place["HOST"]) and not place["HOST"].startswith("/")
    proof = place["PASSWORD"] or any(name in place["OPTIONS"] for name in PROOFS)
    return by_network and not proof
