"""gunicorn's worker: uvicorn with a bound on heads, and without a second reading of the proxy's headers.

Whom a forwarded address is believed, settings alone say (BESPOKE_BEHIND_PROXY, BESPOKE_PROXIES).
"""

from typing import Any

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):  # type: ignore[misc]  # which has no types
    """What the image's command names."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "auto",
        "http": "backend.http:BoundedProtocol",
        "ws": "none",
        "lifespan": "off",
        "proxy_headers": False,
    }
