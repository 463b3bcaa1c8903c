"""The one place that speaks to model providers: the only importer of openai.

The SDK's own retries are off: they would hide inside ours, sleep in a worker, and be billed without an attempt row.
Calls are read on one event loop per process: only there can a call that says nothing be hung up on, whether it is
still connecting, waiting for the first word or between two, when its deadline passes or its run is cancelled.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx2
import openai
from django.conf import settings
from django.utils import timezone

from features.engine import Compiled
from features.models import ModelTarget
from tenants.outbound import Failed, Refused, guarded
from tenants.provider_keys import Credential

from . import tracing
from .costs import most_output
from .flow import Call, ProviderFailed
from .output import Reply
from .streaming import Broken, Gathered

CONNECT_SECONDS = 5.0
LOOK_SECONDS = 0.2  # how soon a call is hung up on once `stop` says so
DRAIN_SECONDS = 0.1  # how long the end of an answer is waited for that has said to be whole: it frees its connection
MOST_BYTES = 32 * 1024 * 1024  # of one answer of a customer's own endpoint, chunks and all
LONGEST_ANSWER = 400_000  # characters; far above what any max_output_tokens gives, so only a runaway meets it

_starting = threading.Lock()
_calls: dict[asyncio.Task[bool], Callable[[], bool]] = {}  # that are open, and what says to end them


class Stopped(Exception):
    """The caller's `stop` asked for the stream to be closed; `reply` holds what came until then."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("stopped")
        self.reply = reply


@lru_cache(maxsize=64)
def _client(provider: str, base_url: str, api_key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=_connections())


@lru_cache(maxsize=1)
def _connections() -> httpx2.AsyncClient:
    """Those of all calls with the vendor's keys: aiohttp parses HTTP in C, which makes a call cost half of httpx2's."""
    client = openai.DefaultAioHttpClient()
    atexit.register(_close, client)
    return client


def _close(client: httpx2.AsyncClient) -> None:
    with contextlib.suppress(TimeoutError):  # nothing waits for it; aiohttp complains of what it is not told
        asyncio.run_coroutine_threadsafe(client.aclose(), _loop()).result(1)


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
    loop.call_soon(_hang_up_on_stopped, loop)
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

    `on_text` is called on the loop that reads all calls of the process, and must not hold it up.
    `name` is ours for the call: the provider gets it as X-Client-Request-Id, and has it in its logs. `own` is the
    tenant's own key, which the call is made with instead of the vendor's.
    Raises ProviderFailed (timeout, unavailable, rejected) and Stopped when `stop` says so, having closed the stream.
    Both carry what was used until then, where the answer had begun.
    """
    configured = settings.PROVIDERS.get(target.provider)
    if configured is None:
        raise ProviderFailed("rejected", f"The provider {target.provider} is not set up on this worker.")
    client = _own_client(own) if own else _client(target.provider, configured["base_url"], configured["api_key"])
    gathered = Gathered()
    headers = {"X-Client-Request-Id": name, **tracing.headers()}
    reading = _read(client, _request(call, target, compiled), headers, gathered, deadline, on_text)
    done = asyncio.run_coroutine_threadsafe(_until_stopped(reading, stop), _loop())
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


def _wait(done: "concurrent.futures.Future[bool]", deadline: float, own: Credential | None) -> None:
    """Wait for the end of a call. Raises ProviderFailed for whatever it ended with that was no answer."""
    try:
        done.result()
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        if time.monotonic() < deadline:  # the only limit below the deadline is that for connecting
            raise ProviderFailed("unavailable", "The model could not be reached in time.") from error
        raise ProviderFailed("timeout", "The model did not answer in time.") from error
    except TimeoutError as error:
        raise ProviderFailed("timeout", "The deadline passed before the answer was whole.") from error
    except openai.APIStatusError as error:
        raise _of_status(error, own) from error
    except (openai.APIError, httpx2.HTTPError) as error:
        raise ProviderFailed("unavailable", f"The connection to the model failed ({type(error).__name__}).") from error
    except Refused as error:
        raise ProviderFailed("address_refused", str(error)) from error
    except Broken as error:
        raise ProviderFailed("unavailable", "The model's server failed in the middle of its answer.") from error
    except (ValueError, TypeError, AttributeError, LookupError, Failed) as error:
        raise ProviderFailed("unavailable", f"The answer was no chat stream ({type(error).__name__}).") from error


async def _until_stopped(reading: Coroutine[Any, Any, None], stop: Callable[[], bool]) -> bool:
    """Read to the end, or hang up when `stop` says so: then True."""
    task = asyncio.current_task()
    assert task is not None
    _calls[task] = stop
    try:
        await reading
    except asyncio.CancelledError:
        if not stop():
            raise
        task.uncancel()
        return True
    finally:
        _calls.pop(task, None)
    return False


def _hang_up_on_stopped(loop: asyncio.AbstractEventLoop) -> None:
    """End each call whose `stop` says so, and look again later, for as long as the process lives."""
    for task in [task for task, stop in _calls.items() if stop()]:
        del _calls[task]
        task.cancel()
    loop.call_later(LOOK_SECONDS, _hang_up_on_stopped, loop)


async def _read(
    client: openai.AsyncOpenAI, request: Mapping[str, Any], headers: Mapping[str, str], gathered: Gathered,
    deadline: float, on_text: Callable[[str], None],
) -> None:  # fmt: skip
    """Gather a stream. Raises TimeoutError at the deadline, what openai and httpx2 raise, and what `feed` raises.

    The SDK makes the request and judges its answer's head; the answer itself is read as it comes, since the SDK makes
    several objects of each chunk, which costs three times as much as all the rest of a call.
    """
    remaining = max(0.05, deadline - time.monotonic())
    timeout = openai.Timeout(remaining, connect=min(CONNECT_SECONDS, remaining))
    try:
        async with asyncio.timeout(remaining) as limit:
            answer: Any = await client.post(
                "/chat/completions", cast_to=httpx2.Response, body=request, stream=True,
                stream_cls=openai.AsyncStream[Any],
                options={"timeout": timeout, "headers": dict(headers)},
            )  # fmt: skip
            try:
                await _gather(answer, gathered, limit, on_text)
            finally:
                await answer.aclose()
    except (TimeoutError, httpx2.HTTPError):
        if not gathered.ended:  # else it is whole, and only its connection is lost
            raise


async def _gather(
    answer: httpx2.Response, gathered: Gathered, limit: asyncio.Timeout, on_text: Callable[[str], None]
) -> None:
    """Read an answer; after the word that it is whole its end is waited for a moment, which frees its connection."""
    async for part in answer.aiter_bytes():
        was_whole = gathered.ended
        if was_whole:
            continue
        if added := gathered.feed(part):
            on_text(added)
        if gathered.length > LONGEST_ANSWER:
            raise TimeoutError
        _wait_no_longer(limit, gathered)


def _wait_no_longer(limit: asyncio.Timeout, gathered: Gathered) -> None:
    if gathered.ended:
        limit.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)


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
