"""The one place that speaks to model providers: the only importer of openai.

The SDK's own retries are off: they would hide inside ours, sleep in a worker, and be billed without an attempt row.
Calls are read on one event loop per process: only there can a call that says nothing be hung up on, whether it is
still connecting, waiting for the first word or between two, when its deadline passes or its run is cancelled.
"""

import asyncio
import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import openai
from django.conf import settings
from django.utils import timezone
from openai.types.chat import ChatCompletionChunk

from features.engine import Compiled
from features.models import ModelTarget
from tenants.outbound import Failed, Refused, guarded
from tenants.provider_keys import Credential

from . import tracing
from .costs import most_output
from .flow import Call, ProviderFailed
from .output import Reply
from .tokens import estimated

CONNECT_SECONDS = 5.0
LOOK_SECONDS = 0.2  # how soon a call is hung up on once `stop` says so
MOST_BYTES = 32 * 1024 * 1024  # of one answer of a customer's own endpoint, chunks and all
LONGEST_ANSWER = 400_000  # characters; far above what any max_output_tokens gives, so only a runaway meets it

_starting = threading.Lock()


class Stopped(Exception):
    """The caller's `stop` asked for the stream to be closed; `reply` holds what came until then."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("stopped")
        self.reply = reply


@dataclass
class _Gathered:
    """What has come of a stream so far."""

    parts: list[str] = field(default_factory=list)
    length: int = 0
    refusal: str = ""
    finish: str | None = None
    indexes: set[int] = field(default_factory=set)
    tool_call: bool = False
    usage: Any = None

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Take a chunk in and return the text that it adds."""
        self.usage = chunk.usage or self.usage
        added = ""
        for choice in chunk.choices or ():  # null, from some gateways' last chunk
            self.indexes.add(choice.index)
            self.finish = choice.finish_reason or self.finish
            self.tool_call = self.tool_call or bool(choice.delta.tool_calls)
            self.refusal += choice.delta.refusal or ""
            if choice.index == 0:
                added += choice.delta.content or ""
        self.parts.append(added)
        self.length += len(added)
        return added

    def reply(self, asked: Sequence[Mapping[str, Any]]) -> Reply:
        """Return the whole as a Reply. Tokens are the provider's count or, where it gave none, estimated."""
        text = "".join(self.parts)
        used = self.usage
        told = used is not None and bool(used.prompt_tokens)  # a count of nothing is no count
        details = getattr(used, "prompt_tokens_details", None)
        return Reply(
            text=text or None,
            finish=self.finish,
            refusal=self.refusal or None,
            choices=len(self.indexes),
            tool_call=self.tool_call,
            input_tokens=used.prompt_tokens if told else sum(estimated(message["content"]) for message in asked),
            cached_input_tokens=(getattr(details, "cached_tokens", 0) or 0) if details else 0,
            output_tokens=used.completion_tokens if told else estimated(text + self.refusal),
        )


@lru_cache(maxsize=64)
def _client(provider: str, base_url: str, api_key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)


@lru_cache(maxsize=256)
def _own_client(credential: Credential) -> openai.AsyncOpenAI:
    """A client with a tenant's own key, whose connections are no other's; its own endpoint is called through the guard.

    What the vendor's environment says (OPENAI_ORG_ID and the like) is not for that key.
    """
    configured = settings.PROVIDERS[credential.provider]
    client = openai.AsyncOpenAI(
        base_url=credential.base_url or configured["base_url"],
        api_key=credential.secret.reveal() if credential.secret else "none",
        max_retries=0,
        http_client=guarded(most=MOST_BYTES) if credential.base_url else None,
    )
    client.organization = client.project = client.admin_api_key = None
    return client


def _loop() -> asyncio.AbstractEventLoop:
    with _starting:  # lru_cache alone lets two threads make one each, and a client serves one loop only
        return _only_loop()


@lru_cache(maxsize=1)
def _only_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="provider", daemon=True).start()
    return loop


def ask(
    call: Call,
    target: ModelTarget,
    compiled: Compiled,
    *,
    deadline: float,
    on_text: Callable[[str], None],
    stop: Callable[[], bool],
    name: str,
    own: Credential | None = None,
) -> Reply:
    """Make one call and stream its text to `on_text`; `deadline` is a time.monotonic() for the whole of it.

    `name` is ours for the call: the provider gets it as X-Client-Request-Id, and has it in its logs. `own` is the
    tenant's own key, which the call is made with instead of the vendor's.
    Raises ProviderFailed (timeout, unavailable, rejected) and Stopped when `stop` says so, having closed the stream.
    Both carry what was used until then, where the answer had begun.
    """
    configured = settings.PROVIDERS.get(target.provider)
    if configured is None:
        raise ProviderFailed("rejected", f"The provider {target.provider} is not set up on this worker.")
    client = _own_client(own) if own else _client(target.provider, configured["base_url"], configured["api_key"])
    gathered = _Gathered()
    texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    request = {**_request(call, target, compiled), "extra_headers": {"X-Client-Request-Id": name, **tracing.headers()}}
    reading = _read(client, request, gathered, deadline, texts.put)
    done = asyncio.run_coroutine_threadsafe(_until_stopped(reading, stop, texts.put), _loop())
    while (text := _heard(texts)) is not None:
        on_text(text)
    try:
        _wait(done, deadline, own)
    except ProviderFailed as failure:
        failure.reply = gathered.reply(call.messages) if gathered.indexes else None
        raise
    reply = gathered.reply(call.messages)
    if done.result():
        raise Stopped(reply)
    if gathered.indexes and gathered.finish is None:
        raise ProviderFailed("unavailable", "The answer broke off before its end.", reply=reply)
    return reply


def _heard(texts: "queue.SimpleQueue[str | None]") -> str | None:
    """All the text that has come by now, once any has; None when no more will come, but never before what came."""
    text = texts.get()
    while text is not None and not texts.empty():
        more = texts.get()
        if more is None:
            texts.put(None)
            return text
        text += more
    return text


def _wait(done: "concurrent.futures.Future[bool]", deadline: float, own: Credential | None) -> None:
    """Wait for the end of a call. Raises ProviderFailed for whatever it ended with that was no answer."""
    try:
        done.result()
    except openai.APITimeoutError as error:
        if time.monotonic() < deadline:  # the only limit below the deadline is that for connecting
            raise ProviderFailed("unavailable", "The model could not be reached in time.") from error
        raise ProviderFailed("timeout", "The model did not answer in time.") from error
    except TimeoutError as error:
        raise ProviderFailed("timeout", "The deadline passed before the answer was whole.") from error
    except openai.APIStatusError as error:
        raise _of_status(error, own) from error
    except openai.APIError as error:
        raise ProviderFailed("unavailable", f"The connection to the model failed ({type(error).__name__}).") from error
    except Refused as error:
        raise ProviderFailed("address_refused", str(error)) from error
    except (ValueError, TypeError, AttributeError, Failed) as error:  # the SDK reads streams without checking them
        raise ProviderFailed("unavailable", f"The answer was no chat stream ({type(error).__name__}).") from error


async def _until_stopped(
    reading: Coroutine[Any, Any, None], stop: Callable[[], bool], put: Callable[[str | None], None]
) -> bool:
    """Read to the end, or hang up when `stop` says so: then True. Puts None last, when nothing is open any more."""
    task = asyncio.create_task(reading)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if stop() and not task.done():
                task.cancel()
                await asyncio.wait({task})
                return True
        task.result()
        return False
    finally:
        put(None)


async def _read(
    client: openai.AsyncOpenAI,
    request: Mapping[str, Any],
    gathered: _Gathered,
    deadline: float,
    put: Callable[[str], None],
) -> None:
    """Gather a stream. Raises TimeoutError at the deadline, and what openai raises."""
    remaining = max(0.05, deadline - time.monotonic())
    timeout = openai.Timeout(remaining, connect=min(CONNECT_SECONDS, remaining))
    async with asyncio.timeout(remaining):
        async with await client.chat.completions.create(timeout=timeout, **request) as stream:
            async for chunk in stream:
                if added := gathered.add(chunk):
                    put(added)
                if gathered.length > LONGEST_ANSWER:
                    raise TimeoutError


def _request(call: Call, target: ModelTarget, compiled: Compiled) -> dict[str, Any]:
    settings_of_model: Mapping[str, Any] = compiled.settings
    request = {key: value for key, value in settings_of_model.items() if key != "max_output_tokens"}
    request[target.capabilities.get("max_tokens_parameter", "max_completion_tokens")] = most_output(compiled, target)
    return {
        **request,
        "model": target.model,
        "messages": call.messages,
        "response_format": compiled.response_format,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _of_status(error: openai.APIStatusError, own: Credential | None) -> ProviderFailed:
    """Sort a provider's error answer; its body is never shown, since it may repeat what was sent."""
    status = error.status_code
    if own is not None and status in (401, 403):
        told = f"{own.provider} answered {status} to your key {own.name} (…{own.last_four}): enter one that is good."
        return ProviderFailed("key_refused", told)
    retry_after = _retry_after(error.response.headers.get("retry-after", ""))
    if status in (408, 409, 429) or status >= 500:
        return ProviderFailed("unavailable", f"The provider answered {status}.", retry_after)
    return ProviderFailed("rejected", f"The provider answered {status}.")


def _retry_after(value: str) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date; anything else says nothing."""
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - timezone.now()).total_seconds())
    except (ValueError, TypeError):
        return None
