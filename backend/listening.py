"""Those who are answered for long, by streams and by waiting: they are answered only while they may ask.

Twice a second each event loop looks at all of them at once, one statement for each organisation whatever comes in their
streams: a key that was revoked or has expired, a membership or a login that has ended, an organisation that is
suspended, a session that was signed out of. That is within a second of the COMMIT, with Valkey and without it.
"""

import asyncio
from asyncio import AbstractEventLoop, Task, get_running_loop
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest

from tenants.actor import Actor
from tenants.isolation import alone, tenant_row
from tenants.models import Tenant
from tenants.support import open_to_support

from .actors import reads_while_suspended
from .threads import in_thread

LOOK_EVERY = 0.5  # seconds

T = TypeVar("T")

_GOOD = alone(
    """SELECT t.state,
    ARRAY(SELECT k.id FROM tenants_apikey k WHERE k.tenant_id = t.id AND k.id = ANY(%(keys)s::uuid[])
        AND k.revoked_at IS NULL AND coalesce(k.expires_at > clock_timestamp(), true)),
    ARRAY(SELECT m.id FROM tenants_member m JOIN tenants_user u ON u.id = m.user_id
        WHERE m.tenant_id = t.id AND m.id = ANY(%(members)s::uuid[]) AND m.removed_at IS NULL AND u.is_active),
    ARRAY(SELECT s.session_key FROM django_session s
        WHERE s.session_key = ANY(%(sessions)s::text[]) AND s.expire_date > clock_timestamp())
    FROM tenants_tenant t WHERE t.id = %(tenant)s"""
)


class Gone(Exception):
    """Whoever asked may not be answered any more."""


class Listener:
    """Somebody who is being answered; `session` is the key of the session that they asked in, empty for none."""

    def __init__(self, actor: Actor, session: str) -> None:
        self.actor, self.session, self.gone = actor, session, get_running_loop().create_future()

    async def unless_gone(self, answer: Awaitable[T]) -> T:
        """Wait for a piece of the answer. Raises Gone as soon as they may not have it any more."""
        coming = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({coming, self.gone}, return_when=asyncio.FIRST_COMPLETED)
            if self.gone.done():
                raise Gone
            return coming.result()
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})

    async def hear(self, pieces: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield the pieces of an answer for as long as they may be heard."""
        while True:
            try:
                yield await self.unless_gone(anext(pieces))
            except (StopAsyncIteration, Gone):
                return

    async def still(self) -> bool:
        """Look now: for what is told at the end, all at once."""
        return not self.gone.done() and await in_thread(_still_good, [self]) == [True]


class _Loop:
    """All the listeners of an event loop, and the task that looks at them while there are any."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self._task: Task[None] | None = None

    def add(self, listener: Listener) -> None:
        self.listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while self.listeners:
            await asyncio.sleep(LOOK_EVERY)
            of: dict[UUID | None, list[Listener]] = defaultdict(list)
            for listener in self.listeners:
                of[listener.actor.tenant_id if listener.actor.tenant else None].append(listener)
            await asyncio.gather(*map(self._look, of.values()))

    async def _look(self, listeners: list[Listener]) -> None:
        try:
            good = await in_thread(_still_good, listeners)
        except (OperationalError, InterfaceError):  # while the database is away nothing can have changed in it
            return
        for listener, still in zip(listeners, good, strict=True):
            if not still and not listener.gone.done():
                listener.gone.set_result(None)


_of_loops: WeakKeyDictionary[AbstractEventLoop, _Loop] = WeakKeyDictionary()


@contextmanager
def listening(actor: Actor, request: HttpRequest | None = None) -> Iterator[Listener]:
    """Have it looked after that who is answered for long may still be answered, and has not signed out meanwhile."""
    session = "" if request is None or "Authorization" in request.headers else request.session.session_key or ""
    all_of_them, listener = _of_loops.setdefault(get_running_loop(), _Loop()), Listener(actor, session)
    all_of_them.add(listener)
    try:
        yield listener
    finally:
        all_of_them.listeners.discard(listener)


def _still_good(listeners: Sequence[Listener]) -> list[bool]:
    """Which of one organisation's listeners may go on asking. Operators may: they hear nothing for long."""
    actors = [listener.actor for listener in listeners]
    tenant = actors[0].tenant
    if tenant is None:
        return [True] * len(actors)
    keys = [actor.key.pk for actor in actors if actor.key]
    members = [actor.subject.id for actor in actors if actor.kind == "member" and actor.subject]
    sessions = [listener.session for listener in listeners if listener.session]
    found = tenant_row(tenant.pk, _GOOD, {"keys": keys, "members": members, "sessions": sessions})
    if found is None:
        return [False] * len(actors)
    state, good_keys, good_members, good_sessions = found[0], set(found[1]), set(found[2]), {"", *found[3]}
    return [one.session in good_sessions and _is_good(one.actor, state, good_keys, good_members) for one in listeners]


def _is_good(actor: Actor, state: str, keys: set[UUID], members: set[UUID]) -> bool:
    if actor.kind == "support":
        return actor.tenant is not None and open_to_support(actor.tenant.slug) is not None
    if state != Tenant.State.ACTIVE and not reads_while_suspended(actor):
        return False
    if actor.key and actor.key.pk not in keys:
        return False
    return actor.kind != "member" or (actor.subject is not None and actor.subject.id in members)
