"""Who is answered for long is answered only while they may ask: what ends that, and what looking costs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.utils import timezone

from backend import listening
from backend.actors import actor_of_key
from tenants.actions import create_key, find_member, remove_member, revoke_key, set_tenant_state
from tenants.actor import Actor
from tenants.models import ApiKey, User
from tests.cast import Cast


def may_listen(actor: Actor) -> bool:
    async def look() -> bool:
        with listening.listening(actor) as listener:
            return await listener.still()

    return asyncio.run(look())


def revoked(cast: Cast, key: ApiKey) -> None:
    revoke_key(key, by=cast.ada)


def expired(cast: Cast, key: ApiKey) -> None:
    with cast.ada.present():
        ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def removed(cast: Cast, key: ApiKey) -> None:
    remove_member(find_member(cast.bob.acting_for().id, cast.ada), by=cast.ada)


def login_closed(cast: Cast, key: ApiKey) -> None:
    User.objects.using("owner").filter(email="bob@acme.example").update(is_active=False)


def suspended(cast: Cast, key: ApiKey) -> None:
    set_tenant_state(cast.bob.in_tenant(), "suspended", reason="Unpaid.", by=cast.operator)


@pytest.mark.parametrize(
    ("end", "who"),
    [
        (revoked, "key"), (expired, "key"), (removed, "key"), (removed, "login"), (login_closed, "key"),
        (login_closed, "login"), (suspended, "key"), (suspended, "login"), (revoked, "service"), (suspended, "service"),
    ],
)  # fmt: skip
def test_whoever_may_not_ask_any_more_hears_no_more(end: Callable[[Cast, ApiKey], None], who: str, cast: Cast) -> None:
    key, text = create_key(kind="service" if who == "service" else "member", name="x", by=cast.ada if who == "service" else cast.bob)  # fmt: skip
    listener = cast.bob if who == "login" else actor_of_key(text)
    assert may_listen(listener) and may_listen(cast.mallory) and may_listen(cast.operator)
    end(cast, key)
    assert not may_listen(listener)
    assert may_listen(cast.mallory) and may_listen(cast.operator)


def test_who_signed_out_hears_no_more_and_another_session_of_theirs_does(cast: Cast) -> None:
    browsers = [SessionStore(), SessionStore()]
    for browser in browsers:
        browser.create()

    async def look(browser: SessionStore) -> bool:
        request = HttpRequest()
        request.session = browser
        with listening.listening(cast.bob, request) as listener:
            return await listener.still()

    assert [asyncio.run(look(browser)) for browser in browsers] == [True, True]
    SessionStore().delete(browsers[0].session_key)  # as another browser does
    assert [asyncio.run(look(browser)) for browser in browsers] == [False, True]


def test_while_it_is_suspended_an_organisations_admins_read_on(cast: Cast) -> None:
    suspended(cast, ApiKey())
    assert may_listen(cast.ada) and not may_listen(cast.alice)


async def endless() -> AsyncIterator[int]:
    number = 0
    while True:
        await asyncio.sleep(0)
        yield (number := number + 1)


def test_however_much_is_said_a_look_is_one_statement_for_each_organisation(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []
    ask = listening.tenant_row

    def asked(tenant_id: Any, *arguments: Any) -> Any:
        looks.append(tenant_id)
        return ask(tenant_id, *arguments)

    monkeypatch.setattr(listening, "tenant_row", asked)
    monkeypatch.setattr(listening, "LOOK_EVERY", 0.05)
    heard = 0

    async def hear(actor: Actor) -> None:
        nonlocal heard
        with listening.listening(actor) as listener:
            async for _ in listener.hear(endless()):
                heard += 1
                if len(looks) >= 6:
                    return

    async def everybody() -> None:
        await asyncio.gather(*(hear(who) for who in [cast.alice, cast.bob, cast.mallory] * 5))

    asyncio.run(everybody())
    acme, globex = (looks.count(who.tenant_id) for who in (cast.alice, cast.mallory))
    assert abs(acme - globex) <= 1 and acme + globex == len(looks) < 20 < heard


def test_a_silent_answer_ends_when_they_may_not_have_it(cast: Cast) -> None:
    async def hear() -> list[int]:
        async def silent() -> AsyncIterator[int]:
            yield 1
            await asyncio.to_thread(removed, cast, ApiKey())
            await asyncio.Event().wait()

        with listening.listening(cast.bob) as listener:
            return [number async for number in listener.hear(silent())]

    assert asyncio.run(asyncio.wait_for(hear(), 30)) == [1]
