"""`python -m backend.local.web FD`: uvicorn on a listening socket that the supervisor holds.

So the port is ours before anything starts, no other checkout can take it in between, and callers wait instead of
being refused while web restarts. (uvicorn's --fd takes any socket for a unix one, so TCP_NODELAY stays off.)
"""

import socket
import sys
from contextlib import suppress

import uvicorn

HOST = "127.0.0.1"
USUAL_PORT = 8000


def listen(wanted: int | None, remembered: int | None) -> socket.socket:
    """A listening socket on the wanted port, or else on the remembered, the usual or the next free one.

    Raises OSError when the wanted port is taken.
    """
    if wanted is not None:
        return _listen(wanted)
    for port in ([remembered] if remembered else []) + list(range(USUAL_PORT, USUAL_PORT + 100)):
        with suppress(OSError):
            return _listen(port)
    return _listen(0)


def _listen(port: int) -> socket.socket:
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the last start may linger
        made.bind((HOST, port))
        made.listen(512)
    except OSError:
        made.close()
        raise
    return made


def serve(descriptor: int) -> None:
    """Serve until a signal; open streams get a few seconds to end."""
    # Imported here, before there is an event loop: the application checks the database as it boots.
    from backend.asgi import application
    from backend.http import BoundedProtocol

    config = uvicorn.Config(
        application, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, timeout_graceful_shutdown=3,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
