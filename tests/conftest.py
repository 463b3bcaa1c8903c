"""What all tests share: a real database with its three roles, the cast, and doors to knock at."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as properties
from psycopg import sql
from psycopg.pq import TransactionStatus

from features.resolve import forget
from features.runs.execute import breakers, retries
from tenants.valkey import client as broker
from tenants.valkey import forget_failure
from tests.cast import Cast, make_cast
from tests.emptying import empty_tables
from tests.fakes.model import FakeModel

pytest_plugins = ["tests.processes", "tests.static_files"]

# Valkey is waited for as long as a busy machine takes: what it is to lose patience is tried by tests that say so.
broker.connection_pool.connection_kwargs.update(socket_timeout=30, socket_connect_timeout=30)
# Properties are about results: how long an example takes is the machine's matter, and bounds have tests of their own.
properties.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
properties.load_profile("unhurried")
settings.PASSWORD_HASHERS = ["tests.passwords.OneRound"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole processes come last: these go on until the session ends, and take their time from all others."""
    items.sort(key=lambda item: [fixture in getattr(item, "fixturenames", ()) for fixture in ("ruins", "stack")])


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> None:
    """The owner makes this process's database and migrates it; app and operator only ever connect to it."""
    name = connections["owner"].settings_dict["NAME"]
    maintenance = os.environ["DATABASE_OWNER_URL"].replace(f"/{name}", "/bespoke")
    with psycopg.connect(maintenance, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with django_db_blocker.unblock():
        call_command("migrate", database="owner", verbosity=0)


def _empty() -> None:
    empty_tables()
    forget()
    breakers.clear()
    retries.clear()
    broker.flushdb()
    forget_failure()


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A database in which everything is really committed, since roles do not see each other's open transactions."""
    with django_db_blocker.unblock():
        yield
        _empty()
        for connection in connections.all(initialized_only=True):
            _as_new(connection)


def _as_new(connection: Any) -> None:
    """As a pooler does between two clients; what a test has broken is closed. New ones would read the catalog again."""
    raw = connection.connection
    try:
        if raw is not None and not connection.errors_occurred and raw.info.transaction_status == TransactionStatus.IDLE:
            raw.execute("DISCARD ALL")
            return
    except psycopg.OperationalError:  # the server's process was killed meanwhile
        pass
    connection.close()


@pytest.fixture
def empty_database() -> Callable[[], None]:
    """For tests that begin anew within one: empty tables, caches and streams."""
    return _empty


@pytest.fixture(scope="session")
def fake_model() -> Iterator[FakeModel]:
    """A scripted model behind a real HTTP address, for this process and those that it starts."""
    with FakeModel() as model:
        yield model


@pytest.fixture
def model(fake_model: FakeModel, settings: Any) -> Iterator[FakeModel]:
    """The scripted model, freshly without a script, as the provider that targets name."""
    fake_model.reset()
    settings.PROVIDERS = {"demo": {"base_url": fake_model.base_url, "api_key": "a-key"}}
    yield fake_model
    fake_model.reset()


@pytest.fixture
def cast(committed: None) -> Cast:
    """Acme (Ada its owner, Alice and Bob members, Vera a viewer), Globex (Gus, Mallory), the operator, one feature."""
    return make_cast()


@pytest.fixture
def api(cast: Cast) -> Callable[..., "Knock"]:
    """Knock at the API as somebody: `api(cast.alice).get("/features")`."""
    return lambda who, **headers: Knock(cast.key(who), headers)


class Knock:
    """A caller of the API with a key; paths are below /api/v1."""

    def __init__(self, key: str, headers: dict[str, str]) -> None:
        self.client = Client(raise_request_exception=True)
        self.headers = {"Authorization": f"Bearer {key}", **{k.replace("_", "-"): v for k, v in headers.items()}}

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        options: dict[str, Any] = {} if body is None else {"data": body, "content_type": "application/json"}
        return getattr(self.client, method)(f"/api/v1{path}", headers=given, **options)

    def get(self, path: str, **headers: str) -> Any:
        return self.request("get", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("post", path, body if body is not None else {}, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("put", path, body if body is not None else {}, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.request("patch", path, body if body is not None else {}, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.request("delete", path, **headers)
