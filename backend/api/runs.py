"""Runs: what a door does before it waits is one hop to a thread, and so is what it does after."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import http_date
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from backend.actors import actor_of, known_of
from backend.listening import Gone, listening
from backend.threads import in_thread
from features.engine import pointer
from features.find import find_feature
from features.models import Feature
from features.resolve import serve_known
from features.runs.accept import accept, find_run
from features.runs.bells import ring
from features.runs.ends import until_ended
from features.runs.events import TERMINAL
from features.runs.finish import cancel
from features.runs.follow import Event, follow
from features.runs.listing import look_at
from features.runs.models import FINAL, Run, State
from features.runs.replay import On, replay
from features.runs.taking import Accepted, Asked
from tenants.actor import Actor
from tenants.errors import Invalid, Malformed, NotFound, Problem, UnsupportedMedia

from .asking import read_json, refuse_encoded, refuse_nul
from .counting import count, with_limits
from .door import PRIVATE
from .fields import Nothing
from .idempotency import begun_once, idempotency_key, replayed
from .problems import answer, other_method, unauthenticated
from .queries import refuse_unknown
from .runs_read import run_json

DEFAULT_WAIT, LONGEST_WAIT = 20.0, 120.0
_STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")

T = TypeVar("T")
Answered = HttpResponseBase | Awaitable[HttpResponseBase]
View = Callable[..., Answered]
Door = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def door(*methods: str) -> Callable[[View], Door]:
    """Make a view a door: known methods, an actor, and errors as problem details.

    Who may GET may ask for the head alone, and anybody for the methods (RFC 9110, 9.3).
    The view is called in the thread that has authenticated; what it returns to be awaited is awaited outside of it.
    """

    allowed = (*methods, "HEAD", "OPTIONS") if "GET" in methods else (*methods, "OPTIONS")

    def wrap(view: View) -> Door:
        def within(request: HttpRequest, arguments: dict[str, Any]) -> Answered:
            actor = _authenticate(request)
            refuse_unknown(request)
            return view(request, actor, **arguments)

        async def behind(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            try:
                if request.method == "OPTIONS":
                    return HttpResponse(status=204, headers={"Allow": ", ".join(allowed)})
                if request.method not in allowed:
                    raise other_method(allowed)
                refuse_nul(request)
                refuse_encoded(request)
                made = await in_thread(within, request, arguments)
                response = with_limits(await made if isawaitable(made) else made, request)
                return _head_of(response) if request.method == "HEAD" else response
            except Exception as error:  # noqa: BLE001 (raised again when it is none of ours)
                return with_limits(answer(error, request), request)

        behind.csrf_exempt = True  # type: ignore[attr-defined]  # keys need none; sessions are checked in _authenticate
        behind.__doc__, behind.__name__ = view.__doc__, view.__name__
        return behind

    return wrap


def _head_of(response: HttpResponseBase) -> HttpResponse:
    """An answer without its content, of which nothing is worked out."""
    return HttpResponse(status=response.status_code, headers=dict(response.headers))


@door("POST")
def create_run(request: HttpRequest, actor: Actor, feature: str) -> Answered:
    """Run a feature: `Prefer: wait=N` waits for the end, `respond-async` does not, `text/event-stream` streams."""
    actor.need("run.create")
    body, key, wait = _body(request), idempotency_key(request), patience(request)
    asked, known = Asked(store=body.get("store", True), fresh=fresh(request)), known_of(request)
    served = serve_known(known, actor.tenant_id, actor.acting_for()) if known else None
    found = served.feature if served else find_feature(feature, actor)
    accepted = accept(found, body["input"], idempotency_key=key, asked=asked, by=actor)
    return _taken_in(request, actor, accepted, found, wait)


@door("POST")
def replay_run(request: HttpRequest, actor: Actor, run_id: UUID) -> Answered:
    """Run a run's input again, on the same behavior, today's, or a version; answered as `create_run` answers."""
    actor.need("run.create")
    on, key, wait = _on(request), idempotency_key(request), patience(request)
    run = _found(run_id, actor)
    accepted = replay(run, on, idempotency_key=key, by=actor)
    return _taken_in(request, actor, accepted, run.feature, wait)


def _taken_in(request: HttpRequest, actor: Actor, accepted: Accepted, feature: Feature, wait: float) -> Answered:
    """Ring for a run that is new, and answer: with what it has come to, or when it has ended, or with its events."""
    headers = {"Location": f"/api/v1/runs/{accepted.run_id}", **sunset(feature)}
    headers = replayed(headers, again=accepted.replayed)
    if not (accepted.replayed or accepted.ended):
        ring()
    if "text/event-stream" in request.headers.get("Accept", ""):
        new = not (accepted.replayed or accepted.ended)
        return _stream(request, actor, accepted.run_id, "0", headers, just_taken_in=new)
    if accepted.ended or not wait:
        return _told(actor, accepted, feature.key, headers)
    ended = until_ended(accepted.run_id, has_ended(actor, accepted.run_id), wait)
    return _in_the_end(request, actor, ended, lambda: _told(actor, accepted, feature.key, headers))


def sunset(feature: Feature) -> dict[str, str]:
    """The header that says from when on nothing of a feature runs any more (RFC 8594), where that is announced."""
    return {} if feature.retires_at is None else {"Sunset": http_date(feature.retires_at.timestamp())}


async def _in_the_end(
    request: HttpRequest, actor: Actor, ended: Awaitable[None], told: Callable[[], HttpResponse]
) -> HttpResponseBase:
    await patiently(request, actor, ended)
    return await in_thread(told)


async def patiently(request: HttpRequest, actor: Actor, ended: Awaitable[None]) -> None:
    """Wait for an end, for as long as the caller may ask at all; then raises what the next request would get."""
    try:
        with listening(actor, request) as listener:
            await listener.unless_gone(ended)
    except Gone:
        await in_thread(actor_of, request)
        raise unauthenticated() from None


def _told(actor: Actor, accepted: Accepted, feature: str, headers: dict[str, str]) -> HttpResponse:
    if accepted.run is not None:
        return json_answer(run_json(accepted.run, []), 200, headers)
    try:
        run, shown = _show(actor, accepted.run_id)
    except (OperationalError, InterfaceError):  # 503 would say that nothing was changed, and it would be sent again
        return json_answer({"id": str(accepted.run_id), "feature": feature, "state": State.QUEUED}, 202, headers)
    return json_answer(shown, 200 if run.state in FINAL else 202, headers)


@door("GET")
def run_events(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponseBase:
    """Stream a run's events; `Last-Event-ID` resumes after the last one seen."""
    _show(actor, run_id)
    last = request.headers.get("Last-Event-ID", "0")
    if last != "0" and not _STREAM_ID.fullmatch(last):
        raise Malformed("Last-Event-ID is the id of an event of this run.")
    return _stream(request, actor, run_id, last, {})


@door("POST")
def cancel_run(request: HttpRequest, actor: Actor, run_id: UUID) -> HttpResponseBase:
    """Cancel a run: 200 when it had not begun, 202 when its worker is asked to stop, 409 when it has ended."""
    nothing_more(request)

    def begin() -> str:
        return "200" if cancel(_found(run_id, actor), by=actor) else "202"

    status, again = begun_once(request, actor, {}, begin)
    return json_answer(_show(actor, run_id)[1], int(status), replayed({}, again=again))


def _authenticate(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    if actor is None:
        raise unauthenticated()
    if "Authorization" not in request.headers and request.method != "GET":
        SessionAuthentication().enforce_csrf(Request(request))
    count(request, actor)
    return actor


def _found(run_id: UUID, actor: Actor) -> Run:
    run = find_run(run_id, actor)
    if run is None:
        raise NotFound("There is no such run.")
    return run


def _show(actor: Actor, run_id: UUID) -> tuple[Run, dict[str, Any]]:
    found = look_at(run_id, actor)
    if found is None:
        raise NotFound("There is no such run.")
    run, calls = found
    return run, run_json(run, calls if run.state in FINAL else None)


def _stream(
    request: HttpRequest, actor: Actor, run_id: UUID, last: str, headers: dict[str, str], *, just_taken_in: bool = False
) -> HttpResponseBase:
    async def body() -> AsyncIterator[bytes]:
        yield b": the events of a run\n\n"
        if last == "0":
            yield _sse(Event("", "queued", {"id": str(run_id)}))
        followed = follow(actor.tenant_id, run_id, last, _end_of(actor, run_id), just_taken_in=just_taken_in)
        with listening(actor, request) as listener:
            async with aclosing(followed) as events:
                async for event in listener.hear(events):
                    if event.name == "":
                        yield b": still there\n\n"
                    elif event.name not in TERMINAL:
                        yield _sse(event)
                    elif await listener.still():
                        _, shown = await in_thread(_show, actor, run_id)
                        yield _sse(Event(event.id, event.name, shown))

    answer = StreamingHttpResponse(body(), content_type="text/event-stream", headers=headers)
    answer["Cache-Control"] = "no-cache"
    answer["X-Accel-Buffering"] = "no"
    return answer


def _sse(event: Event) -> bytes:
    """An event as the HTML standard's text/event-stream has it."""
    head = f"id: {event.id}\n" if event.id else ""
    return f"{head}event: {event.name}\ndata: {text(event.data)}\n\n".encode()


def _end_of(actor: Actor, run_id: UUID) -> Callable[[], Awaitable[str | None]]:
    """For when the stream is silent: the row says how the run ended. With the database away nobody knows yet."""

    def end() -> str | None:
        try:
            run = find_run(run_id, actor)
        except (OperationalError, InterfaceError):
            return None
        if run is None or run.state not in FINAL:
            return None
        return {"succeeded": "done"}.get(run.state, run.state)

    return lambda: in_thread(end)


def has_ended(actor: Actor, run_id: UUID) -> Callable[[], Awaitable[bool]]:
    """Whether a run has ended, as its row says, for `until_ended`."""
    end = _end_of(actor, run_id)

    async def ended() -> bool:
        return await end() is not None

    return ended


def _body(request: HttpRequest) -> dict[str, Any]:
    body = _object(request, "input", 'Send {"input": {…}}.', "store")
    if not isinstance(body.get("store", True), bool):
        raise Invalid("`store` is true or false.", errors=[Problem("/store", "type", "must be true or false")])
    return body


def fresh(request: HttpRequest) -> bool:
    """Whether the caller wants the model asked, whatever is cached (RFC 9111, 5.2.1.4)."""
    return "no-cache" in request.headers.get("Cache-Control", "")


def _object(request: HttpRequest, only: str, told: str, *more: str) -> dict[str, Any]:
    if request.content_type not in ("application/json", ""):
        raise UnsupportedMedia("Send application/json.")
    body = read_json(request)
    if not isinstance(body, dict):
        raise Malformed("Send one JSON object.")
    names = (only, *more)
    unknown = [
        Problem(pointer(name), "unknown", f"is not known here; there is: {', '.join(names)}")
        for name in body
        if name not in names
    ]
    if unknown:
        raise Malformed("The request has fields that are not known here.", errors=unknown)
    if only not in body:
        raise Invalid(told, errors=[Problem(f"/{only}", "required", "is missing")])
    return body


def nothing_more(request: HttpRequest) -> None:
    """Read a body that says nothing. Raises Malformed."""
    Nothing(data=read_json(request)).is_valid(raise_exception=True)


def _on(request: HttpRequest) -> On:
    told = 'Send {"on": "same"}, {"on": "current"} or {"on": {"version": 2}}.'
    on = _object(request, "on", told)["on"]
    if on in ("same", "current"):
        return on  # type: ignore[no-any-return]
    number = on.get("version") if isinstance(on, dict) and set(on) == {"version"} else None
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**31:
        raise Invalid(told, errors=[Problem("/on", "choice", 'must be "same", "current" or {"version": a number}')])
    return number


def patience(request: HttpRequest) -> float:
    """Read Prefer (RFC 7240): how many seconds the caller waits; 0 for respond-async."""
    prefer = request.headers.get("Prefer", "")
    found = re.search(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?", prefer)
    if found is not None:
        return min(float(found[1]), LONGEST_WAIT)
    return 0.0 if "respond-async" in prefer else DEFAULT_WAIT


_JSON = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def text(value: Any) -> str:
    """Return a value as the API writes it: as DRF's JSONRenderer does, with an encoder that is kept."""
    return _JSON.encode(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def json_answer(body: dict[str, Any], status: int, headers: dict[str, str]) -> HttpResponse:
    headers = {"Cache-Control": PRIVATE, **headers}
    return HttpResponse(text(body), status=status, headers=headers, content_type="application/json")


def threaded(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    def in_thread(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        finally:
            connections.close_all()  # back to the pool: a thread of the executor is nobody's request

    return sync_to_async(in_thread, thread_sensitive=False)


async def one_by_one(pieces: Iterator[T]) -> AsyncIterator[T]:
    """What an iterator that asks the database yields, each piece fetched in a thread."""
    while (piece := await threaded(next)(pieces, None)) is not None:
        yield piece
