"""PURE: what comes of a streamed chat completion, gathered from its bytes without building an object for each chunk.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation; what is
in them: https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jiter

from .output import Reply
from .tokens import estimated

LONGEST_LINE = 8 * 1024 * 1024  # bytes; far above any chunk, so only a server gone mad meets it
DONE = b"[DONE]"


class Broken(Exception):
    """The server says within its answer that it failed."""


class Events:
    """The data of server-sent events, out of bytes that may be cut anywhere."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line that has not ended
        self._data: list[bytes] = []  # of an event that has not ended

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Take bytes in and yield the data of each event that they end. Raises ValueError for a line without end."""
        self._rest.append(part)
        if b"\n" not in part and b"\r" not in part:
            if sum(map(len, self._rest)) > LONGEST_LINE:
                raise ValueError("a line is too long")
            return
        lines = b"".join(self._rest).splitlines(keepends=True)
        self._rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]  # "\r" alone may yet become "\r\n"
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" ").rstrip(b"\r\n"))
            elif self._data and not line.strip(b"\r\n"):
                yield b"\n".join(self._data)
                self._data = []


@dataclass
class Gathered:
    """What has come of a stream so far."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    refusal: str = ""
    finish: str | None = None
    indexes: set[int] = field(default_factory=set)
    tool_call: bool = False
    usage: Mapping[str, Any] | None = None
    ended: bool = False  # the server has said that no more comes
    events: Events = field(default_factory=Events)

    def feed(self, part: bytes) -> str:
        """Take bytes in and return the text that they add.

        Raises Broken, and ValueError, TypeError, AttributeError or LookupError for what is no chat stream.
        """
        added = ""
        for data in self.events.feed(part):
            if data.startswith(DONE):
                self.ended = True
            if not self.ended:
                added += self.add(jiter.from_json(data))
        return added

    def add(self, chunk: Any) -> str:
        """Take a chunk in and return the text that it adds."""
        if chunk.get("error"):
            raise Broken
        self.usage = chunk.get("usage") or self.usage
        added = ""
        for choice in chunk.get("choices") or ():  # null, from some gateways' last chunk
            self.indexes.add(choice["index"])
            self.finish = choice.get("finish_reason") or self.finish
            delta = choice["delta"]
            self.tool_call = self.tool_call or bool(delta.get("tool_calls"))
            self.refusal += delta.get("refusal") or ""
            if choice["index"] == 0:
                added += delta.get("content") or ""
        self.parts.append(added)
        self.length += len(added)
        return added

    def reply(self, asked: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the whole as a Reply. Tokens are the provider's count or, where it gave none, estimated."""
        text, used = "".join(self.parts), self.usage or {}
        told = _count(used, "prompt_tokens")  # a count of nothing is no count
        return Reply(
            text=text or None,
            finish=self.finish,
            refusal=self.refusal or None,
            choices=len(self.indexes),
            tool_call=self.tool_call,
            input_tokens=told or sum(estimated(message["content"]) for message in asked),
            cached_input_tokens=_count(used.get("prompt_tokens_details"), "cached_tokens"),
            output_tokens=_count(used, "completion_tokens") if told else estimated(text + self.refusal),
        )


def _count(used: Any, name: str) -> int:
    told = used.get(name) if isinstance(used, Mapping) else None
    return told if isinstance(told, int) and told > 0 else 0
