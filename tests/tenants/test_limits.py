"""Requests per minute, counted in a real Valkey: exact under races, each limit its own, harmless when it is away."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from features.runs import dispatch, events
from features.runs.bells import ring
from tenants import valkey
from tenants.actor import Actor
from tenants.errors import TooMany
from tenants.limits import Policy, count_request, headers_of
from tenants.models import ApiKey, Tenant
from tests.outside import until, within


def tenant(requests: int | None = None) -> Tenant:
    return Tenant(id=uuid4(), slug="acme", requests_per_minute=requests)


def asker(of: Tenant, requests: int | None = None) -> Actor:
    """Somebody with a key of a tenant's; nothing here needs rows."""
    key = ApiKey(id=uuid4(), tenant=of, requests_per_minute=requests)
    return Actor(kind="service", label=f"key:{key.id}", role="service", can=frozenset(), tenant=of, key=key)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    valkey.forget_failure()
    yield
    valkey.forget_failure()


def admitted(by: Actor, times: int) -> int:
    return sum(_admits(by) for _ in range(times))


def _admits(by: Actor) -> bool:
    try:
        count_request(by)
    except TooMany:
        return False
    return True


def test_of_two_hundred_at_once_twenty_are_let_in() -> None:
    acme = tenant(20)
    keys, line = [asker(acme), asker(acme)], threading.Barrier(50)

    def knock(number: int) -> int:
        line.wait()
        return admitted(keys[number % 2], 4)

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(knock, range(50))) == 20


def test_two_keys_share_their_tenants_limit_and_another_tenant_has_its_own() -> None:
    acme, globex = tenant(3), tenant(3)
    one, other = asker(acme), asker(acme)
    assert (admitted(one, 2), admitted(other, 2), admitted(one, 1)) == (2, 1, 0)
    assert admitted(asker(globex), 4) == 3


def test_a_key_has_a_limit_of_its_own_and_a_refusal_takes_nothing_from_the_tenant() -> None:
    acme = tenant(5)
    small, large = asker(acme, 2), asker(acme)
    assert admitted(small, 50) == 2
    assert admitted(large, 50) == 3


def test_the_headers_and_the_refusal_say_what_is_left() -> None:
    by = asker(tenant(10), 2)
    told = count_request(by)
    assert told["RateLimit-Policy"] == '"tenant";q=10;w=60, "key";q=2;w=60'
    assert told["RateLimit"] == '"tenant";r=9;t=60, "key";r=1;t=60'
    count_request(by)
    with pytest.raises(TooMany) as refused:
        count_request(by)
    wait = int(refused.value.headers["Retry-After"])
    assert 1 <= wait <= 120
    assert refused.value.headers["RateLimit"] == f'"key";r=0;t={wait}'
    assert refused.value.extra == {"violated-policies": ["key"]}


@pytest.mark.parametrize(
    ("quota", "current", "previous", "gone", "left", "wait"),
    [
        (10, 0, 0, 0, 10, 0),
        (10, 9, 0, 0, 1, 0),
        (10, 10, 0, 0, 0, 66),  # the next minute, and then until a tenth of it is no more covered
        (10, 10, 0, 59, 0, 7),
        (10, 0, 10, 0, 0, 6),  # at 6 s nine of the ten still count
        (10, 0, 10, 6, 1, 0),
        (10, 5, 10, 30, 0, 6),
        (10, 5, 10, 45, 2, 0),
        (1, 1, 0, 0, 0, 120),
        (5, 10, 0, 0, 0, 96),  # a limit that was lowered meanwhile
        (5, 0, 10, 0, 0, 36),
    ],
)
def test_what_is_left_and_how_long_to_wait(
    quota: int, current: int, previous: int, gone: float, left: int, wait: float
) -> None:
    policy = Policy("key", quota, current, previous, gone)
    assert (policy.left, pytest.approx(policy.wait)) == (left, wait)


@pytest.mark.parametrize(
    ("wait_of", "header"),
    [
        (Policy("tenant", 6000, 129, 0, 5), '"tenant";r=5871;t=60'),
        (Policy("tenant", 2, 2, 0, 59.5), '"tenant";r=0;t=31'),
        (Policy("tenant", 2, 0, 2, 29.99), '"tenant";r=0;t=1'),
    ],
)
def test_whole_seconds_at_least_one(wait_of: Policy, header: str) -> None:
    assert headers_of([wait_of], [wait_of])["RateLimit"] == header


def test_the_minute_before_counts_by_what_is_covered_of_it() -> None:
    by = asker(tenant(1000), 100)
    count_request(by)
    assert by.tenant and by.key
    place = f"limit:{{{by.tenant.id}}}:key:{by.key.id}"
    seconds = int(valkey.client.time()[0])
    valkey.client.set(place, f"{seconds // 60 - 1} 100 0")
    gone = seconds % 60
    assert admitted(by, 100) == pytest.approx(100 * gone / 60, abs=3)  # the seconds that this takes


def test_keys_go_by_themselves() -> None:
    by = asker(tenant())
    count_request(by)
    assert by.tenant
    kept = list(valkey.client.scan_iter(f"limit:*{by.tenant.id}*"))
    assert len(kept) == 2 and all(0 < valkey.client.ttl(name) <= 120 for name in kept)


def test_the_script_is_sent_again_when_the_server_has_forgotten_it() -> None:
    by = asker(tenant(2))
    count_request(by)
    valkey.client.script_flush()
    assert admitted(by, 2) == 1


def test_a_wiped_server_starts_anew() -> None:
    by = asker(tenant(2))
    assert admitted(by, 3) == 2
    valkey.client.flushdb()
    assert admitted(by, 3) == 2


def test_everybody_is_let_in_untold_while_valkey_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    by = asker(tenant(1))
    monkeypatch.setattr(valkey, "client", valkey.connect("redis://127.0.0.1:1/0"))
    assert [count_request(by) for _ in range(3)] == [{}, {}, {}]


def test_a_signed_in_person_is_counted_by_themselves() -> None:
    acme = tenant(100)
    person = replace(asker(acme), kind="member", label=f"member:{uuid4()}", key=None)
    told = count_request(person)
    assert told["RateLimit"] == '"tenant";r=99;t=60, "key";r=99;t=60'


@pytest.fixture
def hung() -> Iterator[list[Any]]:
    """The address of a server that accepts and never answers, and who has come to it."""
    came: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    came.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield [f"redis://127.0.0.1:{server.getsockname()[1]}/0", came]
        server.shutdown(socket.SHUT_RDWR)
    for one in came:
        one.close()


def test_a_hung_valkey_is_waited_for_once_and_then_left_alone(hung: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "client", valkey.connect(hung[0]))
    clock = [1000.0]
    monkeypatch.setattr(valkey, "time", type("Clock", (), {"monotonic": staticmethod(lambda: clock[0])}))
    by = asker(tenant(1))

    def ask_it_all() -> None:
        valkey.forget_failure(), hung[1].clear()
        assert count_request(by) == {}
        ring()
        events.tell(uuid4(), uuid4(), "delta")
        dispatch.forget_messages()
        assert [count_request(by) for _ in range(100)] == [{}] * 100

    within(2 * valkey.PATIENCE_SECONDS + 0.5, ask_it_all)  # the figure that the gate is for
    until(lambda: hung[1], "it was asked")
    assert len(hung[1]) == 1
    clock[0] += valkey.PAUSE_SECONDS
    with ThreadPoolExecutor(20) as pool:  # one of them tries it, nineteen do not wait
        assert list(pool.map(count_request, [by] * 20)) == [{}] * 20
    until(lambda: len(hung[1]) > 1, "it was asked again")
    assert len(hung[1]) == 2
