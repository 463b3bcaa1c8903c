"""Idempotency-Key at the doors: what a POST does is done once, and its answer is given again to whoever repeats it.

The doors of DRF all go through `answered_once`. A door whose answer is what has become of something by now (a preview,
an impact, a cancelled run) keeps only what it has begun, with `begun_once`; runs and batches do as features.runs says.
"""

import json
import re
from collections.abc import Callable
from hashlib import sha256

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from features.engine import Json, canonical
from features.runs.once import once
from tenants.actor import Actor
from tenants.errors import ApprovalNeeded, Malformed

from .problems import problem

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
_TOKEN = re.compile(r"[A-Za-z0-9._:~-]{1,255}")


def idempotency_key(request: HttpRequest) -> str | None:
    """Read Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), bare or quoted. Raises Malformed."""
    value = request.headers.get(HEADER)
    if value is None:
        return None
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if not _TOKEN.fullmatch(bare):
        raise Malformed("Idempotency-Key has 1 to 255 of A-Z a-z 0-9 . _ : ~ - and may stand in double quotes.")
    return bare


def replayed(headers: dict[str, str], *, again: bool) -> dict[str, str]:
    """The headers of an answer, which says so where the key has done this before."""
    return {**headers, REPLAYED: "true"} if again else headers


def begun_once(request: HttpRequest, actor: Actor, body: Json, begin: Callable[[], str]) -> tuple[str, bool]:
    """Begin something, or find what the same request has begun before: (what `begin` calls it, whether it is that)."""
    key = idempotency_key(request)
    return (begin(), False) if key is None else once(key, _fingerprint(request, actor, body), begin, by=actor)


def answered_once(request: HttpRequest, actor: Actor, body: Json, answer: Callable[[], Response]) -> HttpResponseBase:
    """Answer a request, or as the same request was answered before, byte for byte.

    A refusal undoes what was done and is not kept, but for the one that has done something: asking another operator.
    """
    first: list[HttpResponseBase] = []

    def kept() -> str:
        try:
            response: HttpResponseBase = answer()
        except ApprovalNeeded as needed:
            response = problem(needed, request)
        first.append(response)
        return _written(response)

    text, again = begun_once(request, actor, body, kept)
    return _read(text) if again else first[0]


def _fingerprint(request: HttpRequest, actor: Actor, body: Json) -> str:
    """SHA-256 of the RFC 8785 bytes of what is asked, for whom, and of what the credential may be used for."""
    subject = str(actor.subject.id) if actor.subject else ""
    scopes: list[Json] = [str(scope) for scope in sorted(actor.scopes)]
    asked: list[Json] = [request.method or "", request.get_full_path(), subject, scopes, body or {}]
    return sha256(canonical(asked)).hexdigest()


def _written(response: HttpResponseBase) -> str:
    if isinstance(response, Response):
        kind, body = "application/json", b"" if response.data is None else JSONRenderer().render(response.data)
    else:
        kind, body = response.headers["Content-Type"], response.content  # type: ignore[attr-defined]
    told = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return json.dumps([response.status_code, told, kind, body.decode()])


def _read(text: str) -> HttpResponse:
    status, headers, kind, body = json.loads(text)
    response = HttpResponse(body, status=status, headers=replayed(headers, again=True), content_type=kind)
    if not body:
        del response.headers["Content-Type"]
    return response
