"""`python -m benchmarks.runs.upstream FD MILLISECONDS`: a model behind the wire, and the floor of any server here.

Answers chat completions as a stream of chunks, the first after so many milliseconds; every other path with one small
JSON object at once, which is as little as an ASGI application under uvicorn can do.
"""

import asyncio
import json
import socket
import sys
from typing import Any

import uvicorn

WORDS = ['{"greeting": "', *[f"word{number} " for number in range(14)], '"}']
FLOOR = b'{"ok": true}'


def chunk(text: str | None, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    body: dict[str, Any] = {
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "bench",
        "choices": [choice] if usage is None else [], "usage": usage,
    }  # fmt: skip
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = {"prompt_tokens": 120, "completion_tokens": 18, "total_tokens": 138}
FIRST = chunk(WORDS[0])
REST = [*map(chunk, WORDS[1:]), chunk(None, "stop"), chunk(None, None, USAGE) + b"data: [DONE]\n\n"]


def application(seconds: float) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        if not scope["path"].endswith("/chat/completions"):
            await send({"type": "http.response.start", "status": 200, "headers": [
                (b"content-type", b"application/json"), (b"content-length", str(len(FLOOR)).encode()),
            ]})  # fmt: skip
            await send({"type": "http.response.body", "body": FLOOR})
            return
        if seconds:
            await asyncio.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for part in (FIRST, *REST):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return answer


def main() -> None:
    listening = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(
        application(float(sys.argv[2]) / 1000), lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
