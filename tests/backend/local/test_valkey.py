"""The embedded Valkey: its door, its file, and that Celery's transport can use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection

from backend.local import valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[valkey.Valkey]:
    started = valkey.start(tmp_path / "valkey")
    yield started
    started.stop()


def test_only_who_knows_the_password_gets_in(server: valkey.Valkey) -> None:
    assert redis.from_url(server.url()).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port, retry=None).ping()


def test_it_refuses_to_forget_when_it_is_full(server: valkey.Valkey) -> None:
    asked = redis.from_url(server.url()).config_get("maxmemory-policy", "appendonly", "bind")
    assert asked == {"maxmemory-policy": "noeviction", "appendonly": "yes", "bind": "127.0.0.1"}


def test_kombu_sends_and_receives_through_it(server: valkey.Valkey) -> None:
    with Connection(server.url()) as connection, connection.SimpleQueue("bells") as queue:
        queue.put({"look": True})
        assert queue.get(timeout=30).payload == {"look": True}


def test_what_was_written_is_there_under_the_same_url_after_a_restart(server: valkey.Valkey, tmp_path: Path) -> None:
    redis.from_url(server.url()).set("kept", "7")
    server.stop()
    again = valkey.start(tmp_path / "valkey", like=server)
    try:
        assert redis.from_url(server.url()).get("kept") == b"7"
    finally:
        again.stop()


def test_its_password_is_not_on_its_command_line(server: valkey.Valkey) -> None:
    assert not any(server.password in str(part) for part in server.process.args)  # type: ignore[union-attr]
